"""What a running beat makes of changes in the schedule store."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.domain.cadence import Interval
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.outcomes import Outcome
from tasks.domain.schedules import Origin, Schedule, removed, schedule_of
from tasks.domain.stored import Wish, paused, resumed
from tasks.domain.timetable import Timetable
from tests.fakes import FakeClock, MemoryClaims, MemoryScheduleStore
from workers.beat_changes import ErrorLog, ScheduleWatch
from workers.beat_clock import SharedClock
from workers.beat_history import BacklogRecorder
from workers.dispatcher import Dispatcher

CALL = HttpCall(method=Method.GET, url="/", timeout=1)
PING = Job(name="ping", cadence=Interval(every=timedelta(seconds=60)), action=CALL)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Decoder:
    """Jobs of schedules by their cadence alone."""

    def decode(self, schedule: Schedule) -> Job:
        cadence = parse_cadence(schedule.cadence, timezone=schedule.timezone, now=NOON)
        return Job(name=schedule.job, cadence=cadence, action=CALL)


@dataclass(kw_only=True)
class Beat:
    clock: FakeClock = field(default_factory=FakeClock)
    queue: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.claims = MemoryClaims(clock=self.clock)
        self.claims.open()
        self.store = MemoryScheduleStore(claims=self.claims)
        services: Any = SimpleNamespace(jobs={"ping": PING}, store=self.store, stored_jobs=Decoder())
        self.dispatcher = Dispatcher(
            timetable=Timetable.start({"ping": PING}, {}, self.clock.now()),
            dispatches=self.claims,
            send=lambda fire: self.queue.append(fire.launch.identity),
            record=BacklogRecorder(dispatches=self.claims, clock=self.clock).record,
            beat="one",
        )
        self.watch = ScheduleWatch(services=services, dispatcher=self.dispatcher)

    def write(self, schedule: Schedule, times: int | None = None) -> None:
        known = self.store.find(schedule.job)
        self.store.change(Wish(schedule=schedule, replaces=known.schedule if known else None, times=times))

    def after(self, seconds: float) -> list[str]:
        """Let time go by, then follow the store and fire; returns what was fired."""
        self.clock.forward(seconds)
        self.watch.poll()
        self.dispatcher.run(self.clock.now())
        fired, self.queue[:] = [each.rpartition("T")[2] for each in self.queue], []
        return fired


@pytest.fixture
def beat() -> Beat:
    return Beat()


def mine(cadence: str) -> Schedule:
    return Schedule(job="mine", origin=Origin.STORE, cadence=cadence)


def test_a_schedule_made_at_run_time_fires_beside_the_table(beat: Beat) -> None:
    beat.write(mine("every 30s"))
    assert beat.after(1) == []
    assert beat.after(29) == ["12:00:30Z"]
    assert sorted(beat.after(30)) == ["12:01:00Z", "12:01:00Z"]


def test_slots_before_a_change_are_due_by_the_old_cadence_and_those_after_it_by_the_new(beat: Beat) -> None:
    beat.write(mine("every 10s"))
    beat.after(5)
    beat.clock.forward(6)
    beat.write(mine("every 15s"))
    assert beat.after(1) == ["12:00:10Z"]
    assert beat.after(3) == ["12:00:15Z"]
    assert beat.after(5) == []


def test_a_paused_job_of_the_table_is_silent_until_it_is_resumed_and_makes_nothing_up(beat: Beat) -> None:
    beat.write(paused(schedule_of(PING), "deploy"))
    assert beat.after(130) == []
    beat.write(resumed(paused(schedule_of(PING), "deploy")))
    assert beat.after(1) == []
    assert beat.after(49) == ["12:03:00Z"]
    assert beat.claims.entries == []


def test_a_slot_that_was_due_just_before_the_pause_is_skipped_and_said(beat: Beat) -> None:
    beat.clock.forward(60)
    beat.write(paused(schedule_of(PING), "deploy"))
    assert beat.after(1) == []
    assert [(each.run.key, each.run.outcome) for each in beat.claims.entries] == [
        ("2026-11-20T12:01:00Z", Outcome.SKIPPED)
    ]


def test_a_deleted_schedule_is_forgotten(beat: Beat) -> None:
    beat.write(mine("every 30s"))
    beat.after(1)
    beat.write(removed(mine("every 30s")))
    assert beat.after(40) == []
    assert "mine" not in beat.dispatcher.timetable.jobs


def test_a_schedule_runs_as_often_as_it_is_to(beat: Beat) -> None:
    beat.write(mine("every 10s"), times=2)
    assert [beat.after(10) for _ in range(4)] == [["12:00:10Z"], ["12:00:20Z"], [], []]


def test_a_schedule_that_can_t_be_decoded_stops_no_other(beat: Beat) -> None:
    beat.write(mine("every so often"))
    beat.write(Schedule(job="good", origin=Origin.STORE, cadence="every 30s"))
    assert beat.after(30) == ["12:00:30Z"]
    assert list(beat.watch.broken) == ["mine"]
    beat.write(mine("every 40s"))
    beat.after(1)
    assert beat.watch.broken == {}


def test_the_table_comes_before_a_schedule_of_the_same_name(beat: Beat) -> None:
    beat.write(Schedule(job="ping", origin=Origin.STORE, cadence="every 1s"))
    assert beat.after(30) == []


def test_a_store_that_was_emptied_leaves_the_table(beat: Beat) -> None:
    beat.write(mine("every 30s"))
    beat.write(paused(schedule_of(PING), ""))
    beat.after(1)
    beat.store.schedules.clear()
    beat.claims.paused.clear()
    beat.store.log = None
    beat.after(1)
    assert set(beat.dispatcher.timetable.jobs) == {"ping"}


def test_an_error_is_said_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    log = ErrorLog()
    for errors in ({"mine": "bad"}, {"mine": "bad"}, {}, {}):
        log.say(errors)
    assert len(caplog.records) == 2


def test_a_clock_far_from_redis_follows_redis_until_both_agree() -> None:
    clock, day = SharedClock(), timedelta(days=1)
    clock.meet(NOON + day, NOON)
    assert clock.read(NOON + day) == NOON
    clock.meet(NOON + timedelta(seconds=9), NOON)
    assert clock.read(NOON) == NOON
