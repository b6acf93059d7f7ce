"""Ports of the ledger's records, and the frozen value that carries them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tasks.domain.claims import LedgerEntry
from tasks.domain.history import Wanted
from tasks.domain.hot import HotSlot
from tasks.domain.jobs import Job
from tasks.domain.outcomes import Outcome, Run
from tasks.domain.schedules import ScheduleChange, ScheduleEntry
from tasks.domain.streaks import Alert, Delivery, Streak


class Schedules(Protocol):
    """The schedules that beats agree on; raises RedisUnavailableError when it can't be reached."""

    def publish(
        self, jobs: Mapping[str, Job], now: datetime, *, by: str, care: Mapping[str, datetime] | None = None
    ) -> int:
        """Make the table of jobs known, and what it has no more; returns how many changes the ledger got.

        A changed job holds after what `care` (or else Redis) says it is taken care of up to.
        """
        ...

    def taken_care_of(self) -> Mapping[str, datetime]:
        """Return for each job up to when its slots are taken care of: its newest slot, or when it came to be."""
        ...


class HotSlots(Protocol):
    """Slots that have not ended; raises RedisUnavailableError when they can't be read."""

    def under_way(self) -> frozenset[str]:
        """Return the identities of all slots that are dispatched, waiting or running."""
        ...

    def slot(self, job: str, key: str) -> HotSlot | None:
        """Return what is known of one slot, None when nothing is."""
        ...

    def holder(self, job: str) -> str | None:
        """Return the identity of the run that holds a job's lease now."""
        ...


class LedgerView(Protocol):
    """The ledger as it is now: the warehouse and what is on its way there."""

    @property
    def has_warehouse(self) -> bool: ...

    def runs(self, wanted: Wanted) -> Sequence[Run]:
        """Return runs, the newest first."""
        ...

    def run(self, job: str, key: str) -> Run | None:
        """Return the run of a slot, or the one with this run id."""
        ...

    def outcomes(self, since: datetime) -> Mapping[str, Mapping[str, Outcome]]:
        """Return the outcome of every slot after an instant, by job and key."""
        ...

    def rows_of_missed(self) -> Mapping[str, Sequence[tuple[datetime, datetime, Outcome]]]:
        """Return the entries that stand for many slots, by job: the first slot, the last, and the outcome of all."""
        ...

    def newest_slots(self) -> Mapping[str, datetime]:
        """Return the newest slot of each job that is recorded in the warehouse."""
        ...

    def consumed(self, job: str, since: datetime) -> int:
        """Count the slots of a job after an instant that were run, skipped or cancelled, by the warehouse alone."""
        ...

    def schedule_changes(self) -> Sequence[ScheduleChange]:
        """Return the whole history of schedules in the order of the ledger."""
        ...

    def streak(self, job: str) -> Streak | None:
        """Return a job's streak as far as it is drained."""
        ...

    def without_stream(self) -> "LedgerView":
        """Return a view of the warehouse alone."""
        ...


class Books(Protocol):
    """What the warehouse worker keeps beside the runs; raises WarehouseBusyError while the file is locked."""

    def append_schedules(self, entries: Sequence[ScheduleEntry]) -> None:
        """Keep schedule changes by their stream id; repeating it changes nothing."""
        ...

    def advance_streaks(self, entries: Sequence[LedgerEntry], *, now: datetime, alerting: bool) -> int:
        """Take runs that are newer than those already taken; returns how many alerts were queued."""
        ...

    def streaks_up_to(self) -> str | None:
        """Return the stream id of the newest run that the streaks know."""
        ...

    def take_alerts(self, most: int) -> Sequence[Alert]:
        """Take queued alerts, each once: who takes them sends them or nobody does."""
        ...

    def end_alerts(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Note what became of taken alerts."""
        ...

    def forget_taken(self, now: datetime) -> None:
        """Give up on alerts that a process took and died with."""
        ...

    def prune_alerts(self, older_than: datetime) -> None:
        """Forget alerts that were queued before an instant and have ended."""
        ...


class AlertHook(Protocol):
    """Where alerts go."""

    def send(self, alert: Alert) -> Delivery:
        """Send an alert; whatever happens comes back as a Delivery."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """Everything that keeps or reads records; `hook` None sends no alerts."""

    schedules: Schedules
    hot_slots: HotSlots
    view: LedgerView
    books: Books
    hook: AlertHook | None = None
