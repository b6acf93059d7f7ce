"""A warehouse in memory that obeys the contract of the real one; rows are counted, not kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.domain.batches import Committed, Comparison, Cursor, Fence, Staged, Work
from tasks.domain.cursor import Position, Seen
from tasks.domain.outcomes import Run
from tasks.errors import EscapementError, FencedError


@dataclass
class Kept:
    """What stands in `session_files` for one processor and file."""

    seen: Seen
    generation: int = 0
    good: Cursor | None = None
    tried_version: int = 0
    attempts: int = 0
    retry_at: datetime | None = None
    failed: bool = False


@dataclass
class MemoryWarehouse:
    clock: Any
    cursors: dict[tuple[str, str], Kept] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    runs: dict[tuple[str, str], tuple[str, Run]] = field(default_factory=dict)
    newest: str | None = None

    def compare(self, files: Sequence[Seen], wanted: Mapping[str, int]) -> Comparison:
        due: dict[Seen, list[Position]] = {}
        counts: dict[str, set[str]] = {}
        for seen in sorted(files, key=lambda seen: (seen.mtime_ns, seen.path)):
            for name in sorted(wanted):
                kept = self.cursors.get((name, seen.path))
                state = self._state(kept, seen, wanted[name])
                if state == "due":
                    due.setdefault(seen, []).append(_position(name, kept, wanted[name]))
                else:
                    counts.setdefault(state, set()).add(seen.path)
        works = tuple(Work(seen, tuple(positions)) for seen, positions in due.items())
        return Comparison(works=works, **{state: len(paths) for state, paths in counts.items()})

    def _state(self, kept: Kept | None, seen: Seen, version: int) -> str:
        if kept is None or kept.tried_version != version:
            return "due"
        if kept.attempts >= 5:
            return "due" if kept.seen != seen else "quarantined"
        if kept.retry_at is not None:
            return "due" if kept.retry_at <= self.clock() else "waiting"
        return "due" if kept.seen != seen else "unchanged"

    def commit(self, staged: Staged, paths: Sequence[Path], fence: Fence) -> Committed:
        if self.fences.get(fence.name, fence.token) > fence.token:
            raise FencedError(f"token {fence.token} is older than {self.fences[fence.name]}")
        self.fences[fence.name] = fence.token
        accepted = [cursor for cursor in staged.cursors if self._generation(cursor) == cursor.generation]
        good = [cursor for cursor in accepted if cursor.error is None]
        moved = len(staged.cursors) - len(accepted)
        if good and not all(path.exists() for path in paths):
            return Committed(files=0, rows=0, bytes=0, lines=0, moved=moved, lost=True)
        for cursor in accepted:
            self._move(cursor)
        return Committed(
            files=len(good),
            rows=sum(part.rows for part in staged.parts) if good else 0,
            bytes=staged.bytes if accepted else 0,
            lines=staged.lines if accepted else 0,
            bad_lines=sum(cursor.bad_lines for cursor in good),
            failed=len(accepted) - len(good),
            moved=moved,
        )

    def _generation(self, cursor: Cursor) -> int:
        kept = self.cursors.get((cursor.processor, cursor.seen.path))
        return kept.generation if kept else 0

    def _move(self, cursor: Cursor) -> None:
        kept = self.cursors.setdefault((cursor.processor, cursor.seen.path), Kept(cursor.seen))
        kept.seen, kept.tried_version = cursor.seen, cursor.version
        kept.generation += 1
        if cursor.error is None:
            kept.good, kept.attempts, kept.retry_at = cursor, 0, None
        else:
            pause = 0 if cursor.lost and kept.attempts == 0 else 5 ** min(kept.attempts, 3)
            kept.retry_at = self.clock() + timedelta(minutes=pause)
            kept.attempts += 1

    def append_runs(self, entries: Sequence[tuple[str, Run]]) -> int:
        changed = set()
        for stream_id, run in entries:
            before = self.runs.get((run.job, run.key))
            if before is None or _order(stream_id) > _order(before[0]):
                self.runs[run.job, run.key] = (stream_id, run)
                changed.add((run.job, run.key))
            if self.newest is None or _order(stream_id) > _order(self.newest):
                self.newest = stream_id
        return len(changed)

    def last_stream_id(self) -> str | None:
        return self.newest

    def prune_runs(self, older_than: datetime) -> int:
        old = [key for key, (_, run) in self.runs.items() if (run.finished_at or run.slot or older_than) < older_than]
        for key in old:
            del self.runs[key]
        return len(old)

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        raise EscapementError(f"the warehouse can't answer: {sql}")


def _position(name: str, kept: Kept | None, version: int) -> Position:
    if kept is None:
        return Position(name)
    good = kept.good
    if good is None or good.version != version:
        return Position(name, kept.generation, size=kept.seen.size, inode=kept.seen.inode, attempts=kept.attempts)
    seen = kept.seen
    return Position(
        name, kept.generation, good.offset, good.lines, good.crc, good.fingerprint, seen.size, seen.inode, kept.attempts
    )


def _order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence or 0)
