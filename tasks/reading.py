"""Reading a transcript from where the last read ended, in bounded memory, line by whole line."""

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from tasks.domain.cursor import PROBE_BYTES, Growth, Position, Seen, checksum, fingerprint, growth
from tasks.domain.transcript import complete_object

CHUNK_BYTES = 2 * 1024 * 1024
LONGEST_LINE_BYTES = 128 * 1024 * 1024


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Where a read begins: `lines` stand before `offset`; `crc` covers them; `anew` replaces what was read before."""

    offset: int = 0
    lines: int = 0
    crc: int = 0
    anew: bool = False


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Whole lines: `data` starts at `offset`; empty `data` with `oversized` is one line too long to be read."""

    data: bytes
    offset: int
    end: int
    oversized: bool = False


def start_of(position: Position, seen: Seen, stream: BinaryIO) -> Start:
    """Decide whether the file only grew since the last read, and so where this one starts."""
    kind = growth(position, seen)
    same = kind is not Growth.ANEW and edges(stream, position.offset) == position.fingerprint
    if same and kind is Growth.SAME_BYTES:
        same = checksum_of(stream, 0, position.offset) == position.crc
    found = _at_line_start(position, seen, stream) if same else None
    return found or Start(anew=position.generation > 0)


def _at_line_start(position: Position, seen: Seen, stream: BinaryIO) -> Start | None:
    """Step over the newline that a last line got after it was read; None when that line itself went on."""
    stream.seek(position.offset - 1)
    around = stream.read(2)
    start = Start(offset=position.offset, lines=position.lines, crc=position.crc)
    if around[:1] == b"\n" or position.offset == seen.size:
        return start
    if around[1:] != b"\n":
        return None
    return msgspec.structs.replace(start, offset=start.offset + 1, crc=checksum(b"\n", start.crc))


def edges(stream: BinaryIO, offset: int) -> str:
    """Return the fingerprint of the first `offset` bytes."""
    stream.seek(0)
    head = stream.read(min(PROBE_BYTES, offset))
    if offset <= PROBE_BYTES:
        return fingerprint(head, head)
    stream.seek(offset - PROBE_BYTES)
    return fingerprint(head, stream.read(PROBE_BYTES))


def checksum_of(stream: BinaryIO, start: int, end: int, before: int = 0) -> int:
    """Return the running checksum after the bytes between two offsets."""
    crc, at = before, start
    stream.seek(start)
    while at < end and (data := stream.read(min(CHUNK_BYTES, end - at))):
        crc, at = checksum(data, crc), at + len(data)
    return crc


def chunks(
    stream: BinaryIO, start: int, end: int, *, longest: int = LONGEST_LINE_BYTES, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Chunk]:
    """Yield the whole lines between two offsets; a torn last line is left for the next read.

    A last line without newline that is a complete object is whole. Lines over `longest` bytes are never held.
    """
    held: list[bytes] = []
    size, at, position = 0, start, start
    while position < end and (data := _read(stream, position, min(chunk_bytes, end - position))):
        position += len(data)
        cut = data.rfind(b"\n") + 1
        if not cut:
            size += len(data)
            held = [*held, data] if size <= longest else []
            continue
        yield from _joined(held, data[:cut], at=at, size=size, longest=longest)
        at += size + cut
        held, size = [data[cut:]], len(data) - cut
    if size and size <= longest and complete_object(tail := b"".join(held)):
        yield Chunk(data=tail + b"\n", offset=at, end=at + size)


def _read(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size)


def _joined(held: list[bytes], last: bytes, *, at: int, size: int, longest: int) -> Iterator[Chunk]:
    """Yield the held beginning of a line with the lines that end it; a line that is too long stands alone."""
    if size <= longest:
        held.append(last)
        data = b"".join(held)
        held.clear()
        yield Chunk(data=data, offset=at, end=at + len(data))
        return
    first = last.find(b"\n") + 1
    yield Chunk(data=b"", offset=at, end=at + size + first, oversized=True)
    if first < len(last):
        yield Chunk(data=last[first:], offset=at + size + first, end=at + size + len(last))
