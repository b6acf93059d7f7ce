"""Beats whose clocks are wrong: injected, so nothing sleeps; the claims are on a real Redis and its clock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import redis

from tasks.adapters.claims import RedisClaims, RedisDispatches
from tasks.domain.cadence import Interval
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.timetable import Timetable
from workers.dispatcher import Dispatcher, Fire

SECOND = timedelta(seconds=1)
PING = Job(name="ping", cadence=Interval(every=SECOND), action=HttpCall(method=Method.GET, url="/", timeout=1))
BEGIN = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


@dataclass(kw_only=True)
class Beats:
    """Beats on one Redis, the messages that they sent, and the slots that they called missed."""

    dispatches: RedisDispatches
    sent: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def beat(self, name: str, now: datetime) -> Dispatcher:
        return Dispatcher(
            timetable=Timetable.start({"ping": PING}, {}, now),
            dispatches=self.dispatches,
            send=self.send,
            record=self.missed.extend,
            beat=name,
        )

    def send(self, fire: Fire) -> None:
        self.sent.append(fire.launch.key)


@pytest.fixture
def beats(redis_url: str) -> Iterator[Beats]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        RedisClaims(client).open()
        yield Beats(dispatches=RedisDispatches(client))


@pytest.mark.parametrize("offset", [timedelta(milliseconds=300), timedelta(seconds=7), timedelta(minutes=10)])
def test_beats_whose_clocks_differ_send_each_slot_once(beats: Beats, offset: timedelta) -> None:
    right, fast = beats.beat("right", BEGIN), beats.beat("fast", BEGIN + offset)
    for number in range(1, 40):
        fast.run(BEGIN + offset + number * SECOND)
        right.run(BEGIN + number * SECOND)
    assert len(beats.sent) == len(set(beats.sent))
    assert (right.fires > 0, fast.fires > 0) == (offset > SECOND, True)


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(seconds=20), timedelta(minutes=5)])
def test_a_clock_that_is_set_back_sends_nothing_twice(beats: Beats, back: timedelta) -> None:
    beat = beats.beat("one", BEGIN)
    for number in range(1, 31):
        beat.run(BEGIN + number * SECOND)
    for number in range(1, 31):
        beat.run(BEGIN - back + (30 + number) * SECOND)
    assert len(beats.sent) == len(set(beats.sent))


def test_a_clock_that_jumps_forward_runs_one_slot_and_calls_the_others_missed(beats: Beats) -> None:
    beat = beats.beat("one", BEGIN)
    beat.run(BEGIN + SECOND)
    beat.run(BEGIN + 61 * SECOND)
    assert len(beats.sent) == 2
    assert len(beats.missed) == 1
