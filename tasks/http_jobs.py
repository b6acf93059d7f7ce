"""HTTP jobs as Celery tasks."""

from datetime import timedelta

from celery import shared_task

from tasks.domain.claims import Terms
from tasks.domain.jobs import HttpCall
from tasks.errors import UnknownJobError
from tasks.job_task import JobTask, answer
from tasks.run_once import run_once

LEASE = timedelta(seconds=30)


@shared_task(bind=True, base=JobTask, name="tasks.call_endpoint", queue="http")
def call_endpoint(self: JobTask, job: str, slot: str | None = None) -> str:
    """Call the endpoint of an HTTP job once: for its slot, or right now when called by hand.

    `slot` is an instant such as `2026-11-20T21:45:00Z`: a slot that has run already answers `duplicate`. Raises
    UnknownJobError for a name that no HTTP job has, RunFailedError when the run did not end well.
    """
    services, call = self.services, self.job_of(job).action
    if not isinstance(call, HttpCall):
        raise UnknownJobError(f"{job!r} is no HTTP job; start it with process_sessions")
    terms = Terms(lease=LEASE, overlap=self.job_of(job).overlap, window_end=self.window_end())
    launch = self.launch(job, slot)
    return answer(run_once(services, launch, terms, lambda _: services.web.call(call, launch)))
