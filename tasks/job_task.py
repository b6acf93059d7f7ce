"""The Celery side of a job: its name in Flower, its launch from the message, its answer to the caller."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from celery import Task

from tasks.domain.claims import Refused
from tasks.domain.jobs import Job
from tasks.domain.outcomes import Launch, Outcome, Run, Source
from tasks.domain.slots import parse_slot, slot_text
from tasks.errors import EscapementError, UnknownJobError
from tasks.ports import Services


class RunFailedError(EscapementError):
    """The run ended in another outcome than ok; the ledger has the details."""


if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task


class JobTask(BaseTask):
    """A task that runs a job: Flower lists it by the job's name, which is its first argument."""

    abstract = True
    acks_late = True
    throws = (RunFailedError, EscapementError)

    def shadow_name(  # type: ignore[override]
        self, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
    ) -> str | None:
        """Return the job's name; Celery uses it for logs and events in place of the task's."""
        del options
        first = args[0] if args else kwargs.get("job") or kwargs.get("processor")
        return self.job_name(first) if isinstance(first, str) else None

    def job_name(self, argument: str) -> str:
        return argument

    @property
    def services(self) -> Services:
        services: Services = cast("Any", self.app).services
        return services

    def job_of(self, name: str) -> Job:
        """Look a job up by its name; raises UnknownJobError that lists the names there are."""
        jobs = self.services.jobs
        if name not in jobs:
            raise UnknownJobError(f"no job is named {name!r}; there are: {', '.join(sorted(jobs))}")
        return jobs[name]

    def launch(self, job: str, slot: str | None) -> Launch:
        """Build the launch from the message's headers; without a slot it is a manual run named by its task id.

        Raises ValueError when `slot` is no instant.
        """
        headers: dict[str, Any] = self.request.headers or {}
        run_id = str(self.request.id)
        text = slot or headers.get("slot")
        instant = None if text is None else parse_slot(text)
        dispatched = headers.get("dispatched_at")
        return Launch(
            job=job,
            key=f"manual-{run_id}" if instant is None else slot_text(instant),
            slot=instant,
            source=Source(headers.get("source", Source.MANUAL)),
            run_id=run_id,
            dispatched_at=None if dispatched is None else datetime.fromisoformat(dispatched).astimezone(UTC),
        )

    def window_end(self) -> datetime | None:
        text = (self.request.headers or {}).get("window_end")
        return None if text is None else parse_slot(text)


def answer(ended: Run | Refused | None) -> str:
    """Say how a run ended, in one line for Flower and for `.get()`; raises RunFailedError unless it is good."""
    if ended is None:
        return "under way"
    if isinstance(ended, Refused):
        return f"{ended.reason}: {ended.by}"
    if ended.outcome is Outcome.OK:
        return " ".join(["ok", *(f"{name}={value}" for name, value in ended.detail.items())])
    if ended.outcome is Outcome.SKIPPED:
        return f"skipped: {ended.error}"
    raise RunFailedError(f"{ended.outcome}: {ended.error}")
