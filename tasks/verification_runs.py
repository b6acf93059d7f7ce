"""A run of the verification processor: one question for each session with news, then one commit for each answer.

The sessions of a run go through a few lanes, one after the other in each, so that a long run leaves the `http` workers
room for HTTP jobs, and an endpoint that is down is asked a few times and not once for each session.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from tasks import pipeline, session_runs
from tasks.domain.batches import Batch, Committed, Fence, Plan, Staged, Work, cut
from tasks.domain.claims import Lease, Progress, refuse_stopped
from tasks.domain.outcomes import Outcome, Result, cut_error
from tasks.domain.processor import Processor
from tasks.domain.verification_questions import contradiction_question
from tasks.domain.verification_turns import is_subagent
from tasks.errors import FencedError, LeaseLostError, RunCancelledError
from tasks.ports import Services
from tasks.processors.verification import NAME, VerificationProcessor
from tasks.run_once import describe
from tasks.session_ports import SessionFiles, Staging, Warehouse
from tasks.verification_ask import Heard, hear
from tasks.verification_parts import FIGURES, Asked, Compared, Doubt, Lane, Part
from tasks.verification_ports import Answer, Learned, VerificationServices

RUN_IS_OVER = (LeaseLostError, FencedError, RunCancelledError)
LANES = 4
MOST_SESSIONS = 400
NOT_CONFIGURED = "not configured: set VERIFICATION_LLM_URL and VERIFICATION_LLM_MODEL, then restart the workers"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanServices:
    """The pipeline's services, with the one processor that is not among the others."""

    session_files: SessionFiles
    staging: Staging
    warehouse: Warehouse
    processors: Mapping[str, Processor]


def start(services: Services, lease: Lease) -> Result | Sequence[Lane]:
    """Scan and plan; a Result at once when verification is not configured or nothing is new."""
    if services.verification is None or services.verification.model is None:
        return Result(outcome=Outcome.SKIPPED, error=NOT_CONFIGURED)
    plan = pipeline.scan(scan_services(services), (NAME,), services.budget)
    parts = parts_of(plan)
    if not parts:
        return Result(outcome=Outcome.OK, detail={"files": 0, "unchanged": plan.unchanged, "waiting": plan.waiting})
    if not services.claims.hand_over(lease, len(parts)):
        raise LeaseLostError(f"{lease.launch.identity}: its lease was lost while it scanned")
    return [lane for number in range(LANES) if (lane := tuple(parts[number::LANES]))]


def parts_of(plan: Plan) -> tuple[Part, ...]:
    """Return a part for each session, oldest first and at most MOST_SESSIONS, and few for all sub-agents' files."""
    works = list(chain.from_iterable(batch.works for batch in plan.batches))
    sessions = [work for work in works if not is_subagent(work.seen.path)][:MOST_SESSIONS]
    alone = [Batch(works=(work,), bytes=work.new_bytes) for work in sessions]
    return tuple(Part(number, batch) for number, batch in enumerate([*_subagents(works), *alone]))


def ask(services: Services, lease: Lease, part: Part) -> Asked:
    """Read the sessions of a part, ask about each with news, and stage what was learned.

    Raises LeaseLostError or RunCancelledError when the run is over.
    """
    refuse_stopped(lease, services.claims.renew(lease))
    model = _verification(services).model
    processor = VerificationProcessor()
    with services.watchdog.renewing(lease) as stop, services.staging.writer((processor,)) as writer:
        heard = [hear(services.session_files, model, work) for work in part.batch.works]
        stop.check()
        for each in heard:
            writer.add(each.rows)
        parts = tuple(writer.close())
        staged = Staged(
            cursors=tuple(each.cursor for each in heard if each.cursor is not None),
            parts=parts,
            bytes=sum(each.bytes for each in heard),
            lines=sum(each.lines for each in heard),
            folder=writer.folder,
        )
        return _asked(part, staged, heard)


