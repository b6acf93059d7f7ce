"""The one spelling of an instant."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.slots import epoch_microseconds, from_epoch_microseconds, parse_slot, slot_text


def test_a_slot_is_spelled_with_z_and_without_an_empty_fraction():
    assert slot_text(datetime(2026, 11, 20, 21, 45, tzinfo=UTC)) == "2026-11-20T21:45:00Z"


def test_a_fraction_is_spelled_as_short_as_it_can_be():
    assert slot_text(datetime(2026, 11, 20, 21, 45, 10, 250_000, tzinfo=UTC)) == "2026-11-20T21:45:10.25Z"


def test_an_instant_of_another_zone_is_spelled_in_utc():
    prague = timezone(timedelta(hours=1))
    assert slot_text(datetime(2026, 11, 20, 22, 45, tzinfo=prague)) == "2026-11-20T21:45:00Z"


def test_a_naive_instant_has_no_spelling():
    with pytest.raises(ValueError, match="aware"):
        slot_text(datetime(2026, 11, 20))  # noqa: DTZ001


@given(st.datetimes(timezones=st.just(UTC)))
def test_text_and_instant_are_the_same_thing(instant):
    assert parse_slot(slot_text(instant)) == instant
    assert from_epoch_microseconds(epoch_microseconds(instant)) == instant


def test_an_offset_is_read_as_utc():
    parsed = parse_slot("2026-11-20T22:45:00.5+01:00")
    assert parsed == datetime(2026, 11, 20, 21, 45, 0, 500_000, tzinfo=UTC)
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-20", "2026-11-20T21:45:00", "20261120T214500Z", "2026-02-31T00:00:00Z"]
)
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(ValueError):
        parse_slot(text)
