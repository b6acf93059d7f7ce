"""Looking after the session part of the warehouse: overview, trying again, forgetting, comparing with a rebuild."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tasks.adapters.warehouse_sql import for_table, statements
from tasks.domain.cursor import Position
from tasks.domain.processor import Processor
from tasks.domain.session_state import Difference, Kept, Overview, Pruned, Trouble, UserTotals

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAdmin:
    """The cursors of a warehouse that is open for one transaction."""

    connection: "duckdb.DuckDBPyConnection"
    now: datetime

    def overview(self) -> Overview:
        """Return the totals of each user, and the files in trouble, the worst first."""
        users = [_struct(UserTotals, row) for row in self._execute("users").fetchall()]
        troubles = [_struct(Trouble, row) for row in self._execute("troubles").fetchall()]
        return Overview(users=tuple(users), troubles=tuple(troubles))

    def retry(self, processors: Sequence[str], paths: Sequence[str]) -> int:
        """Let failed files be tried at once; returns how many. Empty means all."""
        return self._changed("retry", processors=list(processors), paths=list(paths), now=self.now)

    def reprocess(self, processor: str, paths: Sequence[str]) -> int:
        """Let files be read from their beginning; returns how many. Empty means all."""
        return self._changed("reprocess", processor=processor, paths=list(paths))

    def kept(self, processor: Processor) -> list[Kept]:
        """Return the cursors of one processor's present version."""
        rows = self._execute("kept", processor=processor.name, version=processor.version).fetchall()
        return [Kept(row[0], row[1], Position(*row[2:])) for row in rows]

    def prune(self, older_than: datetime, present: Sequence[str], tables: Mapping[str, Sequence[str]]) -> Pruned:
        """Forget the rows of files that were last changed before an instant; of those that are gone the cursors too."""
        self._execute("present")
        with self.connection.appender("present") as appender:
            appender.append_rows([(path,) for path in present])
        self._execute("old", older_than=older_than)
        files = int(self._execute("old_count").fetchall()[0][0])
        owned = [(processor, table) for processor, names in tables.items() for table in names]
        rows = sum(self._changed("forget_rows", table, processor=processor) for processor, table in owned)
        self._execute("forget_gone")
        self._execute("mark_pruned", now=self.now)
        self._execute("settle")
        return Pruned(files=files, rows=rows)

    def _changed(self, statement: str, table: str = "", **values: Any) -> int:
        return int(self._execute(statement, table, **values).fetchall()[0][0])

    def _execute(self, statement: str, table: str = "", **values: Any) -> "duckdb.DuckDBPyConnection":
        sql = statements("warehouse_admin.sql")[statement]
        return self.connection.execute(for_table(sql, table) if table else sql, values or None)


def differences(
    connection: "duckdb.DuckDBPyConnection", processor: Processor, files: Sequence[int], parts: Mapping[str, list[str]]
) -> list[Difference]:
    """Compare the rows of these files with Parquet parts (by table) of a rebuild, through the processor's own views.

    The warehouse is attached to the connection as `warehouse`.
    """
    sql = statements("warehouse_admin.sql")
    for side in ("kept", "rebuilt"):
        connection.execute(sql[f"make_{side}"])
        connection.execute(sql[f"use_{side}"])
        connection.execute(processor.ddl)
    for table in processor.tables:
        connection.execute(for_table(sql["fill_kept"], table), {"files": list(files)})
        if parts.get(table):
            connection.execute(for_table(sql["fill_rebuilt"], table), {"paths": parts[table], "files": list(files)})
    found = [(name, connection.execute(for_table(sql["compare"], name)).fetchall()[0]) for name in processor.compared]
    return [
        Difference(processor=processor.name, relation=name, missing=missing, extra=extra, example=example)
        for name, (missing, extra, example) in found
        if missing or extra
    ]


def _struct(kind: Any, row: Sequence[Any]) -> Any:
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
