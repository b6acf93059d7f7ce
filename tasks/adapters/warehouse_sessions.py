"""Cursors and rows of session files in an open warehouse: compare, and compare-and-set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tasks.adapters.warehouse_sql import for_table, statements
from tasks.domain.batches import Committed, Comparison, Cursor, Fence, Staged, Work
from tasks.domain.cursor import Position, Seen, file_id, session_of, username
from tasks.errors import FencedError

if TYPE_CHECKING:
    import duckdb

APPENDED_ROWS = 10_000
_PATH, _SEEN, _POSITION = itemgetter(0), slice(0, 4), slice(4, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSessions:
    """The session part of a warehouse that is open for one transaction; `tables` are those of each processor."""

    connection: "duckdb.DuckDBPyConnection"
    tables: Mapping[str, Sequence[str]]
    now: datetime

    def compare(self, files: Sequence[Seen], wanted: Mapping[str, int]) -> Comparison:
        """Return what must be read, oldest first, and how many files need nothing."""
        self._execute("seen")
        self._execute("wanted")
        for start in range(0, len(files), APPENDED_ROWS):
            self._append("seen", [msgspec.structs.astuple(seen) for seen in files[start : start + APPENDED_ROWS]])
        self._append("wanted", list(wanted.items()))
        self._execute("compare", now=self.now)
        due = self._execute("due").fetchall()
        states: dict[str, int] = dict(self._execute("states").fetchall())
        self._execute("forget")
        return Comparison(works=tuple(_work(list(rows)) for _, rows in groupby(due, _PATH)), **states)

    def commit(self, staged: Staged, paths: Sequence[Path], fence: Fence) -> Committed:
        """Write what the cursors accept and move them; raises FencedError for a token older than one already seen."""
        self._check(fence)
        self._execute("staged")
        self._append("staged", [_staged(cursor) for cursor in staged.cursors])
        self._execute("accept")
        accepted, failed, bad_lines, anew = self._execute("counts").fetchall()[0]
        moved = len(staged.cursors) - accepted
        if accepted > failed and not all(path.exists() for path in paths):
            self._execute("settle")
            return Committed(files=0, rows=0, bytes=0, lines=0, moved=moved, lost=True)
        if anew:
            self._replace()
        rows = self._insert(staged, paths) if accepted > failed else 0
        self._execute("move", now=self.now, token=fence.token)
        self._execute("settle")
        return Committed(
            files=accepted - failed,
            rows=rows,
            bytes=staged.bytes if accepted else 0,
            lines=staged.lines if accepted else 0,
            bad_lines=bad_lines,
            failed=failed,
            moved=moved,
        )

    def _check(self, fence: Fence) -> None:
        row = self._execute("read_fence", name=fence.name).fetchone()
        if row and row[0] > fence.token:
            raise FencedError(f"{fence.name}: token {fence.token} is older than {row[0]}, which was already used")
        self._execute("write_fence", name=fence.name, token=fence.token)

    def _replace(self) -> None:
        for processor, names in self.tables.items():
            for table in names:
                self._execute("replace", table, processor=processor)

    def _insert(self, staged: Staged, paths: Sequence[Path]) -> int:
        by_table: dict[tuple[str, str], list[str]] = {}
        for part, path in zip(staged.parts, paths, strict=True):
            by_table.setdefault((part.processor, part.table), []).append(str(path))
        return sum(
            int(self._execute("insert", table, processor=processor, paths=files).fetchall()[0][0])
            for (processor, table), files in by_table.items()
        )

    def _execute(self, statement: str, table: str = "", **values: Any) -> "duckdb.DuckDBPyConnection":
        sql = statements("warehouse_sessions.sql")[statement]
        return self.connection.execute(for_table(sql, table) if table else sql, values or None)

    def _append(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self.connection.appender(table) as appender:
            appender.append_rows(rows)


def _work(rows: Sequence[tuple[Any, ...]]) -> Work:
    return Work(Seen(*rows[0][_SEEN]), tuple(Position(*row[_POSITION]) for row in rows))


def _staged(cursor: Cursor) -> tuple[Any, ...]:
    path = cursor.seen.path
    return (
        cursor.processor,
        path,
        file_id(path),
        username(path),
        session_of(path),
        cursor.generation,
        cursor.version,
        *msgspec.structs.astuple(cursor.seen)[1:],
        cursor.anew,
        cursor.offset,
        cursor.lines,
        cursor.crc,
        cursor.fingerprint,
        cursor.bad_lines,
        cursor.bad_numbers,
        cursor.error,
        cursor.lost,
    )
