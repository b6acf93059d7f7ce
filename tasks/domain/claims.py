"""Claims and leases as values: who may run a slot, on what terms, and what the loser is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from tasks.domain.outcomes import Launch, Run
from tasks.domain.policies import Overlap
from tasks.errors import LeaseLostError, RunCancelledError


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The terms of a claim: the lease's length, the job's overlap policy, and the end of the slot's window.

    At most `group_limit` runs of a `group` are on at once (0 = any number). A run of which nothing was done may be
    tried again before `retry_until`. After an unknown outcome the job stays busy for `remote_runs_on`.
    """

    lease: timedelta = timedelta(seconds=30)
    overlap: Overlap = Overlap.SKIP
    window_end: datetime | None = None
    group: str = ""
    group_limit: int = 0
    retry_until: datetime | None = None
    remote_runs_on: timedelta = timedelta(0)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A held slot: `token` is the fencing token, `lease_ms` what each renewal adds."""

    launch: Launch
    token: int
    lease_ms: int
    claimed_at: datetime


class Hold(StrEnum):
    """How a lease stands."""

    HELD = "held"
    LOST = "lost"
    CANCELLED = "cancelled"


def refuse_stopped(lease: Lease, hold: Hold) -> None:
    """Raise LeaseLostError or RunCancelledError unless the lease is held."""
    if hold is Hold.LOST:
        raise LeaseLostError(f"{lease.launch.identity}: its lease was lost")
    if hold is Hold.CANCELLED:
        raise RunCancelledError(f"{lease.launch.identity}: it was cancelled")


class Refusal(StrEnum):
    """Why a claim was refused; `duplicate` and `wait` leave the slot as it is, all others have ended it."""

    DUPLICATE = "duplicate"
    BUSY = "busy"
    WAIT = "wait"
    LATE = "late"
    LOST = "lost"
    PAUSED = "paused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The loser's answer: the reason, and the state or the holder that stood in the way."""

    reason: Refusal
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run in parts is: the parts still out, the first error of any part, and the sums of their figures."""

    parts_left: int
    error: str | None
    figures: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """The run is given back and is to be tried again after `pause`."""

    pause: timedelta


class Dispatch(StrEnum):
    """What a beat is told about a due slot."""

    YOURS = "yours"
    THEIRS = "theirs"
    GONE = "gone"
    PAUSED = "paused"
    LOST = "lost"


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger stream: its id (`ms-seq`) and the run that ended."""

    stream_id: str
    run: Run
