"""The verification processor as Celery tasks: questions wait on `http`, commits go through `warehouse`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from celery import shared_task

from tasks import verification_runs
from tasks.domain.claims import Lease
from tasks.domain.outcomes import Result
from tasks.job_task import JobTask
from tasks.ports import Services
from tasks.verification_parts import Asked, Compared, Doubt, Lane, Part
from tasks.verification_runs import RUN_IS_OVER


class QuestionTask(JobTask):
    """One question of a job; its first argument is the job.

    It is acknowledged when it starts: a question that dies with its worker is not paid for twice, its session is simply
    still unprocessed.
    """

    abstract = True
    acks_late = False

    def job_name(self, argument: str) -> str:
        return f"{argument} question"


class AnswerTask(JobTask):
    """The commit of one answer of a job; its first argument is the job."""

    abstract = True

    def job_name(self, argument: str) -> str:
        return f"{argument} commit"


def start(services: Services, lease: Lease) -> Result | None:
    """Scan, and send each lane on its way; the Result is there at once when there is nothing to ask."""
    planned = verification_runs.start(services, lease)
    if isinstance(planned, Result):
        return planned
    for lane in planned:
        _send_lane(lease, lane)
    return None


@shared_task(bind=True, base=QuestionTask, name="tasks.ask_about_session")
def ask_about_session(self: JobTask, job: str, lease: dict[str, Any], lane: list[Any]) -> str:
    """Ask about the first session of a lane, then send the rest of the lane."""
    held, (first, *rest) = msgspec.convert(lease, Lease), msgspec.convert(lane, Lane)
    try:
        asked = verification_runs.ask(self.services, held, first)
    except Exception as error:
        verification_runs.fail(self.services, held, first.number, error)
        if not isinstance(error, RUN_IS_OVER):
            _send_lane(held, rest)
        raise
    commit_answer.apply_async((job, lease, msgspec.to_builtins(asked)), **_shown(held, first.number))
    problem = verification_runs.over(self.services, held, asked)
    if problem:
        verification_runs.leave(self.services, held, tuple(rest), problem)
    else:
        _send_lane(held, rest)
    return problem or "asked"


@shared_task(bind=True, base=AnswerTask, name="tasks.commit_answer")
def commit_answer(self: JobTask, job: str, lease: dict[str, Any], asked: dict[str, Any]) -> str:
    """Commit what one part learned, and send the question that it raises."""
    held, answered = msgspec.convert(lease, Lease), msgspec.convert(asked, Asked)
    with _counted(self.services, held, answered.number):
        doubt = verification_runs.commit(self.services, held, answered)
    if isinstance(doubt, Doubt):
        compare_knowledge.apply_async((job, lease, msgspec.to_builtins(doubt)), **_shown(held, doubt.number))
    return f"{job}: committed"


@shared_task(bind=True, base=QuestionTask, name="tasks.compare_knowledge")
def compare_knowledge(self: JobTask, job: str, lease: dict[str, Any], doubt: dict[str, Any]) -> str:
    """Ask whether what was just learned contradicts what was known."""
    held, doubted = msgspec.convert(lease, Lease), msgspec.convert(doubt, Doubt)
    with _counted(self.services, held, doubted.number):
        compared = verification_runs.compare(self.services, held, doubted)
    if isinstance(compared, Compared):
        flag_contradictions.apply_async((job, lease, msgspec.to_builtins(compared)), **_shown(held, compared.number))
    return f"{job}: compared"


@shared_task(bind=True, base=AnswerTask, name="tasks.flag_contradictions")
def flag_contradictions(self: JobTask, job: str, lease: dict[str, Any], compared: dict[str, Any]) -> str:
    """Keep the contradictions that were found."""
    held, found = msgspec.convert(lease, Lease), msgspec.convert(compared, Compared)
    with _counted(self.services, held, found.number):
        verification_runs.flag(self.services, held, found)
    return f"{job}: {len(found.found)} contradiction(s)"


@contextmanager
def _counted(services: Services, lease: Lease, number: int) -> Iterator[None]:
    """Count the part when its work breaks off."""
    try:
        yield
    except Exception as error:
        verification_runs.fail(services, lease, number, error)
        raise


def _send_lane(lease: Lease, lane: Sequence[Part]) -> None:
    if lane:
        args = (lease.launch.job, msgspec.to_builtins(lease), msgspec.to_builtins(tuple(lane)))
        ask_about_session.apply_async(args, **_shown(lease, lane[0].number))


def _shown(lease: Lease, part: int) -> dict[str, Any]:
    """Show in Flower whose part it is instead of what people said."""
    return {"argsrepr": f"({lease.launch.identity!r}, part {part})"}
