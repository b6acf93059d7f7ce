"""The one path that runs a job: whatever the work does, the slot ends in one outcome."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest

from tasks.domain.claims import Again, Lease, Refusal, Refused, Terms
from tasks.domain.outcomes import Launch, Outcome, Result, Run, Source
from tasks.domain.slots import slot_text
from tasks.errors import FencedError, LeaseLostError, RunCancelledError
from tasks.ports import Stop
from tasks.run_once import Act, run_once
from tests.fakes import FakeClock, MemoryClaims

OK = Result(outcome=Outcome.OK, detail={"status": 200})


class NeverStops:
    def check(self) -> None:
        """Nothing ever stops."""

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        yield


class NoWatchdog:
    @contextmanager
    def renewing(self, lease: Lease) -> Iterator[NeverStops]:
        yield NeverStops()

    def look_now(self, identity: str) -> bool:
        return False


@dataclass(kw_only=True)
class World:
    clock: FakeClock = field(default_factory=FakeClock)
    watchdog: NoWatchdog = field(default_factory=NoWatchdog)
    worker: str = "here"

    def __post_init__(self) -> None:
        self.claims = MemoryClaims(clock=self.clock)
        self.claims.open()
        slot = self.clock.now() + timedelta(seconds=60)
        self.launch = Launch(job="ping", key=slot_text(slot), slot=slot, source=Source.BEAT, run_id="id")
        self.clock.forward(61.5)

    def ledger(self) -> list[tuple[Outcome, str | None]]:
        return [(entry.run.outcome, entry.run.error) for entry in self.claims.entries]

    def work(self, lease: Lease, stop: Stop) -> Result:
        self.clock.forward(2)
        return OK

    def lose_the_lease(self, lease: Lease, stop: Stop) -> Result:
        self.clock.forward(31)
        self.claims.reap()
        return OK


@pytest.fixture
def world() -> World:
    return World()


def raising(error: BaseException) -> Act:
    def act(lease: Lease, stop: Stop) -> Result:
        raise error

    return act


def test_a_run_is_recorded_with_its_times_and_figures(world: World) -> None:
    run = run_once(world, world.launch, Terms(), world.work)
    assert isinstance(run, Run)
    assert (run.outcome, run.lateness_s, run.duration_s, run.detail) == (Outcome.OK, 1.5, 2.0, {"status": 200})
    assert [entry.run for entry in world.claims.entries] == [run]


def test_the_second_run_of_a_slot_does_no_work(world: World) -> None:
    run_once(world, world.launch, Terms(), world.work)
    refused = run_once(world, world.launch, Terms(), raising(AssertionError("it ran twice")))
    assert refused == Refused(reason=Refusal.DUPLICATE, by="ok")


def test_work_that_raises_has_failed_and_is_named(world: World) -> None:
    run_once(world, world.launch, Terms(), raising(ValueError("no such thing")))
    assert world.ledger() == [(Outcome.FAILED, "ValueError: no such thing")]


def test_an_error_of_many_bytes_is_cut_at_a_character(world: World) -> None:
    run_once(world, world.launch, Terms(), raising(ValueError("ž" * 300)))
    ((_, error),) = world.ledger()
    assert error is not None
    assert len(error.encode()) in {199, 200}
    assert error.endswith("ž")


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_a_worker_that_is_told_to_exit_leaves_an_unknown_outcome_and_exits(world: World, error: BaseException) -> None:
    with pytest.raises(type(error)):
        run_once(world, world.launch, Terms(), raising(error))
    assert [outcome for outcome, _ in world.ledger()] == [Outcome.UNKNOWN]


@pytest.mark.parametrize("error", [LeaseLostError("gone"), FencedError("old token")])
def test_work_that_was_fenced_says_so(world: World, error: Exception) -> None:
    run_once(world, world.launch, Terms(), raising(error))
    assert [outcome for outcome, _ in world.ledger()] == [Outcome.FENCED]


def test_a_result_that_came_after_the_lease_was_reaped_is_refused(world: World) -> None:
    run = run_once(world, world.launch, Terms(), world.lose_the_lease)
    assert isinstance(run, Run)
    assert run.outcome is Outcome.FENCED
    assert [outcome for outcome, _ in world.ledger()] == [Outcome.UNKNOWN, Outcome.FENCED]


def test_a_run_that_goes_on_elsewhere_is_not_recorded_here(world: World) -> None:
    assert run_once(world, world.launch, Terms(), lambda *_: None) is None
    assert world.ledger() == []
    assert world.claims.claim(world.launch, Terms(), worker="b") == Refused(reason=Refusal.DUPLICATE, by="running")


def test_work_that_was_cancelled_says_so(world: World) -> None:
    run_once(world, world.launch, Terms(), raising(RunCancelledError("enough")))
    assert [outcome for outcome, _ in world.ledger()] == [Outcome.CANCELLED]


def unsent(lease: Lease, stop: Stop) -> Result:
    return Result(outcome=Outcome.FAILED, error="not sent: refused", repeatable=True)


def test_a_call_that_was_surely_not_sent_is_given_back_with_growing_pauses(world: World) -> None:
    pauses = []
    for attempt in (1, 2, 3):
        launch = msgspec.structs.replace(world.launch, attempt=attempt)
        again = run_once(world, launch, Terms(), unsent)
        assert isinstance(again, Again)
        pauses.append(again.pause.total_seconds())
    assert pauses == [1, 2, 4]
    assert world.ledger() == []


def test_after_the_last_try_the_failure_stands_with_its_attempt(world: World) -> None:
    run = run_once(world, msgspec.structs.replace(world.launch, attempt=4), Terms(), unsent)
    assert isinstance(run, Run)
    assert (run.outcome, run.error, run.attempt) == (Outcome.FAILED, "not sent: refused", 4)


def test_no_try_begins_after_its_time(world: World) -> None:
    soon = Terms(retry_until=world.clock.now() + timedelta(milliseconds=900))
    assert isinstance(run_once(world, world.launch, soon, unsent), Run)


def test_an_unknown_outcome_keeps_the_job_busy_while_the_other_side_runs_on(world: World) -> None:
    unknown = Result(outcome=Outcome.UNKNOWN, error="no answer")
    run_once(world, world.launch, Terms(remote_runs_on=timedelta(minutes=5)), lambda *_: unknown)
    other = msgspec.structs.replace(world.launch, key="manual-1", slot=None)
    refused = run_once(world, other, Terms(), world.work)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.BUSY
