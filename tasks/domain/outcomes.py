"""What became of a slot: the closed set of outcomes and the record that the ledger keeps."""

from datetime import datetime
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How a run ended; every expected slot ends in exactly one of these."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    MISSED = "missed"
    UNKNOWN = "unknown"
    FENCED = "fenced"
    CANCELLED = "cancelled"


class Source(StrEnum):
    """Who asked for a run."""

    BEAT = "beat"
    CATCH_UP = "catch-up"
    MANUAL = "manual"
    WEBHOOK = "webhook"


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One asked-for run of a job: its identity is *(job, key)*.

    `slot` is the scheduled instant (UTC) and `key` its text; a manual run has no slot and its task id as key.
    """

    job: str
    key: str
    slot: datetime | None
    source: Source
    run_id: str
    dispatched_at: datetime | None = None
    attempt: int = 1

    @property
    def identity(self) -> str:
        """`job/key`, sent as the `Idempotency-Key` and used as the name of the claim."""
        return f"{self.job}/{self.key}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What the work of a run says of itself: `error` at most 200 bytes, `detail` figures for people and queries.

    `repeatable` says that nothing was done, or that doing it again does no harm.
    """

    outcome: Outcome
    error: str | None = None
    detail: dict[str, int | float | str] = msgspec.field(default_factory=dict)
    repeatable: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One ended run, as the ledger stream carries it and the table `runs` keeps it.

    Times are UTC; `lateness_s` is start minus slot and `duration_s` finish minus start, in seconds.
    """

    job: str
    key: str
    source: Source
    outcome: Outcome
    run_id: str
    slot: datetime | None = None
    error: str | None = None
    lateness_s: float | None = None
    duration_s: float | None = None
    worker: str | None = None
    attempt: int = 1
    token: int | None = None
    dispatched_at: datetime | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    detail: dict[str, int | float | str] = msgspec.field(default_factory=dict)


ERROR_BYTES = 200


def cut_error(text: str, limit: int = ERROR_BYTES) -> str:
    """Return `text` cut to at most `limit` bytes of UTF-8, never inside a character."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")
