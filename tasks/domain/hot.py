"""A slot that has not ended yet, as Redis knows it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class HotSlot:
    """The state (`dispatched`, `sent`, `running`, `done`) and who has the slot; instants are aware UTC.

    `claimed_at` is never early, but late by what Redis' clock was once set back: it is read off the fencing token.
    """

    state: str
    beat: str | None = None
    dispatched_at: datetime | None = None
    worker: str | None = None
    claimed_at: datetime | None = None
    lease_until: datetime | None = None
    window_end: datetime | None = None
    cancelled_by: str | None = None
