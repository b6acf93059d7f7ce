"""Cadences: the values that say when a job is due, as pure functions from one instant to the next."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tasks.domain.cadence_base import Cadence, CadenceError
from tasks.domain.cadence_wall import EVERY_DAY, WEEKDAYS, WEEKENDS, Cron, Daily, zone_named
from tasks.domain.durations import duration_text
from tasks.domain.slots import EPOCH, slot_text

__all__ = [
    "EVERY_DAY",
    "WEEKDAYS",
    "WEEKENDS",
    "Cadence",
    "CadenceError",
    "Cron",
    "Daily",
    "Interval",
    "Once",
    "zone_named",
]

_LONGEST: Final = timedelta(days=36_525)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval(Cadence):
    """Elapsed time on UTC: the instants t with ``(t - epoch - phase) mod every == 0``, exact to the microsecond.

    Raises CadenceError unless ``0 < every`` and ``0 <= phase < every``.
    """

    every: timedelta
    phase: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.every <= timedelta(0):
            raise CadenceError(f"every {self.every}: an interval must be longer than zero")
        if self.every > _LONGEST:
            raise CadenceError(f"every {self.every}: an interval can't be longer than {_LONGEST.days} days")
        if not timedelta(0) <= self.phase < self.every:
            raise CadenceError(f"phase {self.phase}: accepted is zero up to, but not including, the interval")

    def next_after(self, instant: datetime) -> datetime:
        origin = EPOCH + self.phase
        return origin + self.every * ((instant - origin) // self.every + 1)

    def latest_at_or_before(self, instant: datetime, *, floor: datetime) -> datetime | None:
        origin = EPOCH + self.phase
        slot = origin + self.every * ((instant - origin) // self.every)
        return slot if slot > floor else None

    def count_between(self, start: datetime, end: datetime) -> int:
        origin = EPOCH + self.phase
        return max(0, (end - origin) // self.every - (start - origin) // self.every)

    def period_at(self, instant: datetime) -> timedelta:  # noqa: ARG002 - the same at every instant
        return self.every

    def __str__(self) -> str:
        phase = f" phase {duration_text(self.phase)}" if self.phase else ""
        return f"every {duration_text(self.every)}{phase}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Once(Cadence):
    """One slot, at an aware instant."""

    at: datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise CadenceError(f"at {self.at.isoformat()}: an instant needs an offset from UTC")
        object.__setattr__(self, "at", self.at.astimezone(UTC))

    def next_after(self, instant: datetime) -> datetime | None:
        return self.at if self.at > instant else None

    def latest_at_or_before(self, instant: datetime, *, floor: datetime) -> datetime | None:
        return self.at if floor < self.at <= instant else None

    def __str__(self) -> str:
        return f"at {slot_text(self.at)}"
