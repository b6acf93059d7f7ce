"""Ports: what the work needs from the outside, and the frozen value that carries it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from tasks.domain.claims import Dispatch, Lease, LedgerEntry, Refused, Terms
from tasks.domain.jobs import HttpCall
from tasks.domain.outcomes import Launch, Outcome, Result, Run


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
