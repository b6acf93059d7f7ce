"""Slots that somebody else than the timetable fires, and the beat that comes after."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tasks.domain.cadence import Interval
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.outcomes import Source
from tasks.domain.timetable import Timetable
from tasks.errors import RedisUnavailableError
from tests.fakes import FakeClock, MemoryClaims
from workers.dispatcher import Dispatcher, Fire
from workers.triggers.firing import Firing, due_slot, is_due

MINUTE = timedelta(seconds=60)
PING = Job(name="ping", cadence=Interval(every=MINUTE), action=HttpCall(method=Method.GET, url="/", timeout=1))


@dataclass(kw_only=True)
class Scene:
    """One Redis, one queue, a beat that holds back for five seconds, and callers beside it."""

    clock: FakeClock = field(default_factory=FakeClock)
    queue: list[Fire] = field(default_factory=list)
    broken: bool = False

    def __post_init__(self) -> None:
        self.claims = MemoryClaims(clock=self.clock)
        self.claims.open()
        self.beat = Dispatcher(
            timetable=Timetable.start({"ping": PING}, {}, self.clock.now()),
            dispatches=self.claims,
            send=self.send,
            record=lambda _: None,
            beat="beat",
            hold=timedelta(seconds=5),
        )
        self.caller = Firing(dispatches=self.claims, send=self.send, who="flower", source=Source.WEBHOOK)

    def send(self, fire: Fire) -> None:
        if self.broken:
            raise RedisUnavailableError("away")
        self.queue.append(fire)

    def call(self, slot: datetime) -> bool:
        return self.caller.fire(PING, slot, self.clock.now())

    def sent(self) -> list[tuple[str, Source]]:
        return [(fire.launch.key, fire.launch.source) for fire in self.queue]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_called_slot_is_sent_once_by_whoever_came_first(scene: Scene) -> None:
    scene.clock.forward(60)
    slot = scene.clock.now()
    assert [scene.call(slot), scene.call(slot)] == [True, False]
    scene.clock.forward(5)
    scene.beat.run(scene.clock.now())
    assert scene.sent() == [("2026-11-20T12:01:00Z", Source.WEBHOOK)]


def test_a_slot_that_nobody_called_is_swept_when_the_hold_is_over(scene: Scene) -> None:
    assert scene.beat.seconds_to_next(scene.clock.now()) == 65
    scene.clock.forward(64)
    scene.beat.run(scene.clock.now())
    assert scene.sent() == []
    scene.clock.forward(1)
    scene.beat.run(scene.clock.now())
    assert scene.sent() == [("2026-11-20T12:01:00Z", Source.BEAT)]
    assert scene.queue[0].launch.dispatched_at == scene.clock.now()


def test_a_call_after_the_sweep_gets_nothing(scene: Scene) -> None:
    scene.clock.forward(65)
    scene.beat.run(scene.clock.now())
    assert not scene.call(scene.clock.now() - timedelta(seconds=5))


def test_a_mark_whose_message_was_not_sent_is_taken_over_by_the_sweep(scene: Scene) -> None:
    scene.clock.forward(60)
    scene.broken = True
    with pytest.raises(RedisUnavailableError):
        scene.call(scene.clock.now())
    scene.broken = False
    scene.clock.forward(5)
    scene.beat.run(scene.clock.now())
    assert scene.sent() == [("2026-11-20T12:01:00Z", Source.BEAT)]


def test_calls_do_not_hide_a_slot_that_was_skipped_from_the_next_beat(scene: Scene) -> None:
    first = scene.clock.now() + MINUTE
    scene.clock.forward(120)
    assert scene.call(first + MINUTE)
    assert scene.claims.newest() == {}
    assert scene.call(first)
    assert scene.call(first + MINUTE) is False


def test_the_sweep_says_up_to_where_a_job_is_taken_care_of(scene: Scene) -> None:
    scene.clock.forward(120)
    assert scene.call(scene.clock.now())
    scene.clock.forward(5)
    scene.beat.run(scene.clock.now())
    assert scene.claims.newest() == {"ping": scene.clock.now() - timedelta(seconds=5)}


def test_a_slot_is_due_from_its_instant_until_its_window_ends(scene: Scene) -> None:
    noon, minute = scene.clock.now(), timedelta(minutes=1)
    hourly = Job(name="hourly", cadence=Interval(every=60 * minute), action=PING.action)
    assert is_due(hourly, noon, noon)
    assert is_due(hourly, noon, noon + 30 * minute)
    assert not is_due(hourly, noon, noon + 31 * minute)
    assert not is_due(hourly, noon, noon - timedelta(microseconds=1))
    assert not is_due(hourly, noon + minute, noon + minute)


def test_the_newest_slot_that_nobody_took_care_of_is_the_one_that_is_due(scene: Scene) -> None:
    noon = scene.clock.now()
    assert due_slot(PING, noon - MINUTE, noon + 2.5 * MINUTE) == noon + 2 * MINUTE
    assert due_slot(PING, noon + 2 * MINUTE, noon + 2.5 * MINUTE) is None
