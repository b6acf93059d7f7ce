"""Ports: what the work needs from the outside, and the frozen value that carries it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tasks.domain.backlog import Backlog, Row
from tasks.domain.batches import Budget
from tasks.domain.claims import Dispatch, Hold, Lease, LedgerEntry, Progress, Refused, Terms
from tasks.domain.jobs import HttpCall, Job
from tasks.domain.outcomes import Launch, Outcome, Result, Run
from tasks.domain.processor import Processor
from tasks.domain.schedules import ScheduleEntry
from tasks.errors import UnknownJobError
from tasks.ledger_ports import Records
from tasks.schedule_ports import ScheduleStore, StoredJobs
from tasks.session_ports import SessionFiles, Staging, Warehouse
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
