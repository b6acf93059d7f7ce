"""Ports: what the work needs from the outside, and the frozen value that carries it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tasks.domain.batches import Budget, Committed, Comparison, Fence, Part, Staged
from tasks.domain.claims import Dispatch, Lease, LedgerEntry, Progress, Refused, Terms
from tasks.domain.cursor import Seen
from tasks.domain.jobs import HttpCall, Job
from tasks.domain.outcomes import Launch, Outcome, Result, Run
from tasks.domain.processor import Processor, Rows


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...


class Claims(Protocol):
    """The one place that gives out slots; raises RedisUnavailableError when it can't be reached."""

    def open(self) -> None:
        """Note since when this ledger knows what ran; harmless when repeated."""
        ...

    def claim(self, launch: Launch, terms: Terms, *, worker: str) -> Lease | Refused:
        """Give the slot and its job's lease to the caller, or say why not."""
        ...

    def renew(self, lease: Lease) -> bool:
        """Prolong the lease; False when it is lost."""
        ...

    def hand_over(self, lease: Lease, parts: int) -> bool:
        """Let the run go on in `parts` other tasks, each ending with `part_done`; False when the lease is lost."""
        ...

    def part_done(self, lease: Lease, part: int, figures: Mapping[str, int], error: str = "") -> Progress | None:
        """Count a part as done, once, and add up its figures; None when the lease is lost."""
        ...

    def record(self, lease: Lease, run: Run) -> Outcome | None:
        """End the run: release and write the ledger. Returns the outcome that stands, None if another claim owns it."""
        ...

    def reap(self) -> Sequence[str]:
        """End leases that ran out (`unknown`) and windows that closed (`missed`); returns their identities."""
        ...


class Dispatches(Protocol):
    """What beats share: which due slots are sent, and the newest slot of each job."""

    def dispatch(self, launches: Sequence[tuple[Launch, datetime]], *, beat: str) -> list[Dispatch]:
        """Mark each launch (with the end of its window) as dispatched by this beat, once."""
        ...

    def sent(self, launches: Sequence[Launch], *, beat: str) -> None:
        """Note that their messages are in the queue."""
        ...

    def miss(self, launches: Sequence[Launch], error: str) -> int:
        """End slots that were due while nothing ran; returns how many were not known yet."""
        ...

    def newest(self) -> Mapping[str, datetime]:
        """Return the newest slot of each job that was ever dispatched or missed."""
        ...


class Ledger(Protocol):
    """The hot ledger, on its way to the warehouse."""

    def read(self, after: str, most: int) -> Sequence[LedgerEntry]:
        """Return up to `most` entries that follow the id `after` ('0' = the oldest)."""
        ...

    def trim(self, up_to: str, keep: int) -> None:
        """Drop entries the warehouse holds (ids ≤ `up_to`), but keep the newest `keep`."""
        ...


class Web(Protocol):
    """HTTP to the outside."""

    def call(self, call: HttpCall, launch: Launch) -> Result:
        """Send one request; every answer or failure comes back as a Result, nothing is raised."""
        ...


class Watchdog(Protocol):
    """Renews leases while their work is on."""

    def renewing(self, lease: Lease) -> AbstractContextManager[None]:
        """Renew at a third of the lease while the block runs."""
        ...


class SessionFiles(Protocol):
    """The transcripts below the root."""

    def listing(self) -> tuple[list[Seen], list[str]]:
        """Return every transcript, and the paths that are refused."""
        ...

    def open(self, path: str) -> AbstractContextManager[tuple[Seen, BinaryIO]]:
        """Open a transcript and say what it is now; raises OSError, FileNotFoundError when it is gone."""
        ...


class StagedWriter(Protocol):
    """Takes the rows of one batch; `failures` are by (processor, file)."""

    @property
    def folder(self) -> str: ...

    @property
    def failures(self) -> Mapping[tuple[str, int], str]: ...

    def add(self, rows: Rows) -> None:
        """Take checked rows of one file."""
        ...

    def close(self) -> Sequence[Part]:
        """Write what is left; returns what was staged."""
        ...


class Staging(Protocol):
    """Rows on their way from a worker to the warehouse."""

    def writer(self, processors: Sequence[Processor]) -> AbstractContextManager[StagedWriter]:
        """Give a writer for one batch; what it wrote goes if the block fails."""
        ...

    def paths(self, parts: Sequence[Part]) -> list[Path]:
        """Return where the parts are, or were."""
        ...

    def remove(self, folder: str) -> None:
        """Remove what one batch staged; harmless when repeated."""
        ...

    def sweep(self, older_than: datetime) -> int:
        """Remove what crashed runs left behind before an instant; returns how many batches."""
        ...


class Warehouse(Protocol):
    """The DuckDB file: runs, cursors and rows. Raises WarehouseBusyError while another process keeps it locked."""

    def compare(self, files: Sequence[Seen], wanted: Mapping[str, int]) -> Comparison:
        """Compare files with the cursors of the wanted processors (name to version), in one set operation."""
        ...

    def commit(self, staged: Staged, paths: Sequence[Path], fence: Fence) -> Committed:
        """Write staged rows and move their cursors in one transaction; raises FencedError for an old token."""
        ...

    def append_runs(self, entries: Sequence[tuple[str, Run]]) -> int:
        """Keep (stream id, run) by (job, key), the newest stream id of each; returns how many changed."""
        ...

    def last_stream_id(self) -> str | None:
        """Return the newest stream id that was ever appended."""
        ...

    def prune_runs(self, older_than: datetime) -> int:
        """Forget runs that ended before an instant; returns how many."""
        ...

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Answer a question, read-only: the columns' names and the rows."""
        ...


class PipelineServices(Protocol):
    """What the session pipeline needs."""

    @property
    def session_files(self) -> SessionFiles: ...

    @property
    def staging(self) -> Staging: ...

    @property
    def warehouse(self) -> Warehouse: ...

    @property
    def processors(self) -> Mapping[str, Processor]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Everything a task may use; made once in each process by `workers.services`."""

    clock: Clock
    claims: Claims
    dispatches: Dispatches
    ledger: Ledger
    watchdog: Watchdog
    web: Web
    jobs: Mapping[str, Job]
    processors: Mapping[str, Processor]
    session_files: SessionFiles
    staging: Staging
    warehouse: Warehouse
    budget: Budget
    worker: str
