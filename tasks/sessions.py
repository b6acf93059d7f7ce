"""Session processors as Celery tasks."""

from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
from billiard.exceptions import WorkerLostError
from celery import shared_task
from celery.signals import task_failure

from tasks import session_runs, verification
from tasks.domain.batches import Batch, Staged
from tasks.domain.claims import Lease
from tasks.errors import UnknownJobError
from tasks.job_task import JobTask
from tasks.processors.verification import NAME as VERIFICATION

LEASE = timedelta(seconds=120)
DIED = "a sessions worker died on this batch"


class ProcessorTask(JobTask):
    """A task of the job `session-processor:<first argument>`."""

    abstract = True

    def job_name(self, argument: str) -> str:
        return f"session-processor:{argument}"


class BatchTask(JobTask):
    """One part of a job; its first argument is the job."""

    abstract = True

    def job_name(self, argument: str) -> str:
        return f"{argument} batch"


class CommitTask(JobTask):
    """The commit of one part of a job; its first argument is the job."""

    abstract = True

    def job_name(self, argument: str) -> str:
        return f"{argument} commit"


@shared_task(bind=True, base=ProcessorTask, name="tasks.process_sessions")
def process_sessions(self: ProcessorTask, processor: str, slot: str | None = None) -> str:
    """Run a session processor over everything that is new in the session files.

    Answers `under way` once the batches are with the sessions workers; the ledger says how it ended. Raises
    UnknownJobError for a name that no processor has.
    """
    services, name = self.services, self.job_name(processor)
    job = services.jobs.get(name) or services.stored_jobs.find(name)
    if job is None:
        raise UnknownJobError(
            f"no session processor is named {processor!r}; there are: {', '.join(services.processors)}"
        )
    act = (
        verification.start
        if processor == VERIFICATION
        else partial(session_runs.start, processor=processor, send=_send)
    )
    return self.run_job(job, slot, LEASE, lambda lease, _: act(services, lease))


@shared_task(bind=True, base=BatchTask, name="tasks.process_batch")
def process_batch(self: JobTask, job: str, lease: dict[str, Any], part: int, batch: dict[str, Any]) -> str:
    """Read one batch of session files and stage its rows."""
    held = msgspec.convert(lease, Lease)
    with session_runs.accounted(self.services, held, part):
        staged = session_runs.process(self.services, held, part, msgspec.convert(batch, Batch))
    if staged is None:
        return "left for the next run: its time is up"
    commit_batch.apply_async((job, lease, part, msgspec.to_builtins(staged)), **_shown(held, part))
    return f"staged {staged.lines} lines"


@shared_task(bind=True, base=CommitTask, name="tasks.commit_batch")
def commit_batch(self: JobTask, job: str, lease: dict[str, Any], part: int, staged: dict[str, Any]) -> str:
    """Commit the rows and cursors of one batch; the last one ends the run."""
    held = msgspec.convert(lease, Lease)
    with session_runs.accounted(self.services, held, part):
        progress = session_runs.commit(self.services, held, part, msgspec.convert(staged, Staged))
    return f"{job}: {progress.parts_left} part(s) left" if progress else f"{job}: the run is over"


@shared_task(bind=True, base=CommitTask, name="tasks.give_up_batch")
def give_up_batch(self: JobTask, job: str, lease: dict[str, Any], part: int, batch: dict[str, Any]) -> str:
    """Note that the worker of a batch died on it; the other batches of the run go on."""
    session_runs.give_up(self.services, msgspec.convert(lease, Lease), part, msgspec.convert(batch, Batch), DIED)
    return f"{job}: {DIED}"


@task_failure.connect
def _give_up_for_the_dead(sender: Any, exception: BaseException, args: tuple[Any, ...], **_: Any) -> None:
    """Act for a child that was killed, by the kernel or by a processor: it could not do so itself."""
    if sender.name == process_batch.name and isinstance(exception, WorkerLostError):
        job, lease, part, batch = args
        give_up_batch.apply_async((job, lease, part, batch), **_shown(msgspec.convert(lease, Lease), part))


def _send(lease: Lease, part: int, batch: Batch) -> None:
    args = (lease.launch.job, msgspec.to_builtins(lease), part, msgspec.to_builtins(batch))
    process_batch.apply_async(args, **_shown(lease, part))


def _shown(lease: Lease, part: int) -> dict[str, Any]:
    """Show in Flower whose part it is instead of the whole batch."""
    return {"argsrepr": f"({lease.launch.identity!r}, part {part})"}
