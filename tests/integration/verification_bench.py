"""Verification on real files, a real warehouse and a real endpoint, with the tasks called one after the other."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import msgspec

from tasks import verification_runs as runs
from tasks.adapters.knowledge import DuckKnowledge
from tasks.adapters.llm import HttpLanguageModel
from tasks.adapters.session_files import FolderOfSessions
from tasks.adapters.staging import StagingFolder
from tasks.adapters.warehouse import DuckWarehouse
from tasks.adapters.warehouse_open import opened
from tasks.domain.batches import Budget
from tasks.domain.claims import Terms
from tasks.domain.outcomes import Launch, Outcome, Result, Source
from tasks.domain.verification_questions import Style
from tasks.processors.verification import NAME, VerificationProcessor
from tasks.verification_parts import Asked, Compared, Doubt, Lane
from tasks.verification_ports import VerificationServices
from tests.fakes import FakeClock, MemoryClaims
from tests.unit.test_run_once import NoWatchdog

JOB = f"session-processor:{NAME}"


def line(role, text, at="2026-11-01T10:00:00Z", **more):
    message = {"role": role, "content": [{"type": "text", "text": text}]}
    return msgspec.json.encode({"type": role, "timestamp": at, "message": message, **more}) + b"\n"


def says(text, **more):
    """A user's line that the rule-based model finds something in."""
    return line("user", text, **more)


@dataclass
class VerificationBench:
    folder: Path
    endpoint: object
    style: Style = Style.OPENAI
    budget: Budget = field(default_factory=Budget)
    runs: int = 0

    def __post_init__(self):
        self.root = self.folder / "sessions"
        self.root.mkdir()
        self.clock = FakeClock()
        self.claims = MemoryClaims(clock=self.clock)
        self.file = self.folder / "warehouse.duckdb"
        tables = {NAME: VerificationProcessor()}
        self.warehouse = DuckWarehouse(self.file, tables, clock=self.clock.now, patience_s=5)
        self.model = HttpLanguageModel(
            url=self.endpoint.urls[self.style], name="m", style=self.style, seconds=2, first_wait_s=0.01
        )
        self.services = self.make_services(self.model)

    def make_services(self, model):
        return SimpleNamespace(
            clock=self.clock,
            claims=self.claims,
            watchdog=NoWatchdog(),
            session_files=FolderOfSessions(self.root),
            staging=StagingFolder(self.folder / "staging"),
            warehouse=self.warehouse,
            budget=self.budget,
            worker="here",
            verification=VerificationServices(knowledge=DuckKnowledge(warehouse=self.warehouse), model=model),
        )

    def write(self, path, *lines):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(lines))

    def append(self, path, *lines):
        with (self.root / path).open("ab") as stream:
            stream.writelines(lines)

    def claim(self):
        self.runs += 1
        launch = Launch(job=JOB, key=f"manual-{self.runs}", slot=None, source=Source.MANUAL, run_id=str(self.runs))
        return self.claims.claim(launch, Terms(), worker="here")

    def run(self):
        """Do a whole run; returns its Result."""
        lease = self.claim()
        planned = runs.start(self.services, lease)
        if isinstance(planned, Result):
            self.claims.settle(lease.launch, planned.outcome, "")
            self.claims.slots.clear()
            return planned
        for lane in planned:
            self.go_along(lease, sent(lane, Lane))
        run = self.claims.entries[-1].run
        return Result(outcome=run.outcome, error=run.error, detail=run.detail)

    def go_along(self, lease, lane):
        """Do what the Celery tasks do with a lane."""
        for number, part in enumerate(lane):
            asked = sent(runs.ask(self.services, lease, part), Asked)
            self.finish(lease, asked)
            problem = runs.over(self.services, lease, asked)
            if problem:
                runs.leave(self.services, lease, lane[number + 1 :], problem)
                return

    def finish(self, lease, asked):
        doubt = runs.commit(self.services, lease, asked)
        if isinstance(doubt, Doubt):
            compared = runs.compare(self.services, lease, sent(doubt, Doubt))
            if isinstance(compared, Compared):
                runs.flag(self.services, lease, sent(compared, Compared))

    def rows(self, sql):
        return self.warehouse.query(sql)[1]

    def knowledge(self, columns="content, evidence, verifiers"):
        return self.rows(f"select {columns} from knowledge order by content")

    def cursor(self, path):
        columns, rows = self.warehouse.query(f"select * from session_files where path = '{path}'")
        return dict(zip(columns, rows[0], strict=True)) if rows else None

    def try_now(self):
        """Let what waits be due."""
        with opened(self.file, patience_s=5) as connection:
            connection.execute("update session_files set next_retry_at = '2000-01-01'")


def sent(message, kind):
    """What arrives when a message is sent through the broker."""
    return msgspec.convert(msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(message))), kind)


OK, FAILED, SKIPPED = Outcome.OK, Outcome.FAILED, Outcome.SKIPPED
