"""Disks that are full, and warehouses that are locked."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCKER = """
import duckdb, sys, time
while True:
    try:
        connection = duckdb.connect(sys.argv[1])
        break
    except duckdb.IOException:
        time.sleep(0.005)
print("locked", flush=True)
sys.stdin.read()
"""


def mounts_are_allowed(folder: Path) -> bool:
    """Say whether this user may mount a tmpfs."""
    try:
        with small_disk(folder / "probe", kilobytes=64):
            return True
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False


@contextmanager
def small_disk(folder: Path, *, kilobytes: int) -> Iterator[Path]:
    """Mount a tmpfs of that size on a new folder; raises CalledProcessError when that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Take every byte that is left on the disk of this folder, and give it back."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        yield
    finally:
        ballast.unlink()


@contextmanager
def locked(warehouse: Path) -> Iterator[None]:
    """Let another process hold the DuckDB file open for writing; it waits for its turn first."""
    command = [sys.executable, "-c", LOCKER, str(warehouse)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.communicate()
