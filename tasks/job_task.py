"""The Celery side of a job: its name in Flower, its launch from the message, its answer to the caller."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from celery import Task
from celery.exceptions import Ignore, Reject

from tasks.domain.claims import Again, Refusal, Refused, Terms
from tasks.domain.jobs import Job
from tasks.domain.outcomes import Launch, Outcome, Source
from tasks.domain.policies import Overlap, wait_pause
from tasks.domain.slots import parse_slot, slot_text
from tasks.errors import EscapementError, RedisUnavailableError, UnknownJobError
from tasks.ports import Services
from tasks.run_once import Act, Ended, run_once

if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task

MOMENT = timedelta(milliseconds=1)
ALONE = "alone"


class RunFailedError(EscapementError):
    """The run ended in another outcome than ok; the ledger has the details."""


class JobTask(BaseTask):
    """A task that runs a job: Flower lists it by the job's name, which is its first argument."""

    abstract = True
    acks_late = True
    max_retries = None
    throws = (EscapementError,)

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

    def run_job(self, job: Job, slot: str | None, lease: timedelta, act: Act) -> str:
        """Run the job once for the slot of this message, and say how it ended.

        Raises Celery's Retry when the slot is to be tried again later: no worker waits for that. Raises Reject, which
        puts the message back, when Redis was away: if the slot was claimed all the same, the next delivery sees it.
        """
        launch = self.launch(job.name, slot)
        if ALONE in self._headers():
            job = replace(job, overlap=Overlap.SKIP)
        terms = terms_of(job, lease, launch.slot, self.window_end())
        try:
            ended = run_once(self.services, launch, terms, act)
        except RedisUnavailableError as error:
            raise Reject(str(error), requeue=True) from error
        if isinstance(ended, Again):
            raise self.later(ended.pause)
        if isinstance(ended, Refused) and ended.reason is Refusal.WAIT:
            return self.wait(launch, terms, ended.by)
        if self._is_redelivered() and isinstance(ended, Refused) and ended.reason is Refusal.DUPLICATE:
            raise Ignore  # the first delivery tells what becomes of this task
        return answer(ended)

    def wait(self, launch: Launch, terms: Terms, by: str) -> str:
        """Try again later while the overlap policy says so; then end the slot as skipped."""
        pause = wait_pause(terms.overlap, launch.attempt, self.services.clock.now(), terms.window_end)
        if pause is not None:
            raise self.later(pause)
        self.services.claims.settle(launch, Outcome.SKIPPED, f"busy: {by}, and it has waited long enough")
        return f"skipped: busy: {by}"

    def later(self, pause: timedelta) -> Exception:
        """Send this message again with a countdown; returns what Celery wants raised then."""
        return self.retry(countdown=pause.total_seconds(), throw=False)

    def launch(self, job: str, slot: str | None) -> Launch:
        """Build the launch from the message's headers; without a slot it is a manual run named by its task id.

        Raises UnknownJobError when `slot` is no instant.
        """
        headers, run_id = self._headers(), str(self.request.id)
        instant = _instant(slot or headers.get("slot"))
        dispatched = headers.get("dispatched_at")
        return Launch(
            job=job,
            key=f"manual-{run_id}" if instant is None else slot_text(instant),
            slot=instant,
            source=Source(headers.get("source", Source.MANUAL)),
            run_id=run_id,
            dispatched_at=None if dispatched is None else datetime.fromisoformat(dispatched).astimezone(UTC),
            attempt=(self.request.retries or 0) + 1,
        )

    def window_end(self) -> datetime | None:
        return _instant(self._headers().get("window_end"))

    def job_of(self, name: str) -> Job:
        """Look a job up by its name; raises UnknownJobError that lists the names there are.

        Raises Reject, which puts the message back, when Redis was away and may know it.
        """
        try:
            return self.services.job(name)
        except RedisUnavailableError as error:
            raise Reject(str(error), requeue=True) from error

    def _is_redelivered(self) -> bool:
        return bool((self.request.delivery_info or {}).get("redelivered"))

    def _headers(self) -> dict[str, Any]:
        return dict(self.request.headers or {})


def terms_of(job: Job, lease: timedelta, slot: datetime | None, window_end: datetime | None) -> Terms:
    """Return the terms on which a job's slot is claimed; no try begins in the period of the next slot."""
    following = None if slot is None else job.cadence.next_after(slot)
    ends = [each for each in (window_end, None if following is None else following - MOMENT) if each is not None]
    return Terms(
        lease=lease,
        overlap=job.overlap,
        window_end=window_end,
        group=job.group,
        group_limit=job.group_limit,
        retry_until=min(ends, default=None),
        remote_runs_on=job.remote_runs_on,
    )


def answer(ended: Ended) -> str:
    """Say how a run ended, in one line for Flower and for `.get()`; raises RunFailedError unless it is good."""
    if ended is None:
        return "under way"
    if isinstance(ended, Again):
        return f"again in {ended.pause.total_seconds():g} s"
    if isinstance(ended, Refused):
        return f"{ended.reason}: {ended.by}"
    if ended.outcome is Outcome.OK:
        return " ".join(["ok", *(f"{name}={value}" for name, value in ended.detail.items())])
    if ended.outcome in {Outcome.SKIPPED, Outcome.CANCELLED}:
        return f"{ended.outcome}: {ended.error}"
    raise RunFailedError(f"{ended.outcome}: {ended.error}")


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_slot(text)
    except ValueError as error:
        raise UnknownJobError(f"no such slot: {error}") from None
