"""The DuckDB file that keeps runs, cursors and the processors' rows; open only while it is worked on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from tasks.adapters.warehouse_admin import OpenAdmin, differences
from tasks.adapters.warehouse_open import attached, opened
from tasks.adapters.warehouse_sessions import OpenSessions
from tasks.adapters.warehouse_sql import statements
from tasks.domain.batches import Committed, Comparison, Fence, Part, Staged
from tasks.domain.cursor import Seen
from tasks.domain.outcomes import Run
from tasks.domain.processor import Processor
from tasks.domain.session_state import Difference, Kept, Overview, Pruned
from tasks.errors import EscapementError, ProcessorError

if TYPE_CHECKING:
    import duckdb

NEWEST = "newest stream id"


class DuckWarehouse:
    """One DuckDB file; every method opens it, does its work in one transaction, and closes it."""

    def __init__(
        self,
        path: Path,
        processors: Mapping[str, Processor],
        *,
        clock: Callable[[], datetime],
        patience_s: float = 60,
    ) -> None:
        self._path, self._processors, self._clock, self._patience_s = path, processors, clock, patience_s
        self._turn = Lock()
        self._schema, self._runs = statements("warehouse_schema.sql"), statements("warehouse_runs.sql")

    def compare(self, files: Sequence[Seen], wanted: Mapping[str, int]) -> Comparison:
        """Compare files with the cursors of the wanted processors (name to version) in one set operation."""
        with self._reading() as connection:
            return self._sessions(connection).compare(files, wanted)

    def commit(self, staged: Staged, paths: Sequence[Path], fence: Fence) -> Committed:
        """Insert staged rows and move their cursors in one transaction; raises FencedError for an old token.

        `paths` are the files of `staged.parts`.
        """
        with self._writing() as connection:
            return self._sessions(connection).commit(staged, paths, fence)

    def overview(self) -> Overview:
        """Return what the cursors say: totals of each user, files in trouble."""
        with self._reading() as connection:
            return self._admin(connection).overview()

    def retry(self, processors: Sequence[str], paths: Sequence[str]) -> int:
        """Let failed files be tried at once; returns how many. Empty means all."""
        with self._writing() as connection:
            return self._admin(connection).retry(processors, paths)

    def reprocess(self, processor: str, paths: Sequence[str]) -> int:
        """Let files be read from their beginning; returns how many. Empty means all."""
        with self._writing() as connection:
            return self._admin(connection).reprocess(processor, paths)

    def prune_sessions(self, older_than: datetime, present: Sequence[str]) -> Pruned:
        """Forget rows of files last changed before an instant, and the cursors of those that are not `present`."""
        with self._writing() as connection:
            return self._admin(connection).prune(older_than, present, self._tables(connection))

    def kept(self, processor: Processor) -> list[Kept]:
        """Return the cursors of a processor's present version."""
        with self._reading() as connection:
            return self._admin(connection).kept(processor)

    def differences(
        self, processor: Processor, files: Sequence[int], staged: Sequence[tuple[Part, Path]]
    ) -> list[Difference]:
        """Compare the rows of these files with staged rows of a rebuild, through the processor's own views."""
        parts: dict[str, list[str]] = {}
        for part, path in staged:
            parts.setdefault(part.table, []).append(str(path))
        statement = statements("warehouse_admin.sql")["attach_warehouse"]
        import duckdb  # noqa: PLC0415 - beat and the http workers start without it

        with attached(self._path, patience_s=self._patience_s, statement=statement) as connection:
            connection.execute(self._schema["session"])
            try:
                return differences(connection, processor, files, parts)
            except duckdb.Error as error:
                raise ProcessorError(f"processor {processor.name!r} can't be compared: {error}") from error

    def append_runs(self, entries: Sequence[tuple[str, Run]]) -> int:
        """Keep runs by (job, key), of several the one with the newest stream id; returns how many changed."""
        if not entries:
            return 0
        rows = [{"stream_id": stream_id, **msgspec.to_builtins(run)} for stream_id, run in entries]
        with self._writing() as connection:
            changed = _count(connection.execute(self._runs["append"], {"entries": msgspec.json.encode(rows).decode()}))
            newest = max((stream_id for stream_id, _ in entries), key=_stream_order)
            before = self._mark(connection, NEWEST)
            if before is None or _stream_order(newest) > _stream_order(before):
                connection.execute(self._schema["write_mark"], {"name": NEWEST, "value": newest})
            return changed

    def last_stream_id(self) -> str | None:
        """Return the newest stream id that was ever appended, None before the first."""
        with self._writing() as connection:
            return self._mark(connection, NEWEST)

    def prune_runs(self, older_than: datetime) -> int:
        """Forget runs that ended before an instant; returns how many."""
        with self._writing() as connection:
            return _count(connection.execute(self._runs["prune"], {"older_than": older_than}))

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Answer a question, read-only: the columns' names and the rows; EscapementError when that fails."""
        import duckdb  # noqa: PLC0415 - beat and the http workers start without it

        with opened(self._path, patience_s=self._patience_s, read_only=True) as connection:
            try:
                result = connection.execute(self._schema["session"]).execute(sql, values)
                return [column[0] for column in result.description or ()], result.fetchall()
            except duckdb.Error as error:
                raise EscapementError(f"the warehouse can't answer: {error}") from error

    def _sessions(self, connection: "duckdb.DuckDBPyConnection") -> OpenSessions:
        return OpenSessions(connection=connection, tables=self._tables(connection), now=self._clock())

    def _admin(self, connection: "duckdb.DuckDBPyConnection") -> OpenAdmin:
        return OpenAdmin(connection=connection, now=self._clock())

    def _tables(self, connection: "duckdb.DuckDBPyConnection") -> dict[str, list[str]]:
        """Return the tables of each processor that are there."""
        there = {name for (name,) in connection.execute(self._schema["there"]).fetchall()}
        return {name: [table for table in each.tables if table in there] for name, each in self._processors.items()}

    @contextmanager
    def sessions(self) -> Iterator[OpenSessions]:
        """Open the session part for one transaction that more belongs to than a commit of rows."""
        with self._writing() as connection:
            yield self._sessions(connection)

    @contextmanager
    def _reading(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open the file for reading alone, as every process may; before it has tables, an empty one in memory."""
        import duckdb  # noqa: PLC0415 - beat and the http workers start without it

        if not self._path.exists():
            with self._empty() as connection:
                yield connection
            return
        with ExitStack() as stack:
            stack.enter_context(self._turn)
            connection = stack.enter_context(opened(self._path, patience_s=self._patience_s, read_only=True))
            connection.execute(self._schema["session"])
            if self._known_schema(connection) is None:
                connection = stack.enter_context(self._empty())
            try:
                yield connection
            except duckdb.CatalogException as error:
                raise EscapementError(f"the warehouse is of another version: {error}") from error

    @contextmanager
    def _empty(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        import duckdb  # noqa: PLC0415 - beat and the http workers start without it

        with duckdb.connect(":memory:") as connection:
            connection.execute(self._schema["session"])
            self._ensure_tables(connection)
            yield connection

    @contextmanager
    def _writing(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open the file for one transaction, with the tables that this code knows; one thread after the other."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._turn, opened(self._path, patience_s=self._patience_s) as connection:
            connection.execute(self._schema["session"])
            self._ensure_tables(connection)
            connection.begin()
            yield connection
            connection.commit()

    def _ensure_tables(self, connection: "duckdb.DuckDBPyConnection") -> None:
        own = "\n".join([self._schema["tables"], statements("ledger_schema.sql")["tables"]])
        theirs = [processor.ddl for processor in self._processors.values()]
        digest = blake2b("\n".join([own, *theirs]).encode(), digest_size=16).hexdigest()
        if self._known_schema(connection) == digest:
            return
        connection.execute(own)
        for ddl in theirs:
            _execute_apart(connection, ddl)
        connection.execute(self._schema["write_mark"], {"name": "schema", "value": digest})

    def _known_schema(self, connection: "duckdb.DuckDBPyConnection") -> str | None:
        import duckdb  # noqa: PLC0415 - beat and the http workers start without it

        try:
            return self._mark(connection, "schema")
        except duckdb.CatalogException:
            return None

    def _mark(self, connection: "duckdb.DuckDBPyConnection", name: str) -> str | None:
        row = connection.execute(self._schema["read_mark"], {"name": name}).fetchone()
        return row[0] if row else None


def _execute_apart(connection: "duckdb.DuckDBPyConnection", ddl: str) -> None:
    """Make a processor's tables, all or none; DDL that is wrong fails the runs of this processor, and no others."""
    import duckdb  # noqa: PLC0415 - beat and the http workers start without it

    connection.begin()
    try:
        connection.execute(ddl)
    except duckdb.Error:
        connection.rollback()
    else:
        connection.commit()


def _count(result: "duckdb.DuckDBPyConnection") -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0


def _stream_order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence or 0)
