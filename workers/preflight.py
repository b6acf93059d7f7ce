"""What must hold before anything is started: a folder of our own, free ports. Each failure is one line."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tasks.errors import ConfigurationError

LOCK_NAME = "supervisor.lock"
UNDERTAKER_SECONDS = 10.0


@contextmanager
def own_folder(data_dir: Path) -> Iterator[IO[str]]:
    """Make DATA_DIR and hold it for this supervisor alone; gives the locked file, which holds our process id.

    Raises ConfigurationError when the folder can't be written, or another supervisor holds it.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / LOCK_NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR={data_dir} can't be written: {error.strerror}") from None
    with lock:
        _take(lock, data_dir)
        yield lock


def refuse_taken_port(variable: str, address: str, port: int) -> None:
    """Raise ConfigurationError, naming the variable, when nothing can listen on this address and port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except OSError as error:
        because = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        hint = f"stop what uses it, or set {variable} to a free port"
        raise ConfigurationError(f"{variable}={port} can't be used on {address}: {because}; {hint}") from None


def _take(lock: IO[str], data_dir: Path) -> None:
    """Take the lock; a holder that died is waited for, because its undertaker is still ending its children."""
    give_up = time.monotonic() + UNDERTAKER_SECONDS
    while not _locked(lock):
        holder = _holder(lock)
        if _lives(holder) or time.monotonic() > give_up:
            raise ConfigurationError(
                f"DATA_DIR={data_dir} is in use by another Escapement (pid {holder}): stop it, or set another DATA_DIR"
            )
        time.sleep(0.1)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: IO[str]) -> int:
    lock.seek(0)
    text = lock.read()
    return int(text) if text.isdecimal() else 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
