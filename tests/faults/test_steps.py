"""Every step of claim, act, record and drain, and a fault at each: what becomes of the slot that it hits."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from tasks.domain.outcomes import Outcome
from tests.faults.kit.look import Seen, look, sessions_differ, violations
from tests.faults.kit.points import Deed
from tests.faults.kit.system import System, system
from tests.faults.kit.target import Behaviour

OPTIONS = {"skipping": 0, "http_jobs": 16, "http_every_s": 5, "window_s": 20}
FAILED, FENCED, OK, UNKNOWN = (
    Outcome.FAILED, Outcome.FENCED, Outcome.OK, Outcome.UNKNOWN,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A fault at a step, the outcomes that its slot may have then, and how often the target is called for it."""

    step: str
    deed: Deed
    outcomes: frozenset[Outcome] | set[Outcome] = frozenset()
    calls: int | None = None

    def __str__(self) -> str:
        return f"{self.step}-{self.deed}"


HTTP = (
    Case(step="http.claims.record.before", deed=Deed.PAUSE, outcomes={OK}, calls=1),
    Case(step="http.web.call.before", deed=Deed.FAIL, outcomes={FAILED}, calls=0),
    Case(step="http.claims.claim.before", deed=Deed.LOSE, outcomes={OK}, calls=1),
    Case(step="http.claims.claim.after", deed=Deed.LOSE, outcomes={UNKNOWN}, calls=0),
    Case(step="http.claims.record.before", deed=Deed.LOSE, outcomes={UNKNOWN}, calls=1),
    Case(step="http.claims.record.after", deed=Deed.LOSE, outcomes={OK}, calls=1),
    Case(step="http.claims.claim.before", deed=Deed.KILL, outcomes={OK}, calls=1),
    Case(step="http.claims.claim.after", deed=Deed.KILL, outcomes={UNKNOWN}, calls=0),
    Case(step="http.web.call.before", deed=Deed.KILL, outcomes={UNKNOWN}, calls=0),
    Case(step="http.web.call.after", deed=Deed.KILL, outcomes={UNKNOWN}, calls=1),
    Case(step="http.claims.record.before", deed=Deed.KILL, outcomes={UNKNOWN}, calls=1),
    Case(step="http.claims.record.after", deed=Deed.KILL, outcomes={OK}, calls=1),
    Case(step="http.web.call.after", deed=Deed.STOP, outcomes={FENCED, OK}, calls=1),
    Case(step="http.claims.claim.after", deed=Deed.STOP, outcomes={FENCED, OK}),
)
BEAT = (
    Case(step="beat.dispatches.dispatch.before", deed=Deed.KILL, outcomes={OK}, calls=1),
    Case(step="beat.dispatches.dispatch.after", deed=Deed.KILL, outcomes={OK}, calls=1),
    Case(step="beat.dispatches.sent.before", deed=Deed.KILL, outcomes={OK}, calls=1),
    Case(step="beat.dispatches.sent.after", deed=Deed.KILL, outcomes={OK}, calls=1),
    Case(step="beat.dispatches.dispatch.before", deed=Deed.LOSE, outcomes={OK}, calls=1),
    Case(step="beat.dispatches.dispatch.after", deed=Deed.LOSE, outcomes={OK}, calls=1),
    Case(step="beat.dispatches.sent.before", deed=Deed.LOSE, outcomes={OK}, calls=1),
    Case(step="beat.dispatches.dispatch.after", deed=Deed.STOP, outcomes={OK}, calls=1),
)
WAREHOUSE = (
    Case(step="warehouse.ledger.read.after", deed=Deed.KILL),
    Case(step="warehouse.warehouse.append_runs.before", deed=Deed.FAIL),
    Case(step="warehouse.warehouse.append_runs.before", deed=Deed.KILL),
    Case(step="warehouse.warehouse.append_runs.after", deed=Deed.KILL),
    Case(step="warehouse.ledger.trim.before", deed=Deed.LOSE),
    Case(step="warehouse.ledger.trim.after", deed=Deed.KILL),
    Case(step="warehouse.claims.reap.after", deed=Deed.KILL),
    Case(step="warehouse.warehouse.append_runs.after", deed=Deed.STOP),
)
SESSIONS = (
    Case(step="warehouse.warehouse.compare.after", deed=Deed.KILL),
    Case(step="warehouse.claims.hand_over.before", deed=Deed.KILL),
    Case(step="warehouse.claims.hand_over.after", deed=Deed.LOSE),
    Case(step="sessions.staging.writer.before", deed=Deed.KILL),
    Case(step="sessions.staging.writer.after", deed=Deed.FAIL),
    Case(step="warehouse.warehouse.commit.before", deed=Deed.KILL),
    Case(step="warehouse.warehouse.commit.after", deed=Deed.KILL),
    Case(step="warehouse.staging.remove.before", deed=Deed.KILL),
    Case(step="warehouse.claims.part_done.before", deed=Deed.LOSE),
    Case(step="warehouse.claims.part_done.after", deed=Deed.KILL),
    Case(step="warehouse.warehouse.commit.before", deed=Deed.STOP),
)
ANSWERS = {
    Behaviour.RESET: UNKNOWN,
    Behaviour.HANG_UP: UNKNOWN,
    Behaviour.HANG: UNKNOWN,
    Behaviour.ERROR: FAILED,
    Behaviour.ODD_ERROR: FAILED,
    Behaviour.BIG: OK,
    Behaviour.BIG_ERROR: FAILED,
    Behaviour.SLOW: OK,
}


