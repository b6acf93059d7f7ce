"""HTTP jobs as Celery tasks."""

from datetime import timedelta

from celery import shared_task

from tasks.domain.jobs import HttpCall
from tasks.errors import UnknownJobError
from tasks.job_task import JobTask

LEASE = timedelta(seconds=30)


@shared_task(bind=True, base=JobTask, name="tasks.call_endpoint")
def call_endpoint(self: JobTask, job: str, slot: str | None = None) -> str:
    """Call the endpoint of an HTTP job once: for its slot, or right now when called by hand.

    `slot` is an instant such as `2026-11-20T21:45:00Z`: a slot that has run already answers `duplicate`. Raises
    UnknownJobError for a name that no HTTP job has, RunFailedError when the run did not end well.
    """
    found, web = self.job_of(job), self.services.web
    call = found.action
    if not isinstance(call, HttpCall):
        raise UnknownJobError(f"{job!r} is no HTTP job; start it with process_sessions")
    return self.run_job(found, slot, LEASE, lambda lease, stop: web.call(call, lease.launch, stop))
