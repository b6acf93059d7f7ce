"""The staging folder: rows of a batch as Parquet files, on their way from a worker to the warehouse."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from uuid import uuid4

from tasks.adapters.warehouse_sql import for_file, for_table, statements
from tasks.domain.batches import Part
from tasks.domain.outcomes import cut_error
from tasks.domain.processor import Processor, Row, Rows

BUFFERED_ROWS = 20_000
SPILLED_ROWS = 200_000
_FILE = itemgetter(0)


class StagingFolder:
    """A folder that the workers write and the warehouse reads; one sub-folder for each processed batch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def writer(self, processors: Sequence[Processor]) -> Iterator["ParquetWriter"]:
        """Give a writer for one batch; its folder goes if the block fails."""
        name = uuid4().hex
        target = self._folder / name
        target.mkdir(parents=True)
        try:
            with ExitStack() as stack:
                yield ParquetWriter(target, processors, stack)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise

    def paths(self, parts: Sequence[Part]) -> list[Path]:
        """Return where the parts are, or were."""
        return [self._folder / part.name for part in parts]

    def remove(self, folder: str) -> None:
        """Remove the folder of one batch; harmless when repeated."""
        if folder:
            shutil.rmtree(self._folder / Path(folder).name, ignore_errors=True)

    def sweep(self, older_than: datetime) -> int:
        """Remove what crashed runs left behind before an instant; returns how many batches."""
        if not self._folder.is_dir():
            return 0
        old = [entry for entry in self._folder.iterdir() if _age(entry) < older_than.timestamp()]
        for entry in old:
            shutil.rmtree(entry, ignore_errors=True)
        return len(old)


class ParquetWriter:
    """Collects rows in an in-memory database and spills them to Parquet, in bounded memory."""

    def __init__(self, folder: Path, processors: Sequence[Processor], stack: ExitStack) -> None:
        import duckdb  # noqa: PLC0415 - beat and the http workers start without it

        self._folder, self._stack, self._sql = folder, stack, statements("staging.sql")
        self._connection = stack.enter_context(duckdb.connect(":memory:", config={"threads": 1}))
        self._connection.execute(self._sql["connect"])
        for processor in processors:
            self._connection.execute(processor.ddl)
        self._owner = {table: processor.name for processor in processors for table in processor.tables}
        self._buffers: dict[str, list[Row]] = {table: [] for table in self._owner}
        self._counts = dict.fromkeys(self._owner, 0)
        self._parts: list[Part] = []
        self._appender_errors = (duckdb.Error, TypeError, ValueError, OverflowError, UnicodeError)
        self.failures: dict[tuple[str, int], str] = {}

    @property
    def folder(self) -> str:
        """The name of the batch's folder."""
        return self._folder.name

    def add(self, rows: Rows) -> None:
        """Take the rows of a part of one file, which were checked before."""
        for table, content in rows.items():
            buffer = self._buffers[table]
            buffer += content
            if len(buffer) >= BUFFERED_ROWS:
                self._flush(table)

    def close(self) -> Sequence[Part]:
        """Write what is left and return all parts."""
        for table in self._owner:
            self._flush(table)
            self._spill(table)
        return self._parts

    def _flush(self, table: str) -> None:
        rows, self._buffers[table] = self._buffers[table], []
        try:
            self._append(table, rows)
        except self._appender_errors:
            self._append_by_file(table, rows)
        if self._counts[table] >= SPILLED_ROWS:
            self._spill(table)

    def _append(self, table: str, rows: list[Row]) -> None:
        with self._connection.appender(table) as appender:
            appender.append_rows(rows)
        self._counts[table] += len(rows)

    def _append_by_file(self, table: str, rows: list[Row]) -> None:
        """Find the files whose rows do not fit the table; the others keep theirs."""
        for file, group in groupby(rows, _FILE):
            try:
                self._append(table, list(group))
            except self._appender_errors as error:
                self.failures[self._owner[table], file] = cut_error(f"{table}: {error}")

    def _spill(self, table: str) -> None:
        count, self._counts[table] = self._counts[table], 0
        if count:
            path = self._folder / f"{len(self._parts)}.parquet"
            self._connection.execute(for_file(for_table(self._sql["spill"], table), path))
            self._connection.execute(for_table(self._sql["empty"], table))
            self._parts.append(Part(self._owner[table], table, f"{self.folder}/{path.name}", count))


def _age(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