@dataclass(frozen=True, kw_only=True)
class Struck:
    """The system after all of it, the slot that each case hit, and those that met each behaviour of the target."""

    system: System
    seen: Seen
    slots: dict[Case, str]
    answered: dict[str, str]


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Struck]:
    """Let every fault happen once, those of different processes side by side."""
    with system(tmp_path_factory.mktemp("steps"), options=OPTIONS) as running, ThreadPoolExecutor() as threads:
        running.wait_for(lambda: len(running.target.calls()) > OPTIONS["http_jobs"], 30, "not every job was called")
        slots: dict[Case, str] = {}
        for side_by_side in ((HTTP, SESSIONS), (BEAT, WAREHOUSE)):
            ends = [threads.submit(strike_all, running, cases) for cases in side_by_side]
            slots |= {case: slot for end in ends for case, slot in end.result().items()}
        running.target.behave(Behaviour.REFUSE, *ANSWERS)
        running.wait_for(lambda: len(running.target.behaviours()) >= len(Behaviour), 30, "no calls")
        running.settle()
        yield Struck(system=running, seen=look(running), slots=slots, answered=running.target.keys_by_behaviour())


def strike_all(running: System, cases: Sequence[Case]) -> dict[Case, str]:
    """Strike one after the other; a slot that should be run after all has the time to."""
    slots = {}
    for case in cases:
        running.grow()
        slot = slots[case] = running.strike(case.step, case.deed, seconds=30).identity
        if OK in case.outcomes:
            running.wait_for(partial(running.ended, slot), 30, f"{slot} did not end")
    return slots


@pytest.mark.parametrize("case", [*HTTP, *BEAT], ids=str)
def test_the_slot_that_was_hit_has_the_outcome_that_is_true(struck: Struck, case: Case) -> None:
    slot = struck.slots[case]
    assert struck.seen.runs.get(slot) in case.outcomes, struck.seen.errors.get(slot)
    if slot.startswith("job-"):
        assert case.calls in {None, struck.seen.calls.get(slot, 0)}


@pytest.mark.parametrize("behaviour", ANSWERS)
def test_an_answer_of_the_target_becomes_the_outcome_that_is_known(struck: Struck, behaviour: Behaviour) -> None:
    assert struck.seen.runs[struck.answered[behaviour]] is ANSWERS[behaviour]


def test_no_invariant_is_violated_by_any_of_it(struck: Struck) -> None:
    assert violations(struck.system) == {}


def test_the_session_tables_equal_a_rebuild_from_zero(struck: Struck, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert sessions_differ(struck.system, tmp_path_factory.mktemp("rebuild")) == []
