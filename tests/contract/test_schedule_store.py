"""The contract of the schedule store and of what it does to dispatches and claims: fake and real Redis alike."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import redis

from tasks.adapters.claims import RedisClaims, RedisDispatches, RedisLedger
from tasks.adapters.schedule_store import RedisScheduleStore
from tasks.domain.claims import Dispatch, Lease, LedgerEntry, Refusal, Refused, Terms
from tasks.domain.outcomes import Launch, Outcome, Source
from tasks.domain.policies import Overlap
from tasks.domain.schedules import Origin, Schedule, ScheduleState, removed
from tasks.domain.slots import slot_text
from tasks.domain.stored import Restored, Wish, paused, resumed
from tests.fakes import FakeClock, MemoryClaims, MemoryScheduleStore

MINE = Schedule(job="mine", origin=Origin.STORE, cadence="every 5m", definition='{"name": "mine"}')
LISTED = Schedule(job="listed", cadence="every 5m")
WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class World:
    store: MemoryScheduleStore | RedisScheduleStore
    claims: MemoryClaims | RedisClaims
    dispatches: MemoryClaims | RedisDispatches
    ledger: MemoryClaims | RedisLedger
    now: Callable[[], datetime]

    def write(self, schedule: Schedule, replaces: Schedule | None = None, times: int | None = None) -> datetime | None:
        return self.store.change(Wish(schedule=schedule, replaces=replaces, times=times, by="me"))

    def launch(self, after: float = 60, job: str = "mine") -> Launch:
        slot = self.now() + timedelta(seconds=after)
        return Launch(job=job, key=slot_text(slot), slot=slot, source=Source.BEAT, run_id=slot_text(slot))

    def dispatch(self, launch: Launch, beat: str = "one") -> Dispatch:
        (mark,) = self.dispatches.dispatch([(launch, self.now() + WINDOW)], beat=beat)
        return mark

    def outcomes(self) -> list[tuple[str, Outcome]]:
        entries = self.ledger.read("0", 100)
        return [(each.run.job, each.run.outcome) for each in entries if isinstance(each, LedgerEntry)]


@pytest.fixture
def memory() -> World:
    clock = FakeClock()
    claims = MemoryClaims(clock=clock)
    store = MemoryScheduleStore(claims=claims)
    return World(store=store, claims=claims, dispatches=claims, ledger=claims, now=clock.now)


@pytest.fixture
def real(redis_url: str) -> Iterator[World]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield World(
            store=RedisScheduleStore(client),
            claims=RedisClaims(client),
            dispatches=RedisDispatches(client),
            ledger=RedisLedger(client),
            now=lambda: datetime.now(UTC),
        )


@pytest.fixture(params=["memory", "real"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    found.claims.open()
    return found


def test_a_schedule_that_was_made_is_found(world: World) -> None:
    since = world.write(MINE)
    found = world.store.find("mine")
    assert found is not None
    assert (found.schedule, found.since, found.left) == (MINE, since, None)
    assert world.store.find("nobody's") is None


def test_who_saw_an_older_version_changes_nothing(world: World) -> None:
    world.write(MINE)
    newer = msgspec.structs.replace(MINE, cadence="every 7m")
    assert world.write(newer, replaces=MINE) is not None
    assert world.write(MINE) is None
    assert world.write(paused(MINE, ""), replaces=MINE) is None
    found = world.store.find("mine")
    assert found is not None
    assert found.schedule == newer


def test_a_beat_learns_what_changed_since_it_looked(world: World) -> None:
    world.write(MINE)
    seen = world.store.changes(None)
    assert (list(seen.schedules), seen.complete) == (["mine"], True)
    assert world.store.changes(seen.version).schedules == {}
    world.write(paused(LISTED, "deploy"))
    world.write(removed(MINE), replaces=MINE)
    news = world.store.changes(seen.version)
    assert news.schedules["mine"] is None
    assert news.schedules["listed"] is not None
    assert (set(news.schedules), news.complete) == ({"mine", "listed"}, False)


def test_a_beat_that_knows_more_than_there_is_learns_everything(world: World) -> None:
    world.write(MINE)
    assert world.store.changes(99).complete


def test_a_job_of_the_table_is_in_the_store_only_while_it_is_paused(world: World) -> None:
    world.write(paused(LISTED, ""))
    assert [each.schedule.job for each in world.store.all()] == ["listed"]
    world.write(resumed(paused(LISTED, "")), replaces=paused(LISTED, ""))
    assert world.store.all() == []


def test_no_slot_of_a_paused_job_is_dispatched_and_the_ledger_says_so(world: World) -> None:
    world.write(MINE)
    world.write(paused(MINE, "deploy"), replaces=MINE)
    launch = world.launch()
    assert world.dispatch(launch) is Dispatch.PAUSED
    assert world.dispatch(launch) is Dispatch.GONE
    assert world.outcomes() == [("mine", Outcome.SKIPPED)]


def test_a_slot_that_was_marked_or_sent_before_the_pause_does_not_run(world: World) -> None:
    world.write(MINE)
    marked, sent = world.launch(60), world.launch(61)
    assert world.dispatch(marked) is world.dispatch(sent) is Dispatch.YOURS
    world.dispatches.sent([sent], beat="one")
    world.write(paused(MINE, "deploy"), replaces=MINE)
    assert world.dispatch(marked, beat="two") is Dispatch.PAUSED
    refused = world.claims.claim(sent, Terms(), worker="a")
    assert refused == Refused(reason=Refusal.PAUSED, by="paused: deploy")
    assert world.outcomes() == [("mine", Outcome.SKIPPED), ("mine", Outcome.SKIPPED)]


def test_a_paused_job_may_be_run_by_hand(world: World) -> None:
    world.write(paused(MINE, "deploy"))
    by_hand = Launch(job="mine", key="manual-1", slot=None, source=Source.MANUAL, run_id="1")
    assert isinstance(world.claims.claim(by_hand, Terms(), worker="a"), Lease)


def test_a_job_that_was_resumed_is_dispatched_again(world: World) -> None:
    world.write(paused(MINE, ""))
    world.write(MINE, replaces=paused(MINE, ""))
    assert world.dispatch(world.launch()) is Dispatch.YOURS


def test_a_deleted_job_is_not_dispatched_by_a_beat_that_has_not_heard_of_it(world: World) -> None:
    world.write(MINE)
    world.write(removed(MINE), replaces=MINE)
    assert world.dispatch(world.launch()) is Dispatch.PAUSED
    world.write(MINE)
    assert world.dispatch(world.launch(61)) is Dispatch.YOURS


def test_a_count_is_consumed_once_for_each_slot_however_often_it_is_marked(world: World) -> None:
    world.write(MINE, times=2)
    first, second, third = (world.launch(after) for after in (60, 61, 62))
    assert world.dispatch(first) is world.dispatch(first) is Dispatch.YOURS
    assert world.dispatch(second) is Dispatch.YOURS
    assert world.dispatch(third) is Dispatch.GONE
    assert isinstance(world.claims.claim(second, Terms(), worker="a"), Lease)


def test_the_last_of_a_count_ends_the_schedule_at_its_slot(real: World) -> None:
    real.claims.open()
    real.write(MINE, times=1)
    version = real.store.version()
    launch = real.launch()
    assert real.dispatch(launch) is Dispatch.YOURS
    changed = real.store.changes(version).schedules["mine"]
    assert changed is not None
    assert changed.left == 0
    assert changed.schedule.state is ScheduleState.PAUSED
    assert launch.slot is not None
    assert timedelta(0) <= launch.slot - changed.since < timedelta(milliseconds=1)


def test_beats_that_race_for_the_last_of_a_count_start_it_once(real: World) -> None:
    real.claims.open()
    real.write(MINE, times=3)
    marks = [real.dispatch(real.launch(60 + n), beat=f"beat-{n}") for n in range(10)]
    assert marks.count(Dispatch.YOURS) == 3


def test_an_empty_store_is_restored_once(world: World) -> None:
    assert not world.store.is_open()
    past = world.now() - timedelta(hours=1)
    known = [
        Restored(job="mine", schedule=MINE, taken_care_of=past, left=2),
        Restored(job="listed", schedule=paused(LISTED, "deploy"), taken_care_of=past),
        Restored(job="other", schedule=None, taken_care_of=past),
    ]
    assert world.store.restore(known) == 2
    assert world.store.restore(known) is None
    assert world.store.is_open()
    mine = world.store.find("mine")
    assert mine is not None
    assert (mine.schedule, mine.since, mine.left) == (MINE, past, 2)
    assert world.dispatch(world.launch(job="listed")) is Dispatch.PAUSED


def test_an_entry_that_is_no_schedule_shows_as_one_that_nobody_can_decode(redis_url: str, real: World) -> None:
    real.write(MINE)
    with redis.Redis.from_url(redis_url) as client:
        client.hset("escapement:schedules", "mine", "{nonsense")
    found = real.store.find("mine")
    assert found is not None
    assert (found.schedule.job, found.schedule.definition) == ("mine", "{nonsense")


def test_nothing_starts_after_a_pause_has_answered_however_many_workers_race(real: World) -> None:
    real.claims.open()
    real.write(MINE)
    leases: list[Lease] = []
    launches = [real.launch(60 + number) for number in range(1500)]

    def race(worker: str) -> None:
        for launch in launches:
            answer = real.claims.claim(launch, Terms(overlap=Overlap.ALLOW), worker=worker)
            leases.extend([answer] if isinstance(answer, Lease) else [])

    with ThreadPoolExecutor(3) as pool:
        for worker in "abc":
            pool.submit(race, worker)
        while len(leases) < 50:
            time.sleep(0.001)
        since = real.write(paused(MINE, "now"), replaces=MINE)
    assert since is not None
    assert 50 <= len(leases) < len(launches)
    assert [each for each in leases if each.claimed_at > since] == []


def test_beats_that_race_at_the_same_time_consume_a_count_exactly(real: World) -> None:
    real.claims.open()
    real.write(MINE, times=40)
    launches = [real.launch(60 + number) for number in range(100)]

    def race(beat: str) -> list[Dispatch]:
        return [real.dispatch(launch, beat=beat) for launch in launches]

    with ThreadPoolExecutor(3) as pool:
        marks = [mark for each in pool.map(race, ("one", "two", "three")) for mark in each]
    assert marks.count(Dispatch.YOURS) == 40
    found = real.store.find("mine")
    assert found is not None
    assert found.left == 0
