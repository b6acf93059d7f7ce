"""The timetable: a pure function of jobs, what was handled, and the time."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.cadence import Cadence, Interval, Once
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


class Broken(Cadence):
    """A cadence that somebody got wrong."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def next_after(self, instant: datetime) -> datetime:
        if self.error is not None:
            raise self.error
        return instant + seconds(10)


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=lambda each: type(each).__name__
)
def test_a_cadence_that_raises_stops_no_other_job_and_shows_its_error(error: BaseException) -> None:
    timetable = table(Job(name="bad", cadence=Broken(error), action=CALL), every(60))
    assert runs(timetable.take_due(NOON + seconds(60))) == [("ping", NOON + seconds(60))]
    assert list(timetable.broken) == ["bad"]
    assert timetable.broken["bad"].startswith(type(error).__name__)


def test_a_cadence_that_raises_is_asked_again_after_a_minute() -> None:
    cadence = Broken(ValueError("no"))
    timetable = table(Job(name="bad", cadence=cadence, action=CALL))
    timetable.take_due(NOON)
    cadence.error = None
    assert [each.job.name for each in timetable.take_due(NOON + seconds(61))] == ["bad"]
    assert timetable.broken == {}


def test_a_process_that_is_told_to_stop_stops_inside_a_cadence() -> None:
    timetable = table(every(60))
    timetable.stopping = lambda: True
    with pytest.raises(SystemExit):
        timetable.put(Job(name="bad", cadence=Broken(SystemExit()), action=CALL), NOON)


def test_a_job_can_be_replaced_and_its_old_slots_are_gone() -> None:
    timetable = table(every(60))
    timetable.put(every(45), NOON)
    assert timetable.next_slot("ping") == NOON + seconds(45)
    assert runs(timetable.take_due(NOON + seconds(60))) == [("ping", NOON + seconds(45))]


def test_a_job_that_was_removed_is_never_due() -> None:
    timetable = table(every(60), every(45, "pong"))
    timetable.remove("pong")
    assert timetable.seconds_to_next(NOON) == 60
    assert runs(timetable.take_due(NOON + seconds(60))) == [("ping", NOON + seconds(60))]


def test_one_job_can_be_taken_up_to_an_instant() -> None:
    timetable = table(every(60), every(60, "pong"))
    assert timetable.take("ping", NOON + seconds(59)) == []
    assert runs(timetable.take("ping", NOON + seconds(61))) == [("ping", NOON + seconds(60))]
    assert runs(timetable.take_due(NOON + seconds(61))) == [("pong", NOON + seconds(60))]


def test_after_the_clock_was_set_back_slots_are_due_in_their_time_again() -> None:
    timetable = table(every(60))
    timetable.take_due(NOON + seconds(3600))
    timetable.step_back(NOON)
    assert runs(timetable.take_due(NOON + seconds(60))) == [("ping", NOON + seconds(60))]
