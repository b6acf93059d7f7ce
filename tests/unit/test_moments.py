"""Moments as people type them."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.moments import parse_moment

NOW = datetime(2026, 11, 20, 21, 50, 30, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "start", "width"),
    [
        ("2h", NOW - timedelta(hours=2), SECOND),
        ("21:45", datetime(2026, 11, 20, 21, 45, tzinfo=UTC), MINUTE),
        ("23:00", datetime(2026, 11, 19, 23, tzinfo=UTC), MINUTE),
        ("21:45:10", datetime(2026, 11, 20, 21, 45, 10, tzinfo=UTC), SECOND),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC), timedelta(days=1)),
        ("2026-11-20T21:45", datetime(2026, 11, 20, 21, 45, tzinfo=UTC), MINUTE),
        ("2026-11-20 21:45", datetime(2026, 11, 20, 21, 45, tzinfo=UTC), MINUTE),
        ("2026-11-20T22:45+01:00", datetime(2026, 11, 20, 21, 45, tzinfo=UTC), MINUTE),
        ("2026-11-20t21:45:00z", datetime(2026, 11, 20, 21, 45, tzinfo=UTC), SECOND),
        ("2026-11-20T21:45:00.25Z", datetime(2026, 11, 20, 21, 45, 0, 250_000, tzinfo=UTC), timedelta(microseconds=1)),
    ],
)
def test_a_moment_is_as_wide_as_it_is_written(text, start, width):
    moment = parse_moment(text, NOW)
    assert (moment.start, moment.end) == (start, start + width)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "2026-02-31T10:00", "2026-11-20T21", "99999999d"])
def test_what_is_no_moment_is_refused_with_what_is_accepted(text):
    with pytest.raises(ValueError, match="accepted are 2h"):
        parse_moment(text, NOW)
