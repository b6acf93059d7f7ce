"""Cadences as values: what they accept, which slots they have, how they are asked."""

from datetime import UTC, datetime, time, timedelta, timezone
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.cadence import WEEKDAYS, CadenceError, Cron, Daily, Interval, Once
from tasks.domain.slots import epoch_microseconds

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
MICROSECONDS = st.integers(1, 10**13)
CADENCES = st.sampled_from(
    [
        Interval(every=timedelta(minutes=11), phase=timedelta(seconds=15)),
        Interval(every=timedelta(milliseconds=700)),
        Daily(times=(time(7), time(13, 30)), timezone="Europe/Prague"),
        Daily(times=(time(2, 30),), weekdays=WEEKDAYS, timezone="America/New_York"),
        Cron(expression="*/20 1,2 * * *", timezone="Australia/Lord_Howe"),
        Cron(expression="0 9 1 * MON", timezone="America/Santiago"),
        Cron(expression="30 23 L * *"),
        Once(at=NOON),
    ]
)


@given(every=MICROSECONDS, phase=st.integers(0), instant=INSTANTS)
def test_interval_slots_are_the_instants_aligned_to_the_epoch_plus_the_phase(every, phase, instant):
    cadence = Interval(every=timedelta(microseconds=every), phase=timedelta(microseconds=phase % every))
    slot = cadence.next_after(instant)
    assert (epoch_microseconds(slot) - phase) % every == 0
    assert timedelta(0) < slot - instant <= cadence.every
    assert slot.tzinfo is UTC


def test_an_interval_does_not_drift_in_ten_million_slots():
    cadence = Interval(every=timedelta(seconds=7), phase=timedelta(milliseconds=250))
    ages_later = NOON + 10_000_000 * cadence.every
    assert cadence.next_after(ages_later) - cadence.next_after(NOON) == 10_000_000 * cadence.every


def test_the_timezone_of_the_question_does_not_change_the_answer():
    cadence, elsewhere = Interval(every=timedelta(minutes=11)), timezone(timedelta(hours=5, minutes=45))
    assert cadence.next_after(NOON.astimezone(elsewhere)) == cadence.next_after(NOON)


@given(cadence=CADENCES, instant=INSTANTS)
def test_the_next_slot_is_after_the_instant_and_has_no_slot_before_it(cadence, instant):
    slot = cadence.next_after(instant)
    if slot is not None:
        assert slot > instant
        assert cadence.next_after(slot - timedelta(microseconds=1)) == slot
        assert cadence.next_after(instant + (slot - instant) / 2) == slot


@given(cadence=CADENCES, instant=INSTANTS, back=st.timedeltas(timedelta(0), timedelta(hours=3)))
def test_the_latest_slot_is_the_last_one_of_the_walk(cadence, instant, back):
    walked = list(islice(cadence.slots_between(instant - back, instant), 20_000))
    assert cadence.latest_at_or_before(instant, floor=instant - back) == (walked[-1] if walked else None)
    assert cadence.count_between(instant - back, instant) == len(walked)


def test_the_latest_slot_is_found_however_far_back_it_is():
    leap_day = Cron(expression="0 3 29 2 *")
    found = leap_day.latest_at_or_before(datetime(2027, 6, 1, tzinfo=UTC), floor=datetime(1, 1, 1, tzinfo=UTC))
    assert found == datetime(2024, 2, 29, 3, tzinfo=UTC)


def test_slots_start_after_the_start_and_include_the_end():
    cadence = Interval(every=timedelta(hours=1))
    slots = list(cadence.slots_between(NOON, NOON + timedelta(hours=2)))
    assert slots == [NOON + timedelta(hours=1), NOON + timedelta(hours=2)]


def test_the_period_is_the_distance_to_the_next_slot():
    assert Interval(every=timedelta(minutes=15)).period_at(NOON) == timedelta(minutes=15)
    assert Cron(expression="0 12 * * MON").period_at(NOON) == WEEK
    assert Once(at=NOON).period_at(NOON) == timedelta.max


def test_a_once_cadence_has_one_slot():
    cadence = Once(at=NOON)
    assert list(cadence.slots_between(NOON - WEEK, NOON + WEEK)) == [NOON]


def test_day_of_month_and_day_of_week_are_alternatives_as_in_standard_cron():
    cadence = Cron(expression="0 0 13 * FRI")
    slots = list(cadence.slots_between(datetime(2026, 6, 10, tzinfo=UTC), datetime(2026, 6, 20, tzinfo=UTC)))
    assert [slot.day for slot in slots] == [12, 13, 19]


def test_cron_knows_names_steps_and_the_last_day():
    cadence = Cron(expression="0 6-18/6 L feb,apr *")
    slots = list(cadence.slots_between(datetime(2028, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)))
    assert [(slot.month, slot.day, slot.hour) for slot in slots] == [
        (month, day, hour) for month, day in ((2, 29), (4, 30)) for hour in (6, 12, 18)
    ]


def test_equal_times_in_any_order_are_one_cadence():
    assert Daily(times=(time(13), time(7), time(13))) == Daily(times=(time(7), time(13)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Interval(every=timedelta(0)),
        lambda: Interval(every=timedelta(minutes=-1)),
        lambda: Interval(every=timedelta(days=99_999)),
        lambda: Interval(every=timedelta(minutes=1), phase=timedelta(minutes=1)),
        lambda: Interval(every=timedelta(minutes=1), phase=timedelta(seconds=-1)),
        lambda: Once(at=datetime(2026, 1, 1)),  # noqa: DTZ001
        lambda: Daily(times=()),
        lambda: Daily(times=(time(7),), weekdays=frozenset({7})),
        lambda: Daily(times=(time(7),), timezone="Mars/Olympus"),
        lambda: Cron(expression="0 0 31 2 *"),
        lambda: Cron(expression="0 0 */31 * MON#5"),
        lambda: Cron(expression="0 0 * * * *"),
        lambda: Cron(expression="0 24 * * *"),
        lambda: Cron(expression="0 0 * * *", timezone="Europe"),
    ],
)
def test_what_can_never_be_right_is_refused_at_definition_time(make):
    with pytest.raises(CadenceError):
        make()
