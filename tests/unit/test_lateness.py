"""Late, missed, or neither."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.cadence import Cron, Daily, Interval, Once
from tasks.domain.lateness import PUNCTUAL, CatchUp, decide, grace

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
QUARTERLY, DAILY = Interval(every=15 * MINUTE), Daily(times=(time(12),))


@pytest.mark.parametrize(
    ("cadence", "expected"),
    [
        (Interval(every=SECOND), timedelta(seconds=120)),
        (Interval(every=15 * MINUTE), timedelta(minutes=7, seconds=30)),
        (DAILY, 2 * HOUR),
        (Cron(expression="0 12,13 * * *"), 30 * MINUTE),
        (Once(at=NOON), 2 * HOUR),
    ],
)
def test_grace_is_half_the_period_within_two_minutes_and_two_hours(cadence, expected):
    assert grace(cadence, NOON) == grace(cadence, NOON, CatchUp.LATE) == expected


def test_a_window_set_by_hand_is_the_grace():
    assert grace(QUARTERLY, NOON, 5 * HOUR) == 5 * HOUR
    assert grace(QUARTERLY, NOON, CatchUp.SKIP) == grace(QUARTERLY, NOON, timedelta(0)) == PUNCTUAL


def test_nothing_is_due_before_the_next_slot():
    due = decide(QUARTERLY, NOON, NOON + 15 * MINUTE - SECOND)
    assert due.run is None
    assert not due.missed
    assert due.missed.count == 0


def test_a_slot_is_due_at_its_instant():
    due = decide(QUARTERLY, NOON, NOON + 15 * MINUTE)
    assert due.run == NOON + 15 * MINUTE
    assert not due.missed


def test_after_downtime_the_newest_slot_runs_late_and_the_older_are_missed():
    due = decide(QUARTERLY, NOON, NOON + 47 * MINUTE)
    assert due.run == NOON + 45 * MINUTE
    assert list(due.missed) == [NOON + 15 * MINUTE, NOON + 30 * MINUTE]
    assert (due.missed.first, due.missed.last) == (NOON + 15 * MINUTE, NOON + 30 * MINUTE)


def test_a_slot_exactly_its_grace_late_still_runs_and_one_later_is_missed():
    slot = NOON + 15 * MINUTE
    assert decide(QUARTERLY, NOON, slot + timedelta(seconds=450)).run == slot
    too_late = decide(QUARTERLY, NOON, slot + timedelta(seconds=450, microseconds=1))
    assert too_late.run is None
    assert list(too_late.missed) == [slot]


def test_skip_records_every_late_slot_as_missed():
    due = decide(QUARTERLY, NOON, NOON + 31 * MINUTE, CatchUp.SKIP)
    assert due.run is None
    assert list(due.missed) == [NOON + 15 * MINUTE, NOON + 30 * MINUTE]


def test_skip_still_runs_what_is_punctual():
    slot = NOON + 15 * MINUTE
    assert decide(QUARTERLY, NOON, slot + PUNCTUAL, CatchUp.SKIP).run == slot
    assert decide(QUARTERLY, NOON, slot + PUNCTUAL + SECOND, CatchUp.SKIP).run is None


def test_how_late_is_punctual_can_be_said():
    slot = NOON + 15 * MINUTE
    assert decide(QUARTERLY, NOON, slot + MINUTE, CatchUp.SKIP, punctual=MINUTE).run == slot


def test_a_window_of_a_day_runs_a_morning_job_in_the_evening():
    assert decide(DAILY, NOON - HOUR, NOON + 9 * HOUR, timedelta(days=1)).run == NOON
    assert decide(DAILY, NOON - HOUR, NOON + 9 * HOUR).run is None


@pytest.mark.parametrize("cadence", [QUARTERLY, DAILY, Cron(expression="*/5 * * * *"), Once(at=NOON)])
def test_a_clock_set_back_repeats_nothing(cadence):
    due = decide(cadence, NOON, NOON - 25 * HOUR)
    assert due.run is None
    assert not due.missed


def test_a_job_of_unknown_past_runs_only_what_is_punctual_and_misses_nothing():
    assert decide(QUARTERLY, None, NOON + PUNCTUAL).run == NOON
    later = decide(QUARTERLY, None, NOON + PUNCTUAL + SECOND)
    assert later.run is None
    assert not later.missed


def test_a_once_job_runs_within_its_grace_and_is_missed_after():
    assert decide(Once(at=NOON), None, NOON - SECOND).run is None
    assert decide(Once(at=NOON), None, NOON + 2 * HOUR).run == NOON
    missed = decide(Once(at=NOON), None, NOON + 2 * HOUR + SECOND)
    assert missed.run is None
    assert list(missed.missed) == [NOON]


def test_a_once_job_that_is_handled_is_never_due_again():
    due = decide(Once(at=NOON), NOON, NOON + MINUTE)
    assert due.run is None
    assert not due.missed


def test_a_year_of_missed_seconds_is_counted_without_walking_them():
    year = timedelta(days=365)
    due = decide(Interval(every=SECOND), NOON, NOON + year)
    assert due.run == NOON + year
    assert due.missed.count == year // SECOND - 1
    assert due.missed.last == NOON + year - SECOND


@given(
    every=st.timedeltas(SECOND, timedelta(days=2)),
    downtime=st.timedeltas(timedelta(0), timedelta(days=3)),
    catch_up=st.one_of(st.sampled_from(CatchUp), st.timedeltas(timedelta(0), timedelta(days=1))),
)
def test_what_runs_and_what_is_missed_are_together_all_that_came_due(every, downtime, catch_up):
    cadence, now = Interval(every=every), NOON + downtime
    due = decide(cadence, NOON, now, catch_up)
    assert due.missed.count + (due.run is not None) == cadence.count_between(NOON, now)
    assert due.run is None or due.missed.last is None or due.missed.last < due.run
    assert due.run is None or now - due.run <= grace(cadence, due.run, catch_up)
