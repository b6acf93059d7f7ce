"""WHEN: the typed table of jobs, made from the settings."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tasks.domain.cadence import Cadence, Interval
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.coprime import assign_phases
from tasks.domain.jobs import Action, HttpCall, Job, Method, ProcessSessions

PIPELINE = "pipeline"


class ScheduleSettings(Protocol):
    """The settings that the table is made from; intervals in seconds."""

    @property
    def scheduler_data_refresh_interval(self) -> int: ...
    @property
    def scheduler_health_check_interval(self) -> int: ...
    @property
    def scheduler_script_run_interval(self) -> int: ...
    @property
    def scheduler_marketplaces_schedule(self) -> str: ...
    @property
    def scheduler_session_collector_interval(self) -> int: ...
    @property
    def scheduler_usage_processor_interval(self) -> int: ...
    @property
    def scheduler_verification_detector_interval(self) -> int: ...
    @property
    def scheduler_corporate_memory_interval(self) -> int: ...


def job_table(settings: ScheduleSettings) -> dict[str, Job]:
    """Return every job by its name.

    The pipeline group gets the phases that keep its jobs as far apart as their cadences allow. Raises CadenceError for
    a cadence that can't be used.
    """
    jobs = (*_single_jobs(settings), *_pipeline_jobs(settings))
    return {job.name: job for job in jobs}


def _single_jobs(settings: ScheduleSettings) -> tuple[Job, ...]:
    marketplaces = parse_cadence(settings.scheduler_marketplaces_schedule, now=datetime.now(UTC))
    return (
        _http("data-refresh", _every(settings.scheduler_data_refresh_interval), Method.POST, "/api/sync/trigger", 120),
        _http("health-check", _every(settings.scheduler_health_check_interval), Method.GET, "/api/health", 30),
        _http(
            "script-runner", _every(settings.scheduler_script_run_interval), Method.POST, "/api/scripts/run-due", 600
        ),
        _http("marketplaces", marketplaces, Method.POST, "/api/marketplaces/sync-all", 900),
    )


def _pipeline_jobs(settings: ScheduleSettings) -> tuple[Job, ...]:
    cadences = _apart(
        {
            "session-collector": settings.scheduler_session_collector_interval,
            "session-processor:usage": settings.scheduler_usage_processor_interval,
            "session-processor:verification": settings.scheduler_verification_detector_interval,
            "corporate-memory": settings.scheduler_corporate_memory_interval,
        }
    )
    actions: dict[str, Action] = {
        "session-collector": HttpCall(method=Method.POST, url="/api/admin/run-session-collector", timeout=300),
        "session-processor:usage": ProcessSessions(processor="usage"),
        "session-processor:verification": ProcessSessions(processor="verification"),
        "corporate-memory": HttpCall(method=Method.POST, url="/api/admin/run-corporate-memory", timeout=900),
    }
    return tuple(
        Job(name=name, cadence=cadences[name], action=action, group=PIPELINE) for name, action in actions.items()
    )


def _apart(seconds: Mapping[str, int]) -> dict[str, Cadence]:
    periods = {name: timedelta(seconds=each) for name, each in seconds.items()}
    phases = assign_phases(periods)
    return {name: Interval(every=period, phase=phases[name]) for name, period in periods.items()}


def _every(seconds: int) -> Cadence:
    return Interval(every=timedelta(seconds=seconds))


def _http(name: str, cadence: Cadence, method: Method, path: str, timeout: float) -> Job:
    return Job(name=name, cadence=cadence, action=HttpCall(method=method, url=path, timeout=timeout))
