"""What one run may spend: batches that its time does not reach are left for the next run, the newest ones, counted."""

import os
from dataclasses import dataclass, field

import pytest

from tasks import session_runs
from tasks.domain import batches
from tasks.domain.batches import Budget
from tasks.domain.claims import Lease, Terms
from tasks.domain.outcomes import Launch, Outcome, Source
from tests.fakes import FakeClock, MemoryClaims
from tests.integration.pipeline_bench import Bench
from tests.unit.test_run_once import NoWatchdog
from workers.demo.sessions import Script

JOB = "session-processor:usage"


@dataclass
class Runs(Bench):
    """Runs of the usage processor on real files, on a clock that a test moves."""

    budget: Budget = field(default_factory=Budget)

    def __post_init__(self):
        super().__post_init__()
        self.clock, self.watchdog, self.worker = FakeClock(), NoWatchdog(), "here"
        self.claims = MemoryClaims(clock=self.clock)

    def run(self, seconds_per_batch=0):
        """Do a whole run, with so much time passing at each batch; returns how it is recorded."""
        key = f"manual-{len(self.claims.entries)}"
        launch = Launch(job=JOB, key=key, slot=None, source=Source.MANUAL, run_id=key)
        lease = self.claims.claim(launch, Terms(), worker="here")
        sent = []
        assert session_runs.start(self, lease, "usage", lambda *part: sent.append(part)) is None
        for _, part, batch in sent:
            self.part(lease, part, batch)
            self.clock.forward(seconds_per_batch)
        return self.claims.entries[-1].run

    def part(self, lease: Lease, part, batch):
        staged = session_runs.process(self, lease, part, batch)
        if staged is not None:
            session_runs.commit(self, lease, part, staged)

    def paths(self):
        return [path for (path,) in self.rows("select path from session_files order by mtime_ns")]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Five files of one batch each, `0` the oldest."""
    monkeypatch.setattr(batches.cut, "__kwdefaults__", {"most_bytes": 1})
    runs = Runs(tmp_path)
    for number in range(5):
        path = runs.write(f"u/{number}.jsonl", *Script(seed=number, session_id=str(number)).turns(1))
        os.utime(path, (1000 + number, 1000 + number))
    return runs


def test_without_a_budget_a_run_does_everything(runs):
    run = runs.run(seconds_per_batch=10_000)
    assert (run.outcome, run.detail["files"], run.detail["left_over"]) == (Outcome.OK, 5, 0)


def test_batches_are_not_started_after_the_time_is_up_and_the_oldest_come_first(runs):
    runs.budget = Budget(seconds=25)
    first = runs.run(seconds_per_batch=10)
    assert (first.outcome, first.detail["files"], first.detail["left_over"]) == (Outcome.OK, 3, 2)
    assert runs.paths() == [f"u/{number}.jsonl" for number in range(3)]
    second = runs.run(seconds_per_batch=10)
    assert (second.detail["files"], second.detail["left_over"]) == (2, 0)
    assert len(runs.paths()) == 5


def test_what_a_budget_in_bytes_leaves_is_counted_in_the_run(runs):
    runs.budget = Budget(bytes=1)
    run = runs.run()
    assert (run.detail["files"], run.detail["left_over"]) == (1, 4)
    assert runs.paths() == ["u/0.jsonl"]


def test_both_budgets_leave_files_together(runs):
    size = sum((runs.root / "u" / f"{number}.jsonl").stat().st_size for number in range(4))
    runs.budget = Budget(bytes=size, seconds=15)
    run = runs.run(seconds_per_batch=10)
    assert (run.detail["files"], run.detail["left_over"]) == (2, 3)
