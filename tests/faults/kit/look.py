"""What must hold after any fault, seen from outside: the target's calls, the ledger, and the warehouse."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks import pipeline
from tasks.adapters.claims import RedisLedger
from tasks.adapters.session_files import FolderOfSessions
from tasks.adapters.staging import StagingFolder
from tasks.adapters.warehouse import DuckWarehouse
from tasks.domain.batches import Budget, Fence
from tasks.domain.claims import LedgerEntry
from tasks.domain.outcomes import Outcome
from tasks.processors import registry
from tasks.session_ports import SessionFiles, Staging, Warehouse
from tests.conftest import ROOT
from tests.faults.kit.system import System, query

NEVER_CALLED = {Outcome.SKIPPED, Outcome.MISSED}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Everything there is to know about a system that has settled; slots by identity."""

    calls: Mapping[str, int]
    ledger: Mapping[str, list[Outcome]]
    runs: Mapping[str, Outcome]
    rows: int
    errors: Mapping[str, str]

    def run_twice(self) -> list[str]:
        return [key for key, count in self.calls.items() if key and count > 1]

    def contradictions(self) -> list[str]:
        """Slots with other than one outcome; a late result that was refused does not count."""
        return [
            f"{slot}: {[*outcomes]}"
            for slot, outcomes in self.ledger.items()
            if len([each for each in outcomes if each is not Outcome.FENCED]) != 1
        ]

    def gaps(self, every: timedelta) -> list[str]:
        """Slots of HTTP jobs that nobody knows of, between the first and the last of each job."""
        by_job: dict[str, list[datetime]] = defaultdict(list)
        for identity in self.runs:
            job, _, key = identity.rpartition("/")
            if job.startswith("job-"):
                by_job[job].append(datetime.fromisoformat(key))
        return [
            f"{job}: nothing between {before} and {after}"
            for job, slots in by_job.items()
            for before, after in zip(sorted(slots), sorted(slots)[1:], strict=False)
            if after - before > every
        ]

    def lost_or_doubled(self) -> list[str]:
        """Slots whose row in the warehouse is not the ledger's last word, or that have no row, or two."""
        wrong = [
            slot for slot, outcomes in self.ledger.items() if slot in self.runs and self.runs[slot] is not outcomes[-1]
        ]
        missing = [slot for slot in self.ledger if slot not in self.runs]
        return [*wrong, *missing, *([] if self.rows == len(self.runs) else ["a slot has two rows"])]

    def lies(self) -> list[str]:
        """Slots whose outcome denies what the target saw."""
        said_ok = [slot for slot, each in self.runs.items() if each is Outcome.OK and slot.startswith("job-")]
        never_received = [slot for slot in said_ok if slot not in self.calls]
        received = [slot for slot, each in self.runs.items() if each in NEVER_CALLED and slot in self.calls]
        return [
            *(f"{slot} was never received" for slot in never_received),
            *(f"{slot} was received" for slot in received),
        ]


def look(system: System) -> Seen:
    """Read everything; the system should have settled before."""
    ledger: dict[str, list[Outcome]] = defaultdict(list)
    for each in RedisLedger(system.direct).read("0", 1_000_000):
        if isinstance(each, LedgerEntry):
            ledger[f"{each.run.job}/{each.run.key}"].append(each.run.outcome)
    rows = query(system.warehouse_file, "select job || '/' || key, outcome, error from runs")
    runs = {slot: Outcome(outcome) for slot, outcome, _ in rows}
    errors = {slot: error for slot, _, error in rows if error}
    return Seen(calls=system.target.calls(), ledger=ledger, runs=runs, rows=len(rows), errors=errors)


def violations(system: System, *, redis_lost_data: bool = False) -> dict[str, list[str]]:
    """Say which invariants do not hold. What Redis forgot can be neither complete nor compared with it."""
    seen = look(system)
    found = {"run twice": seen.run_twice(), "rows doubled or lost": seen.lost_or_doubled()}
    if not redis_lost_data:
        found["without one outcome"] = seen.contradictions()
        found["unaccounted"] = seen.gaps(timedelta(seconds=system.options["http_every_s"]))
        found["outcome denies the target"] = seen.lies()
    return {name: problems for name, problems in found.items() if problems}


def audit(system: System) -> str:
    """Ask the product's own audit; '' when it says that no slot vanished."""
    command = [str(Path(sys.executable).with_name("celery")), "-A", "tests.faults.kit.app", "audit"]
    env = {**system.env, "FAULT_ROLE": "audit"}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@dataclass(frozen=True, kw_only=True)
class Rebuild:
    session_files: SessionFiles
    staging: Staging
    warehouse: Warehouse
    processors = registry().processors


def sessions_differ(system: System, folder: Path) -> list[str]:
    """Compare the session tables with a rebuild from zero, after reading what is left in the same way."""
    services = _pipeline(system, system.warehouse_file)
    _ingest(services, token=2**60)
    fresh = folder / "rebuild.duckdb"
    _ingest(_pipeline(system, fresh), token=1)
    views = [view for processor in services.processors.values() for view in processor.compared]
    return [view for view in views if _rows(system.warehouse_file, view) != _rows(fresh, view)]


def _rows(file: Path, view: str) -> list[tuple]:
    return query(file, f"select * from {view} order by all")


def _pipeline(system: System, file: Path) -> Rebuild:
    return Rebuild(
        session_files=FolderOfSessions(system.sessions),
        staging=StagingFolder(system.folder / "staging-of-the-test"),
        warehouse=DuckWarehouse(file, registry().processors, clock=lambda: datetime.now(UTC)),
    )


def _ingest(services: Rebuild, token: int) -> None:
    for batch in pipeline.scan(services, tuple(services.processors), Budget()).batches:
        pipeline.commit(services, pipeline.process(services, batch), Fence(name="test", token=token))
