"""Session files to rows: scan what is new, process it in batches, commit each exactly once."""

from msgspec.structs import replace

from tasks.domain.batches import Batch, Budget, Committed, Fence, Plan, Staged, cut, within
from tasks.domain.processor import Processor
from tasks.errors import FencedError, UnknownJobError
from tasks.file_read import failed_cursor, read_batch
from tasks.session_ports import PipelineServices


def scan(services: PipelineServices, processors: tuple[str, ...], budget: Budget) -> Plan:
    """List the session files once and plan what must be read, oldest first, within the budget's bytes.

    The budget's seconds are for whoever runs the batches. Raises UnknownJobError for a name that no processor has.
    """
    wanted = {name: processor_named(services, name).version for name in processors}
    files, refused = services.session_files.listing()
    found = services.warehouse.compare(files, wanted)
    count = within(found.works, budget.bytes)
    taken, left = found.works[:count], found.works[count:]
    return Plan(
        batches=tuple(cut(taken)),
        files=len(taken),
        bytes=sum(work.new_bytes for work in taken),
        seen=len(files),
        unchanged=found.unchanged,
        left_over=len(left),
        left_over_bytes=sum(work.new_bytes for work in left),
        waiting=found.waiting,
        quarantined=found.quarantined,
        refused=tuple(refused),
    )


def process(services: PipelineServices, batch: Batch) -> Staged:
    """Read the new lines of a batch, let every processor extract its rows, and stage them.

    A file that can't be read, or that a processor breaks on, carries its error; the others are not touched by it.
    """
    names = sorted({position.processor for work in batch.works for position in work.positions})
    processors = {name: processor_named(services, name) for name in names}
    return read_batch(services.session_files, services.staging, processors, batch)


def commit(services: PipelineServices, staged: Staged, fence: Fence) -> Committed:
    """Write a staged batch in one transaction and remove it; repeating it changes nothing.

    Raises FencedError when the fence's token is older than one already seen; the refused rows are removed too.
    """
    try:
        committed = services.warehouse.commit(staged, services.staging.paths(staged.parts), fence)
    except FencedError:
        services.staging.remove(staged.folder)
        raise
    services.staging.remove(staged.folder)
    return committed


def fail(services: PipelineServices, batch: Batch, error: str, fence: Fence) -> Committed:
    """Note that a batch came to nothing, as when its worker died: each of its files is tried again alone, at once.

    A file that takes its worker with it again waits like any other that failed.
    """
    cursors = tuple(
        replace(failed_cursor(processor_named(services, position.processor), position, work.seen, error), lost=True)
        for work in batch.works
        for position in work.positions
    )
    return services.warehouse.commit(Staged(cursors=cursors, parts=(), bytes=0, lines=0, folder=""), [], fence)


def processor_named(services: PipelineServices, name: str) -> Processor:
    """Return the processor; UnknownJobError lists those that exist."""
    try:
        return services.processors[name]
    except KeyError:
        known = ", ".join(sorted(services.processors))
        raise UnknownJobError(f"no session processor is named {name!r}; there are: {known}") from None
