"""The history of schedules, and the audit that is made from it."""

from datetime import UTC, datetime, time, timedelta

import pytest

from tasks.domain.audit import audit
from tasks.domain.cadence import Cron, Daily, Interval, Once
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.lateness import CatchUp
from tasks.domain.outcomes import Outcome
from tasks.domain.schedules import Schedule, ScheduleChange, ScheduleState, periods_of, removed, schedule_of
from tasks.domain.slots import slot_text

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CALL = HttpCall(method=Method.GET, url="/", timeout=1)


def change(since, cadence="every 15m", *, job="ping", **schedule):
    return ScheduleChange(schedule=Schedule(job=job, cadence=cadence, **schedule), since=since)


def expected(*changes, now=NOON + 3 * HOUR, since=NOON - HOUR):
    """The slots that an audit of an empty ledger misses."""
    return [each.slot for each in audit(periods_of(changes), {}, (), since=since, now=now).vanished]


def at(*minutes):
    return [NOON + minute * MINUTE for minute in minutes]


@pytest.mark.parametrize(
    "cadence",
    [
        Interval(every=11 * MINUTE, phase=timedelta(seconds=45)),
        Daily(times=(time(7), time(13, 30)), timezone="Europe/Prague"),
        Cron(expression="*/5 1-3 L * *", timezone="Asia/Kolkata"),
        Once(at=NOON),
    ],
)
@pytest.mark.parametrize("catch_up", [None, CatchUp.SKIP, CatchUp.LATE, 5 * MINUTE, timedelta(hours=1, seconds=1)])
def test_a_schedule_in_words_is_read_back_as_it_was(cadence, catch_up):
    schedule = schedule_of(Job(name="ping", cadence=cadence, action=CALL, catch_up=catch_up))
    (period,) = periods_of([ScheduleChange(schedule=schedule, since=NOON)])["ping"]
    assert period.cadence == cadence
    assert period.catch_up == catch_up


def test_slots_are_expected_after_the_schedule_came_to_be():
    assert expected(change(NOON), now=NOON + HOUR) == at(15, 30, 45)


def test_a_slot_that_may_still_run_is_not_expected_yet():
    window, settled = timedelta(seconds=450), timedelta(seconds=15)
    assert expected(change(NOON), now=NOON + 15 * MINUTE + window + settled) == at(15)
    assert expected(change(NOON), now=NOON + 15 * MINUTE + window) == []


def test_a_window_set_by_hand_is_waited_for():
    assert expected(change(NOON, catch_up="2h"), now=NOON + HOUR) == []
    assert expected(change(NOON, catch_up="2h"), now=NOON + 2 * HOUR + 20 * MINUTE) == at(15)


def test_a_changed_cadence_holds_for_the_slots_after_the_change():
    changes = change(NOON), change(NOON + 30 * MINUTE, "every 20m")
    assert expected(*changes, now=NOON + 90 * MINUTE) == at(15, 30, 40, 60)


def test_nothing_is_expected_of_a_job_that_was_removed_or_paused():
    gone = ScheduleChange(schedule=removed(Schedule(job="ping")), since=NOON + 30 * MINUTE)
    paused = change(NOON + 30 * MINUTE, state=ScheduleState.PAUSED)
    assert expected(change(NOON), gone) == expected(change(NOON), paused) == at(15, 30)


def test_a_job_that_came_back_is_expected_again_from_then_on():
    gone = ScheduleChange(schedule=removed(Schedule(job="ping")), since=NOON + 30 * MINUTE)
    assert expected(change(NOON), gone, change(NOON + 2 * HOUR), now=NOON + 2.5 * HOUR) == at(15, 30, 135)


def test_a_later_change_that_reaches_further_back_wins():
    changes = change(NOON), change(NOON + HOUR, "every 1s"), change(NOON + 30 * MINUTE, "every 20m")
    assert expected(*changes, now=NOON + 90 * MINUTE) == at(15, 30, 40, 60)


def test_slots_before_the_asked_for_time_are_no_part_of_an_audit():
    assert expected(change(NOON - 9 * HOUR), since=NOON, now=NOON + HOUR) == at(15, 30, 45)


def test_what_is_recorded_or_on_its_way_has_not_vanished():
    ran, runs, gone = at(15, 30, 45)
    recorded = {"ping": {slot_text(ran): Outcome.MISSED, "manual-7": Outcome.OK}}
    found = audit(periods_of([change(NOON)]), recorded, {f"ping/{slot_text(runs)}"}, since=NOON, now=NOON + HOUR)
    assert [each.slot for each in found.vanished] == [gone]
    assert (found.expected, found.recorded, found.open) == (3, 1, 1)
    assert found.outcomes == {Outcome.MISSED: 1}


def test_another_jobs_record_proves_nothing():
    recorded = {"pong": {slot_text(each): Outcome.OK for each in at(15)}}
    found = audit(periods_of([change(NOON)]), recorded, (), since=NOON, now=NOON + 30 * MINUTE)
    assert [each.slot for each in found.vanished] == at(15)
