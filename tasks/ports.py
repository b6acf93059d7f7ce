"""Ports: what the work needs from the outside, and the frozen value that carries it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tasks.domain.backlog import Backlog, Row
from tasks.domain.batches import Budget, Committed, Comparison, Fence, Part, Staged
from tasks.domain.claims import Dispatch, Hold, Lease, LedgerEntry, Progress, Refused, Terms
from tasks.domain.cursor import Seen
from tasks.domain.jobs import HttpCall, Job
from tasks.domain.outcomes import Launch, Outcome, Result, Run
from tasks.domain.processor import Processor, Rows
from tasks.domain.schedules import ScheduleEntry
from tasks.domain.session_state import Difference, Kept, Overview, Pruned
from tasks.errors import UnknownJobError
from tasks.ledger_ports import Records
from tasks.schedule_ports import ScheduleStore, StoredJobs
from tasks.verification_ports import VerificationServices


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

    def renew(self, lease: Lease) -> Hold:
        """Prolong the lease, unless it is lost, and say how it stands."""
        ...

    def give_back(self, lease: Lease, window_end: datetime | None) -> bool:
        """Return a slot of which nothing was done, so that a later try may claim it; False when the lease is lost."""
        ...

    def hand_over(self, lease: Lease, parts: int, figures: Mapping[str, int] = ...) -> bool:
        """Let the run go on in `parts` other tasks, each ending with `part_done`; False when the lease is lost.

        Its figures begin with `figures`.
        """
        ...

    def part_done(self, lease: Lease, part: int, figures: Mapping[str, int], error: str = "") -> Progress | None:
        """Count a part as done, once, and add up its figures; None when the lease is lost."""
        ...

    def progress(self, identity: str) -> Progress | None:
        """Return how far a run in parts is; None unless it was handed over."""
        ...

    def record(self, lease: Lease, run: Run, *, busy_for: timedelta = ...) -> Outcome | None:
        """End the run: release and write the ledger; its job stays busy for `busy_for` more.

        Returns the outcome that stands, None if another claim owns the slot.
        """
        ...

    def settle(self, launch: Launch, outcome: Outcome, error: str) -> bool:
        """End a slot that never ran; False when it runs or has ended already."""
        ...

    def cancel(self, launch: Launch, who: str) -> str:
        """Ask a run to stop (`stopping`), or end its slot (`cancelled`); else the outcome it has ended with."""
        ...

    def resolve(self, identity: str, outcome: Outcome, who: str) -> str:
        """Replace an unknown outcome; returns the outcome or state that stood before, '' if nothing is remembered."""
        ...

    def reap(self) -> Sequence[str]:
        """End leases that ran out (`unknown`) and windows that closed (`missed`); returns their identities."""
        ...


class Dispatches(Protocol):
    """What beats share: which due slots are sent, and the newest slot of each job."""

    def dispatch(self, launches: Sequence[tuple[Launch, datetime]], *, beat: str) -> list[Dispatch]:
        """Mark each launch (with the end of its window) as dispatched by this beat, once."""
        ...

    def sent(self, launches: Sequence[Launch], *, beat: str, after: datetime | None = None) -> None:
        """Note that their messages are in the queue, and that their jobs are taken care of up to them.

        The latter, with `after`, only for jobs that were taken care of up to there: nothing is skipped.
        """
        ...

    def miss(self, launches: Sequence[Launch], error: str) -> int:
        """End slots that were due while nothing ran; returns how many were not known yet."""
        ...

    def miss_row(self, backlog: Backlog, row: Row, error: str) -> bool:
        """End many slots of a backlog as one entry; False when it is known."""
        ...

    def owe(self, backlogs: Sequence[Backlog]) -> None:
        """Keep backlogs until they are settled, whoever does it."""
        ...

    def owed(self) -> Sequence[Backlog]:
        """Return the backlogs that nobody has settled yet."""
        ...

    def settled(self, backlog: Backlog) -> None:
        """Forget a backlog: all its slots are recorded."""
        ...

    def hold_name(self, name: str, holder: str) -> str:
        """Hold the name of a node for 10 s unless somebody else does; returns who holds it now."""
        ...

    def release_name(self, name: str, holder: str) -> None:
        """Give a name up, if it is the holder's."""
        ...

    def newest(self) -> Mapping[str, datetime]:
        """Return the newest slot of each job that was ever sent or missed."""
        ...


class Ledger(Protocol):
    """The hot ledger, on its way to the warehouse."""

    def read(self, after: str, most: int) -> Sequence[LedgerEntry | ScheduleEntry]:
        """Return up to `most` entries that follow the id `after` ('0' = the oldest)."""
        ...

    def trim(self, up_to: str, keep: int) -> None:
        """Drop entries the warehouse holds (ids ≤ `up_to`), but keep the newest `keep`."""
        ...


class Stop(Protocol):
    """Tells the work of a run that it has to stop."""

    def check(self) -> None:
        """Raise LeaseLostError or RunCancelledError when the work has to stop."""
        ...

    def calling(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """Call back, from another thread, when the work has to stop while the block runs."""
        ...


class Web(Protocol):
    """HTTP to the outside."""

    def call(self, call: HttpCall, launch: Launch, stop: Stop) -> Result:
        """Send one request; every answer or failure comes back as a Result.

        Raises LeaseLostError or RunCancelledError when `stop` came first.
        """
        ...


class Watchdog(Protocol):
    """Renews leases while their work is on."""

    def renewing(self, lease: Lease) -> AbstractContextManager[Stop]:
        """Renew at a third of the lease while the block runs; says when its work has to stop."""
        ...

    def look_now(self, identity: str) -> bool:
        """Renew the lease of a run at once, if it is one of this process, so that a wish to stop is seen."""
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

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Answer a question (with `$name` for values), read-only: the columns' names and the rows."""
        ...

    def overview(self) -> Overview:
        """Return what the cursors say: totals of each user, files in trouble."""
        ...

    def retry(self, processors: Sequence[str], paths: Sequence[str]) -> int:
        """Let failed files be tried at once; returns how many. Empty means all."""
        ...

    def reprocess(self, processor: str, paths: Sequence[str]) -> int:
        """Let files be read from their beginning; returns how many. Empty means all."""
        ...

    def prune_sessions(self, older_than: datetime, present: Sequence[str]) -> Pruned:
        """Forget rows of files last changed before an instant, and the cursors of those that are not `present`."""
        ...

    def kept(self, processor: Processor) -> Sequence[Kept]:
        """Return the cursors of a processor's present version."""
        ...

    def differences(
        self, processor: Processor, files: Sequence[int], staged: Sequence[tuple[Part, Path]]
    ) -> Sequence[Difference]:
        """Compare the rows of these files with staged rows of a rebuild, through the processor's own views."""
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
    records: Records
    watchdog: Watchdog
    web: Web
    jobs: Mapping[str, Job]
    store: ScheduleStore
    stored_jobs: StoredJobs
    processors: Mapping[str, Processor]
    session_files: SessionFiles
    staging: Staging
    warehouse: Warehouse
    budget: Budget
    worker: str
    verification: VerificationServices | None = None

    def job(self, name: str) -> Job:
        """Look a job up, in the table first; raises UnknownJobError that lists the names there are."""
        found = self.jobs.get(name) or self.stored_jobs.find(name)
        if found is None:
            there = sorted({*self.jobs, *self.stored_jobs.names()})
            raise UnknownJobError(f"no job is named {name!r}; there are: {', '.join(there)}")
        return found
