"""One beat's share of the work, with other beats beside it and Redis going away."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from tasks.domain.cadence import Interval
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.outcomes import Outcome, Source
from tasks.domain.timetable import Timetable
from tasks.errors import RedisUnavailableError
from tests.fakes import FakeClock, MemoryClaims
from workers.beat_history import BacklogRecorder
from workers.dispatcher import Dispatcher, Fire

PING = Job(
    name="ping", cadence=Interval(every=timedelta(seconds=60)), action=HttpCall(method=Method.GET, url="/", timeout=1)
)


@dataclass(kw_only=True)
class Beats:
    """Several beats on one Redis, and the queue that they send to."""

    clock: FakeClock = field(default_factory=FakeClock)
    queue: list[Fire] = field(default_factory=list)
    broken: bool = False

    def __post_init__(self) -> None:
        self.claims = MemoryClaims(clock=self.clock)
        self.claims.open()

    def beat(self, name: str, handled: dict[str, datetime] | None = None) -> Dispatcher:
        timetable = Timetable.start({"ping": PING}, handled or {}, self.clock.now())
        record = BacklogRecorder(dispatches=self.claims, clock=self.clock).record
        return Dispatcher(timetable=timetable, dispatches=self.claims, send=self.send, record=record, beat=name)

    def send(self, fire: Fire) -> None:
        if self.broken:
            raise RedisUnavailableError("away")
        self.queue.append(fire)


@pytest.fixture
def beats() -> Beats:
    return Beats()


def test_a_due_slot_is_sent_with_the_same_task_id_by_every_beat(beats: Beats) -> None:
    one, two = beats.beat("one"), beats.beat("two")
    beats.clock.forward(60)
    one.run(beats.clock.now())
    two.run(beats.clock.now())
    assert [fire.launch.key for fire in beats.queue] == ["2026-11-20T12:01:00Z"]
    assert (one.fires, two.fires) == (1, 0)
    again = Beats()
    other = again.beat("three")
    again.clock.forward(60)
    other.run(again.clock.now())
    assert again.queue[0].launch.run_id == beats.queue[0].launch.run_id


def test_a_slot_whose_beat_died_before_it_sent_is_taken_over_after_two_seconds(beats: Beats) -> None:
    dying, other = beats.beat("dying"), beats.beat("other")
    beats.clock.forward(60)
    beats.broken = True
    with pytest.raises(RedisUnavailableError):
        dying.run(beats.clock.now())
    beats.broken = False
    other.run(beats.clock.now())
    assert beats.queue == []
    assert other.seconds_to_next(beats.clock.now()) == 2
    beats.clock.forward(2)
    other.run(beats.clock.now())
    assert [fire.launch.key for fire in beats.queue] == ["2026-11-20T12:01:00Z"]


def test_a_slot_that_could_not_be_sent_stays_due(beats: Beats) -> None:
    beat = beats.beat("one")
    beats.clock.forward(60)
    beats.broken = True
    with pytest.raises(RedisUnavailableError):
        beat.run(beats.clock.now())
    beats.broken = False
    beats.clock.forward(1)
    beat.run(beats.clock.now())
    assert len(beats.queue) == 1


def test_slots_of_downtime_are_missed_and_the_newest_is_caught_up(beats: Beats) -> None:
    past = beats.clock.now()
    beats.clock.forward(190)
    beat = beats.beat("one", handled={"ping": past})
    beats.claims.epoch = past
    beat.run(beats.clock.now())
    assert [(fire.launch.key, fire.launch.source) for fire in beats.queue] == [("2026-11-20T12:03:00Z", Source.BEAT)]
    missed = [(entry.run.key, entry.run.outcome) for entry in beats.claims.entries]
    assert missed == [("2026-11-20T12:01:00Z", Outcome.MISSED), ("2026-11-20T12:02:00Z", Outcome.MISSED)]


def test_a_slot_that_runs_late_says_so(beats: Beats) -> None:
    past = beats.clock.now()
    beats.clock.forward(75)
    beat = beats.beat("one", handled={"ping": past})
    beats.claims.epoch = past
    beat.run(beats.clock.now())
    assert [fire.launch.source for fire in beats.queue] == [Source.CATCH_UP]


def test_nobody_may_run_a_slot_after_its_grace(beats: Beats) -> None:
    beat = beats.beat("one")
    beats.clock.forward(60)
    beat.run(beats.clock.now())
    assert beats.queue[0].window_end - beats.clock.now() == timedelta(seconds=120)


def test_slots_are_sent_before_the_history_of_a_downtime_is_written(beats: Beats) -> None:
    past = beats.clock.now()
    beats.clock.forward(190)
    beat, sent_before = beats.beat("one", handled={"ping": past}), []
    beats.claims.epoch = past
    beat.record = lambda _: sent_before.extend(beats.queue)
    beat.run(beats.clock.now())
    assert [fire.launch.key for fire in sent_before] == ["2026-11-20T12:03:00Z"]


def test_history_that_a_beat_could_not_write_is_owed_until_another_does(beats: Beats) -> None:
    past = beats.clock.now()
    beats.clock.forward(190)
    dying = beats.beat("one", handled={"ping": past})
    beats.claims.epoch = past
    dying.record = lambda _: None
    dying.run(beats.clock.now())
    assert beats.claims.entries == []
    BacklogRecorder(dispatches=beats.claims, clock=beats.clock).record(beats.claims.owed())
    assert [entry.run.key for entry in beats.claims.entries] == ["2026-11-20T12:01:00Z", "2026-11-20T12:02:00Z"]
    assert beats.claims.owed() == []


def test_a_year_of_downtime_is_one_row_and_the_newest_slots(beats: Beats) -> None:
    past = beats.clock.now()
    beats.clock.forward(365 * 86_400)
    beat = beats.beat("one", handled={"ping": past})
    beats.claims.epoch = past
    beat.run(beats.clock.now())
    first, *rest = [entry.run for entry in beats.claims.entries]
    assert (first.detail["slots"], len(rest)) == (365 * 1440 - 1 - 10_000, 10_000)


def test_a_job_whose_message_can_t_be_made_stops_no_other(beats: Beats) -> None:
    beat = beats.beat("one")
    beat.timetable.put(replace(PING, name="bad"), beats.clock.now())

    def send(fire: Fire) -> None:
        if fire.job.name == "bad":
            raise TypeError("no JSON")
        beats.queue.append(fire)

    beat.send = send
    beats.clock.forward(60)
    beat.run(beats.clock.now())
    assert [fire.job.name for fire in beats.queue] == ["ping"]
    assert beat.unsendable == {"bad": "TypeError: no JSON"}
