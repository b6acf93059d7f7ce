"""WHEN: the typed table of jobs, made from the settings.

A new HTTP job is one more line in BUILT_IN; the variables that set its schedule and phase follow from its name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol

from tasks.domain.cadence import Cadence, CadenceError, Interval
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.drafts import Draft, Settled, settle
from tasks.domain.jobs import Action, HttpCall, Job, Method, ProcessSessions
from tasks.errors import ConfigurationError
from tasks.processors import others

PIPELINE = "pipeline"
FIRST_OF_OTHERS = 19
COUNTS_FROM_START = "counts from each start of a beat; write `at 2026-12-01T09:00` for one instant"


class ScheduleSettings(Protocol):
    """The settings that the table is made from; intervals in seconds."""

    @property
    def scheduler_data_refresh_interval(self) -> int: ...
    @property
    def scheduler_health_check_interval(self) -> int: ...
    @property
    def scheduler_script_run_interval(self) -> int: ...
    @property
    def scheduler_session_collector_interval(self) -> int: ...
    @property
    def scheduler_usage_processor_interval(self) -> int: ...
    @property
    def scheduler_verification_detector_interval(self) -> int: ...
    @property
    def scheduler_corporate_memory_interval(self) -> int: ...
    @property
    def scheduler_timezone(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def own_jobs(self) -> Sequence[Draft]: ...

    def schedule_of(self, variable: str) -> str | None:
        """Return the cadence in words that overrides a job's interval."""
        ...

    def phase_of(self, variable: str) -> timedelta | None:
        """Return the phase that is set by hand."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltIn:
    """A job that comes with Escapement: due every `seconds` of the settings, or by the words of `schedule`."""

    name: str
    action: Action
    seconds: Callable[[ScheduleSettings], int] | None = None
    schedule: str | None = None
    group: str = ""

    @property
    def variable(self) -> str:
        """What the names of its variables begin with, such as `SCHEDULER_HEALTH_CHECK`."""
        return f"scheduler_{self.name}".translate(str.maketrans("-:", "__")).upper()


def _call(method: Method, path: str, timeout: float) -> HttpCall:
    return HttpCall(method=method, url=path, timeout=timeout)


def of_other_processors(names: Sequence[str]) -> tuple[BuiltIn, ...]:
    """Return a job for each session processor of another package, with intervals that keep the group coprime."""
    return tuple(
        BuiltIn(
            name=f"session-processor:{name}",
            action=ProcessSessions(processor=name),
            schedule=f"every {minutes}m",
            group=PIPELINE,
        )
        for name, minutes in zip(names, _primes_from(FIRST_OF_OTHERS), strict=False)
    )


def _primes_from(start: int) -> Iterator[int]:
    return (number for number in count(start) if all(number % divisor for divisor in range(2, number)))


BUILT_IN = (
    BuiltIn(
        name="data-refresh",
        action=_call(Method.POST, "/api/sync/trigger", 120),
        seconds=lambda settings: settings.scheduler_data_refresh_interval,
    ),
    BuiltIn(
        name="health-check",
        action=_call(Method.GET, "/api/health", 30),
        seconds=lambda settings: settings.scheduler_health_check_interval,
    ),
    BuiltIn(
        name="script-runner",
        action=_call(Method.POST, "/api/scripts/run-due", 600),
        seconds=lambda settings: settings.scheduler_script_run_interval,
    ),
    BuiltIn(
        name="marketplaces",
        action=_call(Method.POST, "/api/marketplaces/sync-all", 900),
        schedule="daily 03:00",
    ),
    BuiltIn(
        name="session-collector",
        action=_call(Method.POST, "/api/admin/run-session-collector", 300),
        seconds=lambda settings: settings.scheduler_session_collector_interval,
        group=PIPELINE,
    ),
    BuiltIn(
        name="session-processor:usage",
        action=ProcessSessions(processor="usage"),
        seconds=lambda settings: settings.scheduler_usage_processor_interval,
        group=PIPELINE,
    ),
    BuiltIn(
        name="session-processor:verification",
        action=ProcessSessions(processor="verification"),
        seconds=lambda settings: settings.scheduler_verification_detector_interval,
        group=PIPELINE,
    ),
    BuiltIn(
        name="corporate-memory",
        action=_call(Method.POST, "/api/admin/run-corporate-memory", 900),
        seconds=lambda settings: settings.scheduler_corporate_memory_interval,
        group=PIPELINE,
    ),
    *of_other_processors(others()),
)


def job_table(settings: ScheduleSettings) -> dict[str, Job]:
    """Return every job by its name: those of BUILT_IN, then those of the jobs file.

    The intervals of a group get the phases that keep them as far apart as they allow. Raises ConfigurationError with
    one line for each job that can't be used.
    """
    settled = settled_jobs(settings)
    if settled.problems:
        raise ConfigurationError("\n".join(settled.problems))
    return settled.jobs


def settled_jobs(settings: ScheduleSettings) -> Settled:
    """Return the jobs that can be used, and what is wrong with the others."""
    drafts, problems = [], []
    for built_in in BUILT_IN:
        try:
            drafts.append(_draft(built_in, settings))
        except CadenceError as error:
            problems.append(f"{built_in.variable}_SCHEDULE: {error}")
    settled = settle([*drafts, *settings.own_jobs])
    return Settled(jobs=settled.jobs, problems=(*problems, *settled.problems))


def remarks(settings: ScheduleSettings) -> list[str]:
    """Return what whoever starts beat should know about single jobs."""
    drafts = [*(_draft(built_in, settings) for built_in in BUILT_IN), *settings.own_jobs]
    return [f"{draft.job.name}: {draft.remark}" for draft in drafts if draft.remark]


def counted_from_start(schedule: str) -> str:
    """Return the remark about a schedule such as `in 30m`, empty for all others."""
    return f"{schedule} {COUNTS_FROM_START}" if schedule.lower().split()[:1] == ["in"] else ""


def _draft(built_in: BuiltIn, settings: ScheduleSettings) -> Draft:
    phase = settings.phase_of(built_in.variable)
    schedule = settings.schedule_of(built_in.variable)
    cadence = _cadence(built_in, schedule, settings)
    return Draft(
        job=Job(name=built_in.name, cadence=cadence, action=built_in.action, group=built_in.group),
        phase=phase,
        place="" if phase is None else f"{built_in.variable}_PHASE={phase.total_seconds():g}",
        remark=counted_from_start(schedule or ""),
    )


def _cadence(built_in: BuiltIn, schedule: str | None, settings: ScheduleSettings) -> Cadence:
    if schedule is None and built_in.seconds is not None:
        return Interval(every=timedelta(seconds=built_in.seconds(settings)))
    words = schedule or built_in.schedule or ""
    return parse_cadence(words, timezone=settings.scheduler_timezone, now=settings.started_at)
