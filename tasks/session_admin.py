"""Looking after the session pipeline: status, trying again, reading anew, verifying, pruning."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import BinaryIO

import msgspec

from tasks.domain.batches import Staged, Work, cut
from tasks.domain.cursor import Position, Seen
from tasks.domain.processor import Processor
from tasks.domain.session_state import Difference, Health, Kept, Lag, Overview, Pruned, Verification, health, lag_of
from tasks.file_read import read_batch
from tasks.pipeline import processor_named
from tasks.reading import checksum_of
from tasks.session_ports import PipelineServices, SessionFiles

LEFTOVER_AGE = timedelta(days=1)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the session files stand: what waits, by processor, and what the cursors say."""

    lags: Mapping[str, Lag]
    health: Mapping[str, Health]
    overview: Overview
    seen: int
    refused: tuple[str, ...]


def status(services: PipelineServices, cadences: Mapping[str, timedelta], now: datetime) -> Status:
    """Return what waits for each of these processors, judged by its cadence."""
    files, refused = services.session_files.listing()
    wanted = {name: processor_named(services, name).version for name in cadences}
    waiting = {name: services.warehouse.compare(files, {name: wanted[name]}).works for name in cadences}
    return Status(
        lags={name: lag_of(works) for name, works in waiting.items()},
        health={name: health(works, cadence=cadences[name], now=now) for name, works in waiting.items()},
        overview=services.warehouse.overview(),
        seen=len(files),
        refused=tuple(refused),
    )


def retry(services: PipelineServices, processors: Sequence[str] = (), paths: Sequence[str] = ()) -> int:
    """Let failed and quarantined files be tried by the next run; returns how many."""
    return services.warehouse.retry(processors, paths)


def reprocess(services: PipelineServices, processor: str, paths: Sequence[str] = ()) -> int:
    """Let the next run read files from their beginning, for one processor only; returns how many."""
    processor_named(services, processor)
    return services.warehouse.reprocess(processor, paths)


def prune(services: PipelineServices, older_than: datetime) -> Pruned:
    """Forget rows of files last changed before an instant.

    Files that are still there are not read again unless they change. Runs are kept for as long as the ledger says.
    """
    files, _ = services.session_files.listing()
    return services.warehouse.prune_sessions(older_than, [seen.path for seen in files])


def sweep(services: PipelineServices, now: datetime) -> int:
    """Remove staged rows that no commit has fetched for a day; returns how many batches."""
    return services.staging.sweep(now - LEFTOVER_AGE)


def verify(services: PipelineServices, processor: str) -> Verification:
    """Read everything again from zero, up to where the cursors are, and compare the rows with the warehouse's.

    Runs may go on meanwhile: a file whose cursor moves is pending.
    """
    known = processor_named(services, processor)
    kept = services.warehouse.kept(known)
    if not kept:
        return Verification(files=0, bytes=0, lines=0, pending=0, differences=())
    limits = {each.path: each.position.offset for each in kept}
    prefixes = Prefixes(services.session_files, limits)
    same = [each for each in kept if _same(prefixes, each)]
    works = [Work(Seen(each.path, each.position.offset, 0, 0), (Position(processor),)) for each in same]
    staged: list[Staged] = []
    try:
        staged += (read_batch(prefixes, services.staging, {processor: known}, batch) for batch in cut(works))
        same, found = _settled(services, known, same, staged)
    finally:
        for each in staged:
            services.staging.remove(each.folder)
    return Verification(
        files=len(same),
        bytes=sum(each.bytes for each in staged),
        lines=sum(each.lines for each in staged),
        pending=len(kept) - len(same),
        differences=tuple(found),
    )


class Prefixes:
    """Session files as if they ended where their cursors are."""

    def __init__(self, files: SessionFiles, limits: Mapping[str, int]) -> None:
        self._files, self._limits = files, limits

    def listing(self) -> tuple[list[Seen], list[str]]:
        """Return the files that have a limit, cut to it."""
        seen, refused = self._files.listing()
        return [self._cut(each) for each in seen if each.path in self._limits], refused

    @contextmanager
    def open(self, path: str) -> Iterator[tuple[Seen, BinaryIO]]:
        """Open a file and say that it ends at its limit."""
        with self._files.open(path) as (seen, stream):
            yield self._cut(seen), stream

    def _cut(self, seen: Seen) -> Seen:
        return msgspec.structs.replace(seen, size=min(seen.size, self._limits[seen.path]))


def _same(files: Prefixes, kept: Kept) -> bool:
    """Tell whether what was read is still what stands in the file."""
    try:
        with files.open(kept.path) as (seen, stream):
            offset = kept.position.offset
            return seen.size == offset and checksum_of(stream, 0, offset) == kept.position.crc
    except OSError:
        return False


def _settled(
    services: PipelineServices, processor: Processor, same: list[Kept], staged: Sequence[Staged]
) -> tuple[list[Kept], Sequence[Difference]]:
    """Compare until no cursor of what was compared has moved: then no commit came in between."""
    while True:
        found = _differences(services, processor, [each.file for each in same], staged)
        now = set(services.warehouse.kept(processor))
        still = [each for each in same if each in now]
        if len(still) == len(same):
            return same, found
        same = still


def _differences(
    services: PipelineServices, processor: Processor, files: Sequence[int], staged: Sequence[Staged]
) -> Sequence[Difference]:
    parts = [part for each in staged for part in each.parts]
    paths = services.staging.paths(parts)
    return services.warehouse.differences(processor, files, list(zip(parts, paths, strict=True)))
