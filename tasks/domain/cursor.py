"""Cursors: where the last read of a file ended, and what its present state means for the next read."""

from enum import StrEnum
from hashlib import blake2b
from pathlib import PurePosixPath
from zlib import crc32

import msgspec

PROBE_BYTES = 4096
SUBAGENT_FOLDER = "subagents"


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A file as the file system shows it: path below the root, bytes, modification time (ns) and inode."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where one processor's last read of a file ended.

    `generation` grows with each commit (0: never committed); `offset` in bytes is where a line starts, or 0 to read
    anew; `crc` covers all bytes before it, `fingerprint` their beginning and end. `size` and `inode` are those of then,
    `attempts` failed since.
    """

    processor: str
    generation: int = 0
    offset: int = 0
    lines: int = 0
    crc: int = 0
    fingerprint: str = ""
    size: int = 0
    inode: int = 0
    attempts: int = 0


class Growth(StrEnum):
    """What must be true of the bytes before the offset so that a read may go on from there."""

    ANEW = "anew"
    SAME_EDGES = "same-edges"
    SAME_BYTES = "same-bytes"


def growth(position: Position, seen: Seen) -> Growth:
    """Say how to find out whether the file only grew.

    A file that is larger and still the same inode was appended to if its edges are the same; one of the same size, or
    behind another inode, must be compared byte by byte (through its checksum).
    """
    if position.offset == 0 or seen.size < position.offset:
        return Growth.ANEW
    if seen.inode == position.inode and seen.size > position.size:
        return Growth.SAME_EDGES
    return Growth.SAME_BYTES


def fingerprint(head: bytes, tail: bytes) -> str:
    """Return the identity of what was read: its first and its last PROBE_BYTES."""
    return blake2b(head + b"|" + tail, digest_size=12).hexdigest()


def checksum(data: bytes, before: int = 0) -> int:
    """Return the running CRC-32 over everything read so far."""
    return crc32(data, before)


def file_id(path: str) -> int:
    """Return a number for a path, the same on every machine and in every rebuild."""
    return int.from_bytes(blake2b(path.encode(), digest_size=8).digest(), "big", signed=True)


def username(path: str) -> str:
    """Return the first folder of a path below the root, empty for a file in the root itself."""
    first, slash, _ = path.partition("/")
    return first if slash else ""


def session_of(path: str) -> str:
    """Return the session a path speaks of: its file name, or for a sub-agent the folder of its parent session."""
    where = PurePosixPath(path)
    return where.parent.parent.name if where.parent.name == SUBAGENT_FOLDER else where.stem
