"""The contract of a session processor: a name, a version, its tables, and a pure function from lines to rows."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from tasks.domain.transcript import Line
from tasks.errors import ProcessorError

Row = tuple[object, ...]
Rows = Mapping[str, list[Row]]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Where the lines come from.

    `file` identifies the file in every row, `username` is the first folder below the root (empty for a file in the
    root itself), `session_id` is what the path says, for lines that do not say it themselves. The first line has the
    number `first_line`, counted from 1.
    """

    file: int
    path: str
    username: str
    session_id: str
    first_line: int


@runtime_checkable
class Processor(Protocol):
    """What a third party registers in the entry point group `escapement.processors`.

    `version` grows when the meaning of the rows changes: every file is then read anew. `ddl` creates `tables` and
    views, harmlessly when repeated; the first column of each table is `file BIGINT`. `compared` names the tables or
    views that a rebuild from zero must reproduce row by row.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def ddl(self) -> str: ...

    @property
    def tables(self) -> tuple[str, ...]: ...

    @property
    def compared(self) -> tuple[str, ...]: ...

    def extract(self, lines: Sequence[Line], context: Context) -> Rows:
        """Return the rows of consecutive lines of one file, by table; each row starts with `context.file`.

        Called with any part of a file, cut anywhere between two lines: what belongs together is joined by the views.
        """
        ...


def checked(rows: object, processor: Processor, context: Context) -> Rows:
    """Return the rows if they have the promised shape; ProcessorError names processor and file if not."""
    problem = _problem(rows, processor.tables, context.file)
    if problem:
        raise ProcessorError(f"processor {processor.name!r} broke its contract on {context.path}: {problem}")
    return rows  # type: ignore[return-value]


def _problem(rows: object, tables: tuple[str, ...], file: int) -> str | None:
    if not isinstance(rows, Mapping):
        return f"extract() returned {type(rows).__name__}, not a mapping of table to list of tuples"
    for table, content in rows.items():
        if table not in tables:
            return f"unknown table {table!r}"
        if not isinstance(content, list) or {type(row) for row in content} - {tuple}:
            return f"the rows of {table} are no list of tuples"
        if {row[:1] for row in content} - {(file,)}:
            return f"a row of {table} does not start with the file"
    return None
