"""A run of a session processor, in parts: scan, then process and commit each batch, then record."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from tasks import pipeline
from tasks.domain.batches import Batch, Committed, Fence, Plan, Staged
from tasks.domain.claims import Lease, Progress, refuse_stopped
from tasks.domain.outcomes import Outcome, Result
from tasks.errors import FencedError, LeaseLostError, RunCancelledError
from tasks.ports import Services
from tasks.run_once import describe, record

PLANNED_FILES, PLANNED_BYTES, LEFT_OVER = "planned_files", "planned_bytes", "left_over"
FIGURES = ("files", "rows", "bytes", "lines", "bad_lines", "failed", "moved")
SendPart = Callable[[Lease, int, Batch], None]


def start(services: Services, lease: Lease, processor: str, send: SendPart) -> Result | None:
    """Scan, and hand the batches over; the Result is there at once when nothing is new."""
    if processor not in services.processors:
        return Result(outcome=Outcome.SKIPPED, error=f"the session processor {processor!r} is not configured")
    plan = pipeline.scan(services, (processor,), services.budget)
    if not plan.batches:
        return Result(outcome=Outcome.OK, detail={"files": 0, "unchanged": plan.unchanged, "waiting": plan.waiting})
    if not services.claims.hand_over(lease, len(plan.batches), planned(plan)):
        raise LeaseLostError(f"{lease.launch.identity}: its lease was lost while it scanned")
    for number, batch in enumerate(plan.batches):
        send(lease, number, batch)
    return None


def planned(plan: Plan) -> dict[str, int]:
    """Return what the figures of a run begin with."""
    return {PLANNED_FILES: plan.files, PLANNED_BYTES: plan.bytes, LEFT_OVER: plan.left_over}


def process(services: Services, lease: Lease, part: int, batch: Batch) -> Staged | None:
    """Read one batch and stage its rows, under the run's lease; raises LeaseLostError when the run is over.

    None when the run's time is up: then the batch is counted, and left for the next run. Batches wait oldest first.
    """
    refuse_stopped(lease, services.claims.renew(lease))
    if time_is_up(services, lease):
        finish_part(services, lease, part, figures_of(None) | {LEFT_OVER: len(batch.works)})
        return None
    with services.watchdog.renewing(lease) as stop:
        staged = pipeline.process(services, batch)
        stop.check()
        return staged


def time_is_up(services: Services, lease: Lease) -> bool:
    """Tell whether a run has spent its budget in seconds."""
    seconds = services.budget.seconds
    return seconds is not None and services.clock.now() - lease.claimed_at > timedelta(seconds=seconds)


def commit(services: Services, lease: Lease, part: int, staged: Staged) -> Progress | None:
    """Commit one staged batch and count it; the last one records the run."""
    committed = pipeline.commit(services, staged, Fence(name=lease.launch.job, token=lease.token))
    return finish_part(services, lease, part, figures_of(committed))


def give_up(services: Services, lease: Lease, part: int, batch: Batch, error: str) -> None:
    """Count a part whose worker died on it; each of its files is tried again alone."""
    fence = Fence(name=lease.launch.job, token=lease.token)
    finish_part(services, lease, part, figures_of(pipeline.fail(services, batch, error, fence)), error)


@contextmanager
def accounted(services: Services, lease: Lease, part: int) -> Iterator[None]:
    """Count the part as failed when the block raises, and let the error go on."""
    try:
        yield
    except Exception as error:
        fail_part(services, lease, part, error)
        raise


def fail_part(services: Services, lease: Lease, part: int, error: Exception) -> None:
    """Count a part that could not be done; a run that has lost its lease is recorded as fenced."""
    if isinstance(error, LeaseLostError | FencedError):
        record(services, lease, lease.claimed_at, Result(outcome=Outcome.FENCED, error=describe(error)))
    elif isinstance(error, RunCancelledError):
        record(services, lease, lease.claimed_at, Result(outcome=Outcome.CANCELLED))
    else:
        finish_part(services, lease, part, figures_of(None), describe(error))


def finish_part(
    services: Services, lease: Lease, part: int, figures: dict[str, int], error: str = ""
) -> Progress | None:
    """Count one part; record the run when it was the last."""
    progress = services.claims.part_done(lease, part, figures, error)
    if progress is not None and progress.parts_left == 0:
        record(services, lease, lease.claimed_at, result_of(progress))
    return progress


def result_of(progress: Progress) -> Result:
    """Return what a run in parts comes to: ok only when every part is."""
    outcome = Outcome.OK if progress.error is None else Outcome.FAILED
    return Result(outcome=outcome, error=progress.error, detail=dict(progress.figures))


def figures_of(committed: Committed | None) -> dict[str, int]:
    """Return the figures that a part adds to its run; a part that could not be done adds none."""
    if committed is None:
        return dict.fromkeys((*FIGURES, LEFT_OVER), 0)
    return {name: getattr(committed, name) for name in FIGURES} | {LEFT_OVER: 0}
