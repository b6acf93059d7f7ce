"""What travels between scan, process and commit, and how work is cut into batches."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tasks.domain.cursor import Position, Seen

BATCH_BYTES = 32 * 1024 * 1024
BATCH_WEIGHT = 180_000
_POSITION_WEIGHT = 170


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What one run may spend, in seconds and bytes; None is without limit."""

    seconds: float | None = None
    bytes: int | None = None


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """The fencing token of a lease; of one name the warehouse refuses tokens older than the newest it has seen."""

    name: str
    token: int


class Work(msgspec.Struct, frozen=True, array_like=True):
    """One file to read, and from where for each processor."""

    seen: Seen
    positions: tuple[Position, ...]

    @property
    def new_bytes(self) -> int:
        """Bytes that a read will cover, if the file only grew."""
        offset = min(position.offset for position in self.positions)
        return self.seen.size - offset if self.seen.size >= offset else self.seen.size

    @property
    def alone(self) -> bool:
        """Whether the file failed before: it must not take others with it again."""
        return any(position.attempts for position in self.positions)

    @property
    def weight(self) -> int:
        """Characters that the work, or what becomes of it, takes in a message, about."""
        return (len(self.seen.path.encode()) + _POSITION_WEIGHT) * len(self.positions)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What must be read, oldest first, and how many files need nothing, wait for a retry, or are quarantined."""

    works: tuple[Work, ...]
    unchanged: int = 0
    waiting: int = 0
    quarantined: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Files that one worker reads in one go; small enough to travel in a message."""

    works: tuple[Work, ...]
    bytes: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found: `files` and `bytes` are planned, `left_over` files go next time.

    `waiting` failed and wait for their next try, `quarantined` failed too often, `refused` names what is not followed.
    """

    batches: tuple[Batch, ...]
    files: int
    bytes: int
    seen: int
    unchanged: int
    left_over: int
    left_over_bytes: int
    waiting: int = 0
    quarantined: int = 0
    refused: tuple[str, ...] = ()


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a read of one file by one processor ended, or the `error` that ended it.

    `generation` is the one that the read started from, `anew` says that earlier rows of the file are replaced, `lost`
    that the reader died, maybe of another file: the first time, this one is tried again at once.
    """

    processor: str
    version: int
    seen: Seen
    generation: int
    anew: bool = False
    offset: int = 0
    lines: int = 0
    crc: int = 0
    fingerprint: str = ""
    bad_lines: int = 0
    bad_numbers: tuple[int, ...] = ()
    error: str | None = None
    lost: bool = False


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One staged Parquet file, named relative to the staging folder, with rows of one processor's table."""

    processor: str
    table: str
    name: str
    rows: int


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A processed batch on its way to the warehouse."""

    cursors: tuple[Cursor, ...]
    parts: tuple[Part, ...]
    bytes: int
    lines: int
    folder: str


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit did; `moved` cursors were ahead of the batch, so its rows of these files were dropped.

    `lost` is true when the staged rows were gone: nothing was committed and the next scan plans these files again.
    """

    files: int
    rows: int
    bytes: int
    lines: int
    bad_lines: int = 0
    failed: int = 0
    moved: int = 0
    lost: bool = False


def within(works: Sequence[Work], limit: int | None) -> int:
    """Return how many works, in their order, fit into `limit` bytes; the first one always does."""
    if limit is None:
        return len(works)
    total = 0
    for count, work in enumerate(works):
        total += work.new_bytes
        if total > limit and count:
            return count
    return len(works)


def cut(works: Iterable[Work], *, most_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
    """Cut works, in their order, into batches of at most `most_bytes` (or one file) and bounded message size.

    A file that failed before is a batch of its own.
    """
    current: list[Work] = []
    size = weight = 0
    for work in works:
        full = size + work.new_bytes > most_bytes or weight + work.weight > BATCH_WEIGHT
        if current and (full or work.alone or current[-1].alone):
            yield Batch(works=tuple(current), bytes=size)
            current, size, weight = [], 0, 0
        current.append(work)
        size += work.new_bytes
        weight += work.weight
    if current:
        yield Batch(works=tuple(current), bytes=size)