def commit(services: Services, lease: Lease, asked: Asked) -> Doubt | Progress | None:
    """Commit what a part learned; returns the question that it raises, or counts the part as done."""
    fence = Fence(name=lease.launch.job, token=lease.token)
    paths = services.staging.paths(asked.staged.parts)
    try:
        learned = _verification(services).knowledge.commit(asked.staged, paths, fence, outage=asked.outage)
    finally:
        services.staging.remove(asked.staged.folder)
    figures = asked.figures | figures_of(learned)
    if learned.suspects:
        return Doubt(number=asked.number, suspects=learned.suspects, figures=figures, problem=asked.problem)
    return session_runs.finish_part(services, lease, asked.number, figures, asked.problem)


def compare(services: Services, lease: Lease, doubt: Doubt) -> Compared | Progress | None:
    """Ask whether new knowledge contradicts what was known; a failure only leaves it uncompared."""
    refuse_stopped(lease, services.claims.renew(lease))
    model = _verification(services).model
    with services.watchdog.renewing(lease):
        reply = None if model is None else model.ask(contradiction_question(doubt.suspects))
    compared = doubt.compared(reply) if isinstance(reply, Answer) else None
    if compared is not None:
        return compared
    figures = doubt.figures | {"uncompared": len(doubt.suspects)}
    return session_runs.finish_part(services, lease, doubt.number, figures, doubt.problem)


def flag(services: Services, lease: Lease, compared: Compared) -> Progress | None:
    """Keep the contradictions that were found, and count the part as done."""
    fence = Fence(name=lease.launch.job, token=lease.token)
    new = _verification(services).knowledge.flag(compared.asked, compared.found, fence)
    figures = compared.figures | {"contradictions": new}
    return session_runs.finish_part(services, lease, compared.number, figures, compared.problem)


def over(services: Services, lease: Lease, asked: Asked) -> str:
    """Say why the rest of a lane is left for the next run; empty when it goes on."""
    if asked.outage:
        return f"not asked: {asked.problem}"
    return "left for the next run" if session_runs.time_is_up(services, lease) else ""


def leave(services: Services, lease: Lease, lane: Lane, problem: str) -> None:
    """Count the rest of a lane as done without touching its sessions."""
    for part in lane:
        session_runs.finish_part(services, lease, part.number, dict.fromkeys(FIGURES, 0), cut_error(problem))


def fail(services: Services, lease: Lease, number: int, error: Exception) -> None:
    """Count a part that broke off; a run that has lost its lease, or is cancelled, ends at once."""
    if isinstance(error, RUN_IS_OVER):
        session_runs.fail_part(services, lease, number, error)
    else:
        session_runs.finish_part(services, lease, number, dict.fromkeys(FIGURES, 0), describe(error))


def figures_of(learned: Learned) -> dict[str, int]:
    """Return what a commit adds to the figures of its part."""
    committed: Committed = learned.committed
    return {
        "files": committed.files,
        "evidence": learned.evidence,
        "knowledge": learned.knowledge,
        "failed": committed.failed,
        "moved": committed.moved,
    }


def _asked(part: Part, staged: Staged, heard: Sequence[Heard]) -> Asked:
    sums = {name: sum(each.figures.get(name, 0) for each in heard) for name in FIGURES}
    problems = [f"{c.seen.path}: {c.error}" for c in staged.cursors if c.error is not None]
    outage = any(each.outage for each in heard)
    return Asked(
        number=part.number, staged=staged, figures=sums, problem=cut_error("".join(problems[:1])), outage=outage
    )


def _subagents(works: Iterable[Work]) -> Iterable[Batch]:
    return cut(work for work in works if is_subagent(work.seen.path))


def scan_services(services: Services) -> ScanServices:
    """Return what the pipeline and `session_admin` need to treat verification as one of the processors."""
    return ScanServices(
        session_files=services.session_files,
        staging=services.staging,
        warehouse=services.warehouse,
        processors={NAME: VerificationProcessor()},
    )


def _verification(services: Services) -> VerificationServices:
    if services.verification is None:
        raise LookupError(NOT_CONFIGURED)
    return services.verification
