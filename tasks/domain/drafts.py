"""From jobs as they are written down to the table: phases for each group, every problem named."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tasks.domain.cadence import CadenceError, Interval
from tasks.domain.coprime import MILLISECOND, assign_phases
from tasks.domain.durations import duration_text
from tasks.domain.jobs import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A job before phases are chosen: `phase` is set by hand, `place` says where, `remark` is for whoever starts it."""

    job: Job
    phase: timedelta | None = None
    place: str = ""
    remark: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """The jobs that can be used, by name, and a line for each that can't."""

    jobs: dict[str, Job]
    problems: tuple[str, ...]


def settle(drafts: Sequence[Draft]) -> Settled:
    """Give each interval its phase: the one set by hand, or the one that keeps its group apart.

    Jobs whose cadence follows the clock on the wall are in no phase calculation.
    """
    problems = {draft.job.name: problem for draft in drafts if (problem := _problem(draft))}
    usable = [draft for draft in drafts if draft.job.name not in problems]
    phases = {name: phase for group in _groups(usable) for name, phase in _phases(group).items()}
    jobs = {draft.job.name: _phased(draft, phases) for draft in usable}
    return Settled(jobs=jobs, problems=tuple(problems.values()))


def is_apart(job: Job) -> bool:
    """Say whether a job is one of a group whose phases are chosen together."""
    return bool(job.group) and isinstance(job.cadence, Interval)


def _problem(draft: Draft) -> str:
    cadence, phase = draft.job.cadence, draft.phase
    if not isinstance(cadence, Interval):
        return "" if phase is None else f"{draft.place}: {cadence} is no interval, and only intervals have a phase"
    if phase is not None and cadence.phase and phase != cadence.phase:
        return f"{draft.place}: the schedule, {cadence}, sets another phase"
    if phase is not None and not timedelta(0) <= phase < cadence.every:
        return f"{draft.place}: accepted is 0 up to, but not including, the interval ({duration_text(cadence.every)})"
    if draft.job.group and (cadence.every % MILLISECOND or cadence.phase % MILLISECOND):
        return f"{draft.job.name}: {cadence}; accepted are whole milliseconds for a job of a group"
    return ""


def _groups(drafts: Iterable[Draft]) -> list[list[Draft]]:
    groups: dict[str, list[Draft]] = {}
    for draft in drafts:
        if is_apart(draft.job):
            groups.setdefault(draft.job.group, []).append(draft)
    return list(groups.values())


def _phases(group: Sequence[Draft]) -> dict[str, timedelta]:
    periods = {draft.job.name: _interval(draft).every for draft in group}
    fixed = {draft.job.name: phase for draft in group if (phase := _set_by_hand(draft)) is not None}
    return assign_phases(periods, fixed)


def _set_by_hand(draft: Draft) -> timedelta | None:
    return draft.phase if draft.phase is not None else (_interval(draft).phase or None)


def _phased(draft: Draft, phases: dict[str, timedelta]) -> Job:
    cadence = draft.job.cadence
    if not isinstance(cadence, Interval):
        return draft.job
    by_hand = draft.phase if draft.phase is not None else cadence.phase
    return replace(draft.job, cadence=replace(cadence, phase=phases.get(draft.job.name, by_hand)))


def _interval(draft: Draft) -> Interval:
    if not isinstance(draft.job.cadence, Interval):
        raise CadenceError(f"{draft.job.name}: {draft.job.cadence} is no interval")
    return draft.job.cadence
