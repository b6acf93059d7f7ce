"""The timetable: a pure function of jobs, what was handled, and the time."""

from datetime import UTC, datetime, timedelta

from tasks.domain.cadence import Interval, Once
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.timetable import DueJob, Timetable

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CALL = HttpCall(method=Method.GET, url="/", timeout=1)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def every(number: float, name: str = "ping") -> Job:
    return Job(name=name, cadence=Interval(every=seconds(number)), action=CALL)


def table(*jobs: Job, handled: dict[str, datetime] | None = None, now: datetime = NOON) -> Timetable:
    return Timetable.start({job.name: job for job in jobs}, handled or {}, now)


def runs(due: list[DueJob]) -> list[tuple[str, datetime | None]]:
    return [(each.job.name, each.due.run) for each in due]


def test_a_new_job_waits_for_its_next_slot() -> None:
    assert table(every(60)).take_due(NOON + seconds(59)) == []


def test_a_slot_is_due_at_its_instant_and_only_once() -> None:
    timetable = table(every(60))
    assert runs(timetable.take_due(NOON + seconds(60))) == [("ping", NOON + seconds(60))]
    assert timetable.take_due(NOON + seconds(61)) == []


def test_the_sleep_ends_at_the_next_slot_of_any_job() -> None:
    assert table(every(60), every(45, "pong")).seconds_to_next(NOON + seconds(1)) == 44


def test_an_empty_table_has_no_next_slot() -> None:
    assert table().seconds_to_next(NOON) is None


def test_a_once_job_leaves_the_table_after_its_slot() -> None:
    timetable = table(Job(name="once", cadence=Once(at=NOON + seconds(5)), action=CALL))
    assert runs(timetable.take_due(NOON + seconds(5))) == [("once", NOON + seconds(5))]
    assert timetable.seconds_to_next(NOON + seconds(5)) is None


def test_after_downtime_the_newest_slot_runs_and_the_older_are_missed() -> None:
    timetable = table(every(60), handled={"ping": NOON - seconds(180)})
    (due,) = timetable.take_due(NOON + seconds(1))
    assert due.due.run == NOON
    assert list(due.due.missed) == [NOON - seconds(120), NOON - seconds(60)]


def test_what_was_handled_before_a_restart_is_not_due_again() -> None:
    timetable = table(every(60), handled={"ping": NOON})
    assert timetable.take_due(NOON + seconds(30)) == []


def test_a_restart_does_not_shift_the_slots() -> None:
    first = table(every(60)).take_due(NOON + seconds(60))
    later = table(every(60), now=NOON + seconds(37)).take_due(NOON + seconds(60))
    assert runs(first) == runs(later)


def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    timetable = table(every(60))
    timetable.take_due(NOON + seconds(120))
    assert timetable.take_due(NOON) == []
    assert timetable.take_due(NOON + seconds(120)) == []
    assert runs(timetable.take_due(NOON + seconds(180))) == [("ping", NOON + seconds(180))]


def test_a_job_that_was_put_back_is_due_again() -> None:
    timetable = table(every(60))
    taken = timetable.take_due(NOON + seconds(60))
    timetable.put_back(taken)
    assert runs(timetable.take_due(NOON + seconds(61))) == [("ping", NOON + seconds(60))]


def test_a_job_that_was_put_back_for_long_runs_its_newest_slot() -> None:
    timetable = table(every(60))
    timetable.put_back(timetable.take_due(NOON + seconds(60)))
    (due,) = timetable.take_due(NOON + seconds(185))
    assert (due.due.run, list(due.due.missed)) == (NOON + seconds(180), [NOON + seconds(60), NOON + seconds(120)])
