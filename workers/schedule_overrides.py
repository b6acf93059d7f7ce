"""The variables that follow from a job's name: SCHEDULER_<JOB>_SCHEDULE and SCHEDULER_<JOB>_PHASE."""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from beat_schedule import BUILT_IN
from tasks.domain.cadence import zone_named
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.coprime import MILLISECOND

YEAR_SECONDS = 366 * 24 * 3600
CADENCES_ACCEPTED = "a cadence such as `weekdays at 09:30`, `every 6h` or `0 3 * * *`"
PHASE_ACCEPTED = "seconds from 0 up to, but not including, the job's interval, with whole milliseconds"


def _known_zone(name: str) -> str:
    zone_named(name)
    return name


def _readable(words: str, info: ValidationInfo) -> str:
    parse_cadence(words, timezone=info.data.get("scheduler_timezone", "UTC"), now=datetime.now(UTC))
    return words


def whole_milliseconds(seconds: float) -> float:
    """Return seconds that are whole milliseconds; raises ValueError for others."""
    if timedelta(seconds=seconds) % MILLISECOND:
        raise ValueError("it has a fraction finer than a millisecond")
    return seconds


Zone = Annotated[str, AfterValidator(_known_zone), Field(description="an IANA name such as `Europe/Prague`")]
Words = Annotated[str, Field(min_length=1, description=CADENCES_ACCEPTED), AfterValidator(_readable)]
PhaseSeconds = Annotated[
    float,
    Field(ge=0, le=YEAR_SECONDS, allow_inf_nan=False, description=PHASE_ACCEPTED),
    AfterValidator(whole_milliseconds),
]


class _Zoned(BaseSettings):
    """The timezone comes first, because the schedules are read in it."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=False, hide_input_in_errors=True)

    scheduler_timezone: Zone = "UTC"


def _fields() -> dict[str, Any]:
    schedules: dict[str, Any] = {f"{job.variable.lower()}_schedule": (Words | None, job.schedule) for job in BUILT_IN}
    phases: dict[str, Any] = {f"{job.variable.lower()}_phase": (PhaseSeconds | None, None) for job in BUILT_IN}
    return {
        name: (kind, Field(default=default, description=_accepted(name)))
        for name, (kind, default) in (schedules | phases).items()
    }


def _accepted(name: str) -> str:
    return CADENCES_ACCEPTED if name.endswith("_schedule") else PHASE_ACCEPTED


if TYPE_CHECKING:
    _Generated = _Zoned
else:
    _Generated = create_model("_Generated", __base__=_Zoned, **_fields())


class ScheduleOverrides(_Generated):
    """What a deployment says about single jobs: each has a field `scheduler_<job>_schedule` and one with `_phase`."""

    @cached_property
    def started_at(self) -> datetime:
        """The instant from which `in 30m` counts."""
        return datetime.now(UTC)

    def schedule_of(self, variable: str) -> str | None:
        """Return the words that say when a job is due, None when its interval does."""
        words: str | None = getattr(self, f"{variable.lower()}_schedule")
        return words

    def phase_of(self, variable: str) -> timedelta | None:
        """Return the phase that is set by hand."""
        seconds: float | None = getattr(self, f"{variable.lower()}_phase")
        return None if seconds is None else timedelta(seconds=seconds)
