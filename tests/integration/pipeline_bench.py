"""A pipeline on real files in a temporary folder, and short ways to drive it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks import pipeline
from tasks.adapters.session_files import FolderOfSessions
from tasks.adapters.staging import StagingFolder
from tasks.adapters.warehouse import DuckWarehouse
from tasks.domain.batches import Batch, Budget, Committed, Fence, Plan, Staged
from tasks.domain.processor import Processor
from tasks.processors import registry

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@dataclass
class Hand:
    """A clock that a test moves."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Bench:
    """The services of the pipeline, and what a run of it does."""

    folder: Path
    root: Path | None = None
    processors: Mapping[str, Processor] = field(default_factory=lambda: registry().processors)
    clock: Hand = field(default_factory=Hand)
    token: int = 1

    def __post_init__(self) -> None:
        self.root = self.root or self.folder / "sessions"
        self.root.mkdir(exist_ok=True)
        self.session_files = FolderOfSessions(self.root)
        self.staging = StagingFolder(self.folder / "staging")
        self.warehouse = DuckWarehouse(
            self.folder / "warehouse.duckdb", self.processors, clock=self.clock, patience_s=5
        )

    def scan(self, **budget: int) -> Plan:
        return pipeline.scan(self, tuple(self.processors), Budget(**budget))

    def process(self, batch: Batch) -> Staged:
        return pipeline.process(self, batch)

    def stage(self) -> list[Staged]:
        return [self.process(batch) for batch in self.scan().batches]

    def commit(self, staged: Staged) -> Committed:
        return pipeline.commit(self, staged, Fence(name="test", token=self.token))

    def ingest(self) -> list[Committed]:
        return [self.commit(staged) for staged in self.stage()]

    def write(self, path: str, *lines: bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(lines))
        return target

    def append(self, path: str, *lines: bytes) -> None:
        with (self.root / path).open("ab") as stream:
            stream.writelines(lines)

    def rows(self, sql: str) -> list[tuple]:
        return self.warehouse.query(sql)[1]

    def sessions(self) -> dict[tuple[str, str], dict]:
        columns, rows = self.warehouse.query("select * from usage_sessions order by username, session_id")
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        return {(row["username"], row["session_id"]): row for row in found}

    def cursor(self, path: str) -> dict:
        columns, rows = self.warehouse.query(f"select * from session_files where path = '{path}'")
        return dict(zip(columns, rows[0], strict=True))
