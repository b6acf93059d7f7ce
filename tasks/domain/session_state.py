"""How the session files stand: totals per user, files in trouble, what waits, and whether that is healthy."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise

import msgspec

from tasks.domain.batches import Work
from tasks.domain.cadence import Cadence
from tasks.domain.cursor import Position
from tasks.domain.wording import instant_text, span_text

GRACE_CADENCES = 2
STALE_GRACES = 4
HORIZON = timedelta(days=366)
SLOTS_AHEAD = 15


class UserTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What one processor has read of one user."""

    processor: str
    username: str
    files: int
    bytes: int
    lines: int
    bad_lines: int
    failed: int
    quarantined: int
    committed_at: datetime


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a processor could not read, or that has bad lines (the first hundred are numbered)."""

    processor: str
    path: str
    attempts: int
    error: str | None
    next_retry_at: datetime | None
    quarantined_at: datetime | None
    bad_lines: int
    bad_line_numbers: tuple[int, ...]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What the cursors say."""

    users: tuple[UserTotals, ...]
    troubles: tuple[Trouble, ...]


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """What waits to be read: files and bytes, and the one that waits longest, since its last change."""

    files: int
    bytes: int
    oldest: str | None = None
    oldest_since: datetime | None = None


class Level(StrEnum):
    """How a processor does."""

    OK = "ok"
    INFO = "info"
    DEGRADED = "degraded"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The level, and why."""

    level: Level
    reason: str = ""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one table or view that the warehouse lacks, or has too much, against a rebuild from zero."""

    processor: str
    relation: str
    missing: int
    extra: int
    example: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild compared; `pending` files have changed since they were read and are left to the next run."""

    files: int
    bytes: int
    lines: int
    pending: int
    differences: tuple[Difference, ...]


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A cursor as it stands: the file, and where its good read ended."""

    path: str
    file: int
    position: Position


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What was forgotten."""

    files: int
    rows: int


def changed_at(work: Work) -> datetime:
    """Return when the file was last changed."""
    return datetime.fromtimestamp(work.seen.mtime_ns / 1e9, tz=UTC)


def lag_of(works: Sequence[Work]) -> Lag:
    """Return what waits; the works are oldest first."""
    if not works:
        return Lag(files=0, bytes=0)
    return Lag(
        files=len(works),
        bytes=sum(work.new_bytes for work in works),
        oldest=works[0].seen.path,
        oldest_since=changed_at(works[0]),
    )


def longest_gap(cadence: Cadence, now: datetime) -> timedelta:
    """Return the longest time between the next slots of a cadence: an interval itself, of weekdays the weekend."""
    slots = islice(cadence.slots_between(now, now + HORIZON), SLOTS_AHEAD)
    return max((later - earlier for earlier, later in pairwise(slots)), default=HORIZON)


def health(waiting: Iterable[Work], *, cadence: timedelta, now: datetime) -> Health:
    """Judge what waits: files may wait for two cadences; a single one that waits four times as long is named, no more.

    A quiet period is healthy. One old file that nobody reads must not look like a pipeline that stands still, and a
    pipeline that stands still for long must not look like old files.
    """
    grace = cadence * GRACE_CADENCES
    late = [work for work in waiting if now - changed_at(work) > grace]
    if not late:
        return Health(level=Level.OK)
    first, since = late[0], changed_at(late[0])
    if len(late) == 1 and now - since > grace * STALE_GRACES:
        return Health(level=Level.INFO, reason=f"{first.seen.path} is unprocessed since {instant_text(since)}")
    return Health(level=Level.DEGRADED, reason=f"{len(late)} file(s) wait for longer than {span_text(grace)}")
