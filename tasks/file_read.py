"""One read of one file: decoded once, fed to every processor that needs it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import BinaryIO

import msgspec

from tasks.domain.batches import Batch, Cursor, Staged, Work
from tasks.domain.cursor import Position, Seen, checksum, file_id, session_of, username
from tasks.domain.outcomes import cut_error
from tasks.domain.processor import Context, Processor, Rows, checked
from tasks.domain.transcript import Decoded, Line, decode
from tasks.errors import ProcessorError
from tasks.reading import Chunk, Start, checksum_of, chunks, edges, start_of
from tasks.session_ports import SessionFiles, Staging

BAD_NUMBERS_KEPT = 100
AddRows = Callable[[Rows], None]


class FileRead(msgspec.Struct, frozen=True, kw_only=True):
    """Where each processor's read ended, and how many new bytes and lines there were."""

    cursors: Sequence[Cursor] = ()
    bytes: int = 0
    lines: int = 0


def read_batch(files: SessionFiles, staging: Staging, processors: Mapping[str, Processor], batch: Batch) -> Staged:
    """Read every file of a batch and stage the rows; a file that fails carries its error."""
    with staging.writer(tuple(processors.values())) as writer:
        reads = [read(files, work, processors, writer.add) for work in batch.works]
        parts = tuple(writer.close())
        cursors = [cursor for each in reads for cursor in each.cursors]
        return Staged(
            cursors=tuple(with_failures(cursors, writer.failures)),
            parts=parts,
            bytes=sum(each.bytes for each in reads),
            lines=sum(each.lines for each in reads),
            folder=writer.folder,
        )


def read(files: SessionFiles, work: Work, processors: Mapping[str, Processor], add: AddRows) -> FileRead:
    """Read what is new in a file; one that is gone has no cursors, one that can't be read has failed ones."""
    try:
        with files.open(work.seen.path) as (seen, stream):
            return _read(seen, stream, [Track(processors[p.processor], p, seen, stream) for p in work.positions], add)
    except FileNotFoundError:
        return FileRead()
    except OSError as error:
        tried = [(processors[position.processor], position) for position in work.positions]
        return FileRead(cursors=[failed_cursor(*each, work.seen, str(error)) for each in tried])


def with_failures(cursors: Iterable[Cursor], failures: Mapping[tuple[str, int], str]) -> Iterator[Cursor]:
    """Mark the cursors whose rows, by (processor, file), did not fit their tables."""
    for cursor in cursors:
        problem = failures.get((cursor.processor, file_id(cursor.seen.path))) if failures else None
        yield cursor if problem is None else msgspec.structs.replace(cursor, error=problem)


class Track:
    """One processor's way through a file."""

    def __init__(self, processor: Processor, position: Position, seen: Seen, stream: BinaryIO) -> None:
        self.processor, self.generation = processor, position.generation
        self.start: Start = start_of(position, seen, stream)
        self.offset, self.lines, self.crc = self.start.offset, self.start.lines, self.start.crc
        self.bad: list[int] = []
        self.error: str | None = None

    def take(self, decoded: Decoded, context: Context, add: AddRows) -> None:
        """Let the processor extract; whatever it raises is this file's error."""
        if self.error is not None:
            return
        try:
            add(checked(self.processor.extract(decoded.lines, context), self.processor, context))
        except ProcessorError as error:
            self.error = cut_error(str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything; neighbours go on
            self.error = cut_error(f"processor {self.processor.name!r}: {type(error).__name__}: {error}")

    def advance(self, chunk: Chunk, decoded: Decoded, crc: int) -> None:
        """Note that a chunk is behind."""
        self.offset, self.crc = chunk.end, crc
        self.lines += len(decoded.lines)
        self.bad += decoded.bad

    def cursor(self, seen: Seen, fingerprint: str) -> Cursor:
        """Return where the read ended."""
        return Cursor(
            processor=self.processor.name,
            version=self.processor.version,
            seen=seen,
            generation=self.generation,
            anew=self.start.anew,
            offset=self.offset,
            lines=self.lines,
            crc=self.crc,
            fingerprint=fingerprint,
            bad_lines=len(self.bad),
            bad_numbers=tuple(self.bad[:BAD_NUMBERS_KEPT]),
            error=self.error,
        )


def _read(seen: Seen, stream: BinaryIO, tracks: Sequence[Track], add: AddRows) -> FileRead:
    borders = sorted({track.start.offset for track in tracks})
    file, user, session = file_id(seen.path), username(seen.path), session_of(seen.path)
    lines = 0
    for begin, end in pairwise([*borders, seen.size]):
        active = [track for track in tracks if track.start.offset <= begin]
        for chunk in chunks(stream, begin, end):
            number, crc = active[0].lines + 1, _checksum(stream, chunk, active[0].crc)
            decoded = _decoded(chunk, number)
            context = Context(file=file, path=seen.path, username=user, session_id=session, first_line=number)
            for track in active:
                track.take(decoded, context, add)
                track.advance(chunk, decoded, crc)
            lines += len(decoded.lines)
    prints = {track.offset: edges(stream, track.offset) for track in tracks}
    cursors = [track.cursor(seen, prints[track.offset]) for track in tracks]
    return FileRead(cursors=cursors, bytes=max(t.offset for t in tracks) - borders[0], lines=lines)


def _decoded(chunk: Chunk, number: int) -> Decoded:
    if chunk.oversized:
        return Decoded(lines=[Line()], bad=[number])
    return decode(chunk.data, first_line=number)


def _checksum(stream: BinaryIO, chunk: Chunk, before: int) -> int:
    if chunk.oversized:
        return checksum_of(stream, chunk.offset, chunk.end, before)
    size = chunk.end - chunk.offset
    return checksum(chunk.data if len(chunk.data) == size else chunk.data[:size], before)


def failed_cursor(processor: Processor, position: Position, seen: Seen, error: str) -> Cursor:
    """Return the cursor of a read that ended with an error before it began."""
    return Cursor(
        processor=processor.name,
        version=processor.version,
        seen=seen,
        generation=position.generation,
        error=cut_error(error),
    )
