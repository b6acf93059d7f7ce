"""The grammar of cadences: what is read, as what, and how the rest is refused."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.cadence import EVERY_DAY, WEEKDAYS, WEEKENDS, CadenceError, Cron, Daily, Interval, Once
from tasks.domain.cadence_text import ACCEPTED, parse_cadence

NOW = datetime(2026, 11, 20, 21, 0, 0, 5, tzinfo=UTC)
ZONE = "Europe/Prague"


def every(**parts: int) -> Interval:
    return Interval(every=timedelta(**parts))


def on(days: frozenset[int], *times: time) -> Daily:
    return Daily(weekdays=days, times=times, timezone=ZONE)


NINE, HALF_PAST_NINE = time(9), time(9, 30)


@pytest.mark.parametrize(
    ("text", "cadence"),
    [
        ("every 90s", every(seconds=90)),
        ("every 15m", every(minutes=15)),
        ("every 2h", every(hours=2)),
        ("every 1d", every(days=1)),
        ("every 1h30m", every(minutes=90)),
        ("Every 15 minutes", every(minutes=15)),
        ("every 11m phase 15s", Interval(every=timedelta(minutes=11), phase=timedelta(seconds=15))),
        ("daily 07:00,13:00", on(EVERY_DAY, time(7), time(13))),
        ("daily at 7am, 1 pm", on(EVERY_DAY, time(7), time(13))),
        ("every day at 9:30pm", on(EVERY_DAY, time(21, 30))),
        ("daily 12am,12pm", on(EVERY_DAY, time(0), time(12))),
        ("every monday 9am", on(frozenset({0}), NINE)),
        ("every mon,thu at 09:30", on(frozenset({0, 3}), HALF_PAST_NINE)),
        ("every Monday and Thursday at 09:30", on(frozenset({0, 3}), HALF_PAST_NINE)),
        ("every fri-mon at 09:00", on(frozenset({4, 5, 6, 0}), NINE)),
        ("weekdays at 09:30", on(WEEKDAYS, HALF_PAST_NINE)),
        ("every weekday 09:30", on(WEEKDAYS, HALF_PAST_NINE)),
        ("weekends at 09:30", on(WEEKENDS, HALF_PAST_NINE)),
        ("*/5  * * * *", Cron(expression="*/5 * * * *", timezone=ZONE)),
        ("0 9 L jan-mar mon#2", Cron(expression="0 9 L jan-mar mon#2", timezone=ZONE)),
        ("at 2026-12-01T09:00", Once(at=datetime(2026, 12, 1, 8, tzinfo=UTC))),
        ("at 2026-12-01 09:00:30", Once(at=datetime(2026, 12, 1, 8, 0, 30, tzinfo=UTC))),
        ("at 2026-12-01T09:00Z", Once(at=datetime(2026, 12, 1, 9, tzinfo=UTC))),
        ("at 2026-12-01T09:00-05:00", Once(at=datetime(2026, 12, 1, 14, tzinfo=UTC))),
        ("in 30m", Once(at=datetime(2026, 11, 20, 21, 30, tzinfo=UTC))),
    ],
)
def test_people_write(text, cadence):
    assert parse_cadence(text, timezone=ZONE, now=NOW) == cadence


@pytest.mark.parametrize("text", ACCEPTED)
def test_every_example_that_an_error_offers_is_accepted(text):
    cadence = parse_cadence(text, timezone=ZONE, now=NOW)
    assert cadence.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is not None


DURATIONS = st.timedeltas(timedelta(microseconds=1), timedelta(days=3000))
TIMES = st.times().map(lambda each: each.replace(microsecond=0))
CADENCES = st.one_of(
    st.builds(Interval, every=DURATIONS),
    st.builds(lambda every, share: Interval(every=every, phase=every * share // 1000), DURATIONS, st.integers(0, 999)),
    st.builds(
        Daily,
        times=st.lists(TIMES, min_size=1, max_size=4).map(tuple),
        weekdays=st.frozensets(st.integers(0, 6), min_size=1),
        timezone=st.just(ZONE),
    ),
    st.builds(Once, at=st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
)


@given(CADENCES)
def test_the_text_of_a_cadence_is_read_back_as_the_same_cadence(cadence):
    assert parse_cadence(str(cadence), timezone=ZONE, now=NOW) == cadence


PIECES = st.sampled_from(
    ["every", "at", "in", "daily", "mon", "-", ",", "30", "m", "9am", ":", "*", "/", "L", "phase", "\u0663"]
)


@settings(max_examples=150)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=7).map(" ".join), st.lists(PIECES, max_size=7).map("".join)))
def test_any_text_is_read_or_refused_with_a_cadence_error_that_quotes_it(text):
    with pytest.raises(CadenceError) as refused:  # noqa: PT012
        parse_cadence(text, now=NOW)
        raise CadenceError(repr(text))
    assert repr(text) in str(refused.value)


def test_a_bare_duration_is_refused_with_both_readings():
    with pytest.raises(CadenceError, match='"every 30m" or "in 30m"'):
        parse_cadence("30m", now=NOW)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "can't be read"),
        ("hello", "can't be read"),
        ("* * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("every", "no days and times"),
        ("every monday", "no days and times"),
        ("every moonday 9am", "'moonday' is no day"),
        ("every 0s", "no duration above zero"),
        ("every -5m", "no duration above zero"),
        ("every 5", "no duration above zero"),
        ("every 9999999999999d", "no duration above zero"),
        ("every 99999d", "can't be longer"),
        ("every 5m phase 5m", "phase"),
        ("daily 9", "accepted are 09:30, 9am"),
        ("daily 24:00", "00:00 to 23:59"),
        ("daily 13am", "hours 1 to 12"),
        ("in 0s", "no duration above zero"),
        ("in 999999999d", "out of range"),
        ("at 09:00", "no instant"),
        ("at 2026-02-31T09:00", "day is out of range"),
        ("0 0 31 2 *", "never matches"),
        ("0 0 30 feb *", "never matches"),
        ("61 * * * *", "bad minute; accepted are 0-59"),
        ("0 0 * * funday", "bad day-of-week; accepted are 0-7"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_accepted(text, complaint):
    with pytest.raises(CadenceError) as refused:
        parse_cadence(text, timezone=ZONE, now=NOW)
    assert repr(text) in str(refused.value)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("text", ["every 5m", "0 9 * * *", "in 30m"])
def test_an_unknown_timezone_is_refused_whatever_the_cadence(text):
    with pytest.raises(CadenceError, match=r"'Europe/Prag' is not known; .*Europe/Prague"):
        parse_cadence(text, timezone="Europe/Prag", now=NOW)
