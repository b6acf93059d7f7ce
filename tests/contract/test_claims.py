"""The contract of claims, dispatches and ledger: the fake and the real Redis answer alike."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import redis

from tasks.adapters.claims import RedisClaims, RedisDispatches, RedisLedger
from tasks.domain.backlog import Backlog, Row
from tasks.domain.claims import Dispatch, Hold, Lease, Refusal, Refused, Terms
from tasks.domain.outcomes import Launch, Outcome, Run, Source
from tasks.domain.policies import Overlap
from tasks.domain.slots import slot_text
from tests.fakes import FakeClock, MemoryClaims

SHORT = timedelta(milliseconds=120)
LONG = Terms(lease=timedelta(seconds=30))


@dataclass(frozen=True, kw_only=True)
class World:
    """Claims under test, and how its time goes by."""

    claims: MemoryClaims | RedisClaims
    dispatches: MemoryClaims | RedisDispatches
    ledger: MemoryClaims | RedisLedger
    now: Callable[[], datetime]
    wait: Callable[[float], None]
    forget: Callable[[Launch], object]

    def launch(self, job: str = "ping", *, after: float = 60, manual: bool = False) -> Launch:
        slot = self.now() + timedelta(seconds=after)
        key = f"manual-{after}" if manual else slot_text(slot)
        return Launch(job=job, key=key, slot=None if manual else slot, source=Source.BEAT, run_id=f"id-{key}")

    def outcomes(self) -> list[tuple[str, Outcome]]:
        return [(each.run.key, each.run.outcome) for each in self.ledger.read("0", 1000)]


@pytest.fixture
def memory() -> World:
    clock = FakeClock()
    claims = MemoryClaims(clock=clock)
    return World(
        claims=claims, dispatches=claims, ledger=claims, now=clock.now, wait=clock.forward, forget=claims.forget
    )


@pytest.fixture
def real(redis_url: str) -> Iterator[World]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield World(
            claims=RedisClaims(client),
            dispatches=RedisDispatches(client),
            ledger=RedisLedger(client),
            now=lambda: datetime.now(UTC),
            wait=time.sleep,
            forget=lambda launch: client.delete(f"escapement:slot:{launch.identity}"),
        )


@pytest.fixture(params=["memory", "real"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    found.claims.open()
    return found


def claimed(answer: Lease | Refused) -> Lease:
    assert isinstance(answer, Lease), answer
    return answer


def reason(answer: Lease | Refused) -> Refusal:
    assert isinstance(answer, Refused), answer
    return answer.reason


def ended(lease: Lease, outcome: Outcome = Outcome.OK) -> Run:
    launch = lease.launch
    return Run(
        job=launch.job, key=launch.key, slot=launch.slot, source=launch.source, outcome=outcome, run_id=launch.run_id,
        token=lease.token,
    )  # fmt: skip


def test_a_slot_is_given_out_once(world: World) -> None:
    launch = world.launch()
    claimed(world.claims.claim(launch, LONG, worker="a"))
    assert world.claims.claim(launch, LONG, worker="b") == Refused(reason=Refusal.DUPLICATE, by="running")


def test_a_slot_that_has_ended_is_a_duplicate_and_says_how_it_ended(world: World) -> None:
    launch = world.launch()
    lease = claimed(world.claims.claim(launch, LONG, worker="a"))
    assert world.claims.record(lease, ended(lease, Outcome.FAILED)) is Outcome.FAILED
    assert world.claims.claim(launch, LONG, worker="b") == Refused(reason=Refusal.DUPLICATE, by="failed")


def test_the_fencing_token_only_grows(world: World) -> None:
    tokens = [claimed(world.claims.claim(world.launch(f"job-{n}"), LONG, worker="a")).token for n in range(5)]
    assert tokens == sorted(set(tokens))


def test_a_slot_of_a_busy_job_is_skipped_and_the_ledger_says_so(world: World) -> None:
    first, second = world.launch(after=60), world.launch(after=120)
    claimed(world.claims.claim(first, LONG, worker="a"))
    assert world.claims.claim(second, LONG, worker="b") == Refused(
        reason=Refusal.BUSY, by=f"{first.identity} is still running"
    )
    assert world.outcomes() == [(second.key, Outcome.SKIPPED)]
    assert world.claims.claim(second, LONG, worker="b") == Refused(reason=Refusal.DUPLICATE, by="skipped")


def test_a_deferred_slot_waits_until_its_job_is_free(world: World) -> None:
    first, second = world.launch(after=60), world.launch(after=120)
    lease = claimed(world.claims.claim(first, LONG, worker="a"))
    defer = Terms(lease=LONG.lease, overlap=Overlap.DEFER)
    assert reason(world.claims.claim(second, defer, worker="b")) is Refusal.WAIT
    assert world.outcomes() == []
    world.claims.record(lease, ended(lease))
    claimed(world.claims.claim(second, defer, worker="b"))


def test_one_slot_may_queue_and_the_next_is_skipped(world: World) -> None:
    first, second, third = (world.launch(after=after) for after in (60, 120, 180))
    lease = claimed(world.claims.claim(first, LONG, worker="a"))
    queue = Terms(lease=LONG.lease, overlap=Overlap.QUEUE)
    assert reason(world.claims.claim(second, queue, worker="b")) is Refusal.WAIT
    assert world.claims.claim(third, queue, worker="c") == Refused(
        reason=Refusal.BUSY, by=f"{second.identity} is waiting already"
    )
    assert reason(world.claims.claim(second, queue, worker="b")) is Refusal.WAIT
    world.claims.record(lease, ended(lease))
    claimed(world.claims.claim(second, queue, worker="b"))


def test_a_group_runs_no_more_at_once_than_its_limit(world: World) -> None:
    two = Terms(lease=LONG.lease, group="llm", group_limit=2)
    first = claimed(world.claims.claim(world.launch("one"), two, worker="a"))
    claimed(world.claims.claim(world.launch("two"), two, worker="a"))
    claimed(world.claims.claim(world.launch("elsewhere"), LONG, worker="a"))
    assert world.claims.claim(world.launch("three"), two, worker="a") == Refused(
        reason=Refusal.BUSY, by="the group llm runs 2 at once"
    )
    world.claims.record(first, ended(first))
    claimed(world.claims.claim(world.launch("four"), two, worker="a"))


def test_a_run_that_died_gives_its_place_in_the_group_back(world: World) -> None:
    one = Terms(lease=SHORT, group="llm", group_limit=1)
    claimed(world.claims.claim(world.launch("one"), one, worker="a"))
    world.wait(0.2)
    claimed(world.claims.claim(world.launch("two"), one, worker="a"))


def test_a_slot_that_was_given_back_may_be_claimed_again(world: World) -> None:
    launch, window_end = world.launch(), world.now() + timedelta(seconds=60)
    lease = claimed(world.claims.claim(launch, LONG, worker="a"))
    assert world.claims.give_back(lease, window_end)
    assert not world.claims.give_back(lease, window_end)
    again = claimed(world.claims.claim(launch, LONG, worker="b"))
    assert again.token > lease.token
    assert world.claims.renew(lease) is Hold.LOST


def test_a_slot_that_was_given_back_and_never_claimed_again_is_missed(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), LONG, worker="a"))
    world.claims.give_back(lease, world.now() + SHORT)
    world.wait(0.2)
    assert world.claims.reap() == [lease.launch.identity]
    assert world.outcomes() == [(lease.launch.key, Outcome.MISSED)]


def test_a_slot_that_never_ran_is_settled_once(world: World) -> None:
    launch = world.launch()
    assert world.claims.settle(launch, Outcome.SKIPPED, "it has waited long enough")
    assert not world.claims.settle(launch, Outcome.SKIPPED, "it has waited long enough")
    running = claimed(world.claims.claim(world.launch("other"), LONG, worker="a"))
    assert not world.claims.settle(running.launch, Outcome.SKIPPED, "too late to say so")
    assert world.outcomes() == [(launch.key, Outcome.SKIPPED)]


def test_a_running_job_learns_that_it_is_cancelled_when_it_renews(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), LONG, worker="a"))
    assert world.claims.renew(lease) is Hold.HELD
    assert world.claims.cancel(lease.launch, "somebody") == "stopping"
    assert world.claims.renew(lease) is Hold.CANCELLED
    assert world.claims.record(lease, ended(lease, Outcome.CANCELLED)) is Outcome.CANCELLED
    assert world.claims.cancel(lease.launch, "somebody") == "cancelled"


def test_a_cancelled_run_whose_worker_died_is_cancelled_not_unknown(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), Terms(lease=SHORT), worker="a"))
    world.claims.cancel(lease.launch, "somebody")
    world.wait(0.2)
    world.claims.reap()
    assert world.outcomes() == [(lease.launch.key, Outcome.CANCELLED)]


def test_a_slot_that_was_cancelled_before_it_ran_never_runs(world: World) -> None:
    launch = world.launch()
    assert world.claims.cancel(launch, "somebody") == "cancelled"
    assert world.claims.claim(launch, LONG, worker="a") == Refused(reason=Refusal.DUPLICATE, by="cancelled")


def test_only_an_unknown_outcome_can_be_resolved(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), Terms(lease=SHORT), worker="a"))
    identity = lease.launch.identity
    assert world.claims.resolve(identity, Outcome.OK, "somebody") == "running"
    world.wait(0.2)
    world.claims.reap()
    assert world.claims.resolve(identity, Outcome.OK, "somebody") == "unknown"
    assert world.claims.resolve(identity, Outcome.FAILED, "somebody") == "ok"
    assert [outcome for _, outcome in world.outcomes()] == [Outcome.UNKNOWN, Outcome.OK]
    assert world.claims.resolve("never/heard", Outcome.OK, "somebody") == ""


def test_a_job_whose_other_side_runs_on_stays_busy_without_a_second_outcome(world: World) -> None:
    first, second, third = (world.launch(after=after) for after in (60, 120, 180))
    lease = claimed(world.claims.claim(first, LONG, worker="a"))
    world.claims.record(lease, ended(lease, Outcome.UNKNOWN), busy_for=timedelta(milliseconds=400))
    assert reason(world.claims.claim(second, LONG, worker="a")) is Refusal.BUSY
    world.wait(0.5)
    world.claims.reap()
    claimed(world.claims.claim(third, LONG, worker="a"))
    assert [outcome for _, outcome in world.outcomes()] == [Outcome.UNKNOWN, Outcome.SKIPPED]


def test_runs_that_may_overlap_do(world: World) -> None:
    allow = Terms(lease=LONG.lease, overlap=Overlap.ALLOW)
    claimed(world.claims.claim(world.launch(after=60), allow, worker="a"))
    claimed(world.claims.claim(world.launch(after=120), allow, worker="b"))


def test_jobs_do_not_stand_in_each_others_way(world: World) -> None:
    claimed(world.claims.claim(world.launch("one"), LONG, worker="a"))
    claimed(world.claims.claim(world.launch("two"), LONG, worker="a"))


def test_a_lease_that_ran_out_is_taken_over_and_its_run_is_unknown(world: World) -> None:
    first, second = world.launch(after=60), world.launch(after=120)
    lost = claimed(world.claims.claim(first, Terms(lease=SHORT), worker="a"))
    world.wait(0.2)
    claimed(world.claims.claim(second, LONG, worker="b"))
    assert world.outcomes() == [(first.key, Outcome.UNKNOWN)]
    assert world.claims.renew(lost) is Hold.LOST


def test_a_result_that_comes_after_its_lease_was_reaped_is_fenced(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), Terms(lease=SHORT), worker="a"))
    world.wait(0.2)
    assert world.claims.reap() == [lease.launch.identity]
    assert world.claims.record(lease, ended(lease)) is Outcome.FENCED
    assert [outcome for _, outcome in world.outcomes()] == [Outcome.UNKNOWN, Outcome.FENCED]


def test_a_run_that_redis_forgot_still_says_how_it_ended(world: World) -> None:
    launch = world.launch()
    lease = claimed(world.claims.claim(launch, LONG, worker="a"))
    world.forget(launch)
    world.dispatches.miss([launch], "nothing ran while it was due")
    assert world.claims.record(lease, ended(lease)) is Outcome.OK
    assert world.outcomes() == [(launch.key, Outcome.MISSED), (launch.key, Outcome.OK)]


def test_a_result_that_is_slow_but_not_reaped_stands(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), Terms(lease=SHORT), worker="a"))
    world.wait(0.2)
    assert world.claims.record(lease, ended(lease)) is Outcome.OK


def test_a_renewed_lease_is_not_reaped(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), Terms(lease=timedelta(seconds=1)), worker="a"))
    world.wait(0.7)
    assert world.claims.renew(lease) is Hold.HELD
    world.wait(0.7)
    assert world.claims.reap() == []


def test_recording_twice_writes_once(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), LONG, worker="a"))
    assert world.claims.record(lease, ended(lease)) is Outcome.OK
    assert world.claims.record(lease, ended(lease)) is Outcome.OK
    assert world.outcomes() == [(lease.launch.key, Outcome.OK)]


def test_a_slot_past_its_window_is_missed(world: World) -> None:
    launch = world.launch()
    late = Terms(lease=LONG.lease, window_end=world.now() - timedelta(seconds=1))
    assert world.claims.claim(launch, late, worker="a") == Refused(reason=Refusal.LATE)
    assert world.outcomes() == [(launch.key, Outcome.MISSED)]


def test_a_slot_due_before_redis_lost_its_data_is_never_run(world: World) -> None:
    launch = world.launch(after=-60)
    assert world.claims.claim(launch, LONG, worker="a") == Refused(reason=Refusal.LOST)
    assert world.dispatches.dispatch([(world.launch(after=-90), world.now())], beat="b") == [Dispatch.LOST]
    assert [outcome for _, outcome in world.outcomes()] == [Outcome.MISSED, Outcome.MISSED]


def test_a_manual_run_needs_no_slot(world: World) -> None:
    claimed(world.claims.claim(world.launch(manual=True), LONG, worker="a"))


def test_a_due_slot_is_dispatched_by_one_beat(world: World) -> None:
    launch, window_end = world.launch(), world.now() + timedelta(seconds=60)
    assert world.dispatches.dispatch([(launch, window_end)], beat="one") == [Dispatch.YOURS]
    assert world.dispatches.dispatch([(launch, window_end)], beat="two") == [Dispatch.THEIRS]
    world.dispatches.sent([launch], beat="one")
    assert world.dispatches.dispatch([(launch, window_end)], beat="two") == [Dispatch.GONE]


def test_a_slot_that_was_marked_but_not_sent_is_taken_over(world: World) -> None:
    launch, window_end = world.launch(), world.now() + timedelta(seconds=60)
    world.dispatches.dispatch([(launch, window_end)], beat="one")
    world.wait(2.05)
    assert world.dispatches.dispatch([(launch, window_end)], beat="two") == [Dispatch.YOURS]
    world.dispatches.sent([launch], beat="one")
    assert world.dispatches.dispatch([(launch, window_end)], beat="two") == [Dispatch.YOURS]


def test_a_dispatched_slot_that_nobody_ran_is_missed(world: World) -> None:
    launch = world.launch()
    world.dispatches.dispatch([(launch, world.now() + SHORT)], beat="one")
    assert world.claims.reap() == []
    world.wait(0.2)
    assert world.claims.reap() == [launch.identity]
    assert world.outcomes() == [(launch.key, Outcome.MISSED)]


def test_a_slot_of_downtime_is_missed_once_and_only_if_nobody_ran_it(world: World) -> None:
    ran, idle = world.launch(after=60), world.launch(after=120)
    claimed(world.claims.claim(ran, LONG, worker="a"))
    assert world.dispatches.miss([ran, idle], "nothing ran") == 1
    assert world.dispatches.miss([ran, idle], "nothing ran") == 0
    assert world.outcomes() == [(idle.key, Outcome.MISSED)]


def test_a_slot_that_was_marked_but_not_sent_is_left_to_the_next_beat(world: World) -> None:
    world.dispatches.dispatch([(world.launch(), world.now() + timedelta(seconds=300))], beat="one")
    assert world.dispatches.newest() == {}


def test_the_newest_slot_of_each_job_is_remembered(world: World) -> None:
    early, late = world.launch(after=60), world.launch(after=120)
    window_end = world.now() + timedelta(seconds=300)
    world.dispatches.dispatch([(late, window_end), (early, window_end)], beat="one")
    world.dispatches.sent([late, early], beat="one")
    newest = world.dispatches.newest()["ping"]
    assert late.slot is not None
    assert abs(newest - late.slot) < timedelta(milliseconds=1)


def test_a_slot_that_was_sent_out_of_order_does_not_pass_for_the_newest(world: World) -> None:
    first, second = world.launch(after=60), world.launch(after=120)
    world.dispatches.dispatch([(each, world.now() + timedelta(seconds=300)) for each in (first, second)], beat="one")
    world.dispatches.sent([second], beat="one", after=first.slot)
    assert world.dispatches.newest() == {}
    assert world.dispatches.dispatch([(second, world.now())], beat="two") == [Dispatch.GONE]
    world.dispatches.sent([first], beat="one")
    world.dispatches.sent([second], beat="one", after=first.slot)
    newest = world.dispatches.newest()["ping"]
    assert second.slot is not None
    assert abs(newest - second.slot) < timedelta(milliseconds=1)


def test_a_row_of_missed_slots_is_one_entry_named_by_its_first(world: World) -> None:
    first, last = (world.now() + timedelta(seconds=after) for after in (60, 120))
    backlog = Backlog(job="ping", cadence="every 1s", timezone="UTC", after=first, until=last)
    row = Row(first=first, last=last, slots=61)
    assert world.dispatches.miss_row(backlog, row, "nothing ran")
    assert not world.dispatches.miss_row(backlog, row, "nothing ran")
    assert world.outcomes() == [(slot_text(first), Outcome.MISSED)]
    assert abs(world.dispatches.newest()["ping"] - last) < timedelta(milliseconds=1)


def test_a_backlog_is_owed_until_it_is_settled_and_grows_in_place(world: World) -> None:
    after = world.now()
    small = Backlog(job="ping", cadence="every 1s", timezone="UTC", after=after, until=after + SHORT)
    grown = Backlog(job="ping", cadence="every 1s", timezone="UTC", after=after, until=after + 2 * SHORT)
    world.dispatches.owe([small])
    world.dispatches.owe([grown])
    assert world.dispatches.owed() == [grown]
    world.dispatches.settled(grown)
    assert world.dispatches.owed() == []


def test_a_name_is_held_by_one_beat_until_it_gives_it_up(world: World) -> None:
    assert world.dispatches.hold_name("beat@here", "here:1") == "here:1"
    assert world.dispatches.hold_name("beat@here", "here:2") == "here:1"
    world.dispatches.release_name("beat@here", "here:2")
    assert world.dispatches.hold_name("beat@here", "here:1") == "here:1"
    world.dispatches.release_name("beat@here", "here:1")
    assert world.dispatches.hold_name("beat@here", "here:2") == "here:2"


def test_a_run_in_parts_ends_when_the_last_part_is_done(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), LONG, worker="a"))
    assert world.claims.hand_over(lease, 2)
    first = world.claims.part_done(lease, 0, {"rows": 10})
    again = world.claims.part_done(lease, 0, {"rows": 10})
    last = world.claims.part_done(lease, 1, {"rows": 5}, "disk full")
    assert first == again
    assert first is not None
    assert (first.parts_left, first.error) == (1, None)
    assert last is not None
    assert (last.parts_left, last.error, dict(last.figures)) == (0, "disk full", {"rows": 15})


def test_a_run_in_parts_shows_how_far_it_is_from_what_was_planned_on(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), LONG, worker="a"))
    assert world.claims.progress(lease.launch.identity) is None
    world.claims.hand_over(lease, 2, {"planned": 7, "left": 1})
    begun = world.claims.progress(lease.launch.identity)
    assert begun is not None
    assert (begun.parts_left, begun.error, dict(begun.figures)) == (2, None, {"planned": 7, "left": 1})
    done = world.claims.part_done(lease, 0, {"rows": 3, "left": 2}, "disk full")
    assert done is not None
    assert dict(done.figures) == {"rows": 3, "left": 3}
    seen = world.claims.progress(lease.launch.identity)
    assert seen is not None
    assert (seen.parts_left, seen.error, dict(seen.figures)) == (1, "disk full", {"planned": 7, "left": 3, "rows": 3})


def test_a_part_of_a_run_that_lost_its_lease_is_refused(world: World) -> None:
    lease = claimed(world.claims.claim(world.launch(), Terms(lease=SHORT), worker="a"))
    world.claims.hand_over(lease, 2)
    world.wait(0.2)
    world.claims.reap()
    assert world.claims.part_done(lease, 0, {"rows": 1}) is None
    assert not world.claims.hand_over(lease, 2)


def test_the_ledger_is_read_in_pieces_and_trimmed_only_where_it_was_drained(world: World) -> None:
    for number in range(5):
        lease = claimed(world.claims.claim(world.launch(f"job-{number}"), LONG, worker="a"))
        world.claims.record(lease, ended(lease))
    first = world.ledger.read("0", 2)
    rest = world.ledger.read(first[-1].stream_id, 10)
    assert [each.run.job for each in (*first, *rest)] == [f"job-{number}" for number in range(5)]
    world.ledger.trim(rest[0].stream_id, keep=1)
    assert [each.run.job for each in world.ledger.read("0", 10)] == ["job-2", "job-3", "job-4"]


def test_two_workers_that_race_for_the_same_slots_run_each_once(real: World) -> None:
    real.claims.open()
    launches = [real.launch(f"job-{n}") for n in range(300)]
    won: list[str] = []

    def race(worker: str) -> None:
        answers = [real.claims.claim(launch, LONG, worker=worker) for launch in launches]
        won.extend(each.launch.identity for each in answers if isinstance(each, Lease))

    racers = [threading.Thread(target=race, args=(name,)) for name in ("a", "b", "c")]
    for each in racers:
        each.start()
    for each in racers:
        each.join()
    assert sorted(won) == sorted(each.identity for each in launches)


def test_a_slot_that_nobody_reaped_until_its_hash_was_gone_is_missed(real: World) -> None:
    real.claims.open()
    launch = real.launch()
    window_end = real.now() + SHORT
    real.dispatches.dispatch([(launch, window_end)], beat="one")
    real.forget(launch)
    real.wait(0.2)
    assert real.claims.reap() == [launch.identity]
    assert real.outcomes() == [(launch.key, Outcome.MISSED)]
