"""Opening the warehouse file: waiting, within a deadline, while another process has it."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tasks.adapters.warehouse_sql import for_file
from tasks.errors import EscapementError, WarehouseBusyError

if TYPE_CHECKING:
    import duckdb

FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.1
THREADS = 2
T = TypeVar("T")
_HOLDER = re.compile(r"\(PID (\d+)\)")
_BUSY = ("lock on file", "different configuration", "already attached")


@contextmanager
def opened(path: Path, *, patience_s: float, read_only: bool = False) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open the file, hand over the connection, close it.

    Raises WarehouseBusyError, naming the file and its holder, when it stays locked for `patience_s` seconds, and
    EscapementError when there is nothing to read or the file is no warehouse.
    """
    import duckdb  # noqa: PLC0415 - beat and the http workers start without it

    if read_only:
        _must_exist(path)
    connection = _patiently(
        path, patience_s, lambda: duckdb.connect(str(path), read_only=read_only, config={"threads": THREADS})
    )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def attached(path: Path, *, patience_s: float, statement: str) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Hand over an in-memory connection to which the file is attached by a statement; errors as with `opened`."""
    import duckdb  # noqa: PLC0415 - as above

    _must_exist(path)
    with duckdb.connect(":memory:", config={"threads": THREADS}) as connection:
        _patiently(path, patience_s, lambda: connection.execute(for_file(statement, path)))
        yield connection


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise EscapementError(f"there is no warehouse yet at {path}: it is made by the first run that is recorded")


def _patiently(path: Path, patience_s: float, connect: Callable[[], T]) -> T:
    import duckdb  # noqa: PLC0415 - as above

    deadline, pause = time.monotonic() + patience_s, FIRST_PAUSE_S
    while True:
        try:
            return connect()
        except duckdb.Error as error:
            problem = str(error)
        if not any(sign in problem for sign in _BUSY):
            raise EscapementError(f"the warehouse {path} can't be opened: {problem.splitlines()[0]}")
        if time.monotonic() > deadline:
            raise WarehouseBusyError(_busy(path, problem))
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)


def _busy(path: Path, problem: str) -> str:
    holder = _HOLDER.search(problem)
    return f"the warehouse {path} is locked by " + (f"process {holder[1]}" if holder else "somebody else")
