"""Wall-clock cadences: times of day and cron, in a timezone whose clocks may be moved."""

import copy
from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from tasks.domain.cadence_base import Cadence, CadenceError
from tasks.domain.wall_time import (
    about_to_repeat,
    first_after,
    first_instant,
    is_skipped,
    second_instant,
    wall_time,
    walls_after,
)

DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY: Final = frozenset(range(7))
WEEKDAYS: Final = frozenset(range(5))
WEEKENDS: Final = frozenset({5, 6})

_EVERY_HOUR: Final = 24
_CRON_FIELDS: Final = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L, LW",
    "month": "1-12, JAN-DEC",
    "day-of-week": "0-7, SUN-SAT, 5L, MON#2",
}
_NO_SUCH_DATE: Final = "never matches: no month listed has such a day; accepted are dates that exist"
_ANY_START: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall time


@dataclass(frozen=True, kw_only=True, slots=True)
class WallClock(Cadence):
    """Times that the clocks of an IANA timezone show.

    A run that a gap skips happens once, right after the gap. In a fold a fixed time runs once, at its first instant; a
    pattern that repeats through the hour runs in both hours, and one that runs in every hour makes nothing up after a
    gap. Raises CadenceError for an unknown timezone.
    """

    timezone: str = "UTC"

    def __post_init__(self) -> None:
        zone_named(self.timezone)

    @abstractmethod
    def next_wall(self, wall: datetime) -> datetime | None:
        """Give the first matching naive wall time strictly after another, as if clocks were never moved."""

    @property
    def repeats_in_fold(self) -> bool:
        """Whether both instants of a repeated wall time are slots."""
        return False

    @property
    def makes_up_gap(self) -> bool:
        """Whether what a gap skips is run right after it."""
        return True

    def next_after(self, instant: datetime) -> datetime | None:
        zone = zone_named(self.timezone)
        start = wall_time(instant, zone)
        if self.repeats_in_fold:
            start -= about_to_repeat(instant, zone)
        walls = walls_after(start, self.next_wall)
        return first_after(instant, (self._instants(wall, zone) for wall in walls))

    def _instants(self, wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
        if not self.makes_up_gap and is_skipped(wall, zone):
            return ()
        second = second_instant(wall, zone) if self.repeats_in_fold else None
        first = first_instant(wall, zone)
        return (first,) if second is None else (first, second)


@dataclass(frozen=True, kw_only=True, slots=True)
class Daily(WallClock):
    """Fixed times of day on some weekdays, 0 being Monday; raises CadenceError without a time or a weekday."""

    times: tuple[time, ...]
    weekdays: frozenset[int] = EVERY_DAY

    def __post_init__(self) -> None:
        zone_named(self.timezone)
        if not self.times or not self.weekdays or not self.weekdays <= EVERY_DAY:
            raise CadenceError(f"{self.times} on {sorted(self.weekdays)}: accepted is one time or more on days 0 to 6")
        object.__setattr__(self, "times", tuple(sorted(set(self.times))))

    def next_wall(self, wall: datetime) -> datetime:
        today = wall.replace(hour=0, minute=0, second=0, microsecond=0)
        days = (today + timedelta(days=ahead) for ahead in range(8))
        candidates = (datetime.combine(day, at) for day in days if day.weekday() in self.weekdays for at in self.times)
        return next(candidate for candidate in candidates if candidate > wall)

    def __str__(self) -> str:
        times = ",".join(at.isoformat("minutes" if not at.second else "seconds") for at in self.times)
        names = {EVERY_DAY: "daily", WEEKDAYS: "weekdays at", WEEKENDS: "weekends at"}
        listed = ",".join(DAY_NAMES[day] for day in sorted(self.weekdays))
        return f"{names.get(self.weekdays, f'every {listed} at')} {times}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cron(WallClock):
    """A five-field cron expression under Debian's rules, as cronsim reads them.

    Raises CadenceError for a wrong field and for an expression that no date can match.
    """

    expression: str

    def __post_init__(self) -> None:
        zone_named(self.timezone)
        _compiled(self.expression)
        object.__setattr__(self, "expression", " ".join(self.expression.split()))

    @property
    def repeats_in_fold(self) -> bool:
        minute, hour, *_ = self.expression.split()
        return minute.startswith("*") or hour.startswith("*")

    @property
    def makes_up_gap(self) -> bool:
        return len(_compiled(self.expression).hours) < _EVERY_HOUR

    def next_wall(self, wall: datetime) -> datetime | None:
        return _next_match(_compiled(self.expression), wall)

    def __str__(self) -> str:
        return self.expression


def zone_named(name: str) -> ZoneInfo:
    """Give the timezone of an IANA name; raises CadenceError that names close matches."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        close = get_close_matches(name, available_timezones()) or ["Europe/Prague", "UTC"]
        accepted = f"accepted are IANA names like {', '.join(close)}"
        raise CadenceError(f"timezone {name!r} is not known; {accepted}") from None


@lru_cache(maxsize=16_384)
def _compiled(expression: str) -> CronSim:
    """Parse an expression once; whoever walks it takes a copy, because a CronSim is its own iterator."""
    fields = expression.split()
    if len(fields) != len(_CRON_FIELDS):
        listed = ", ".join(_CRON_FIELDS)
        raise CadenceError(f"cron {expression!r} has {len(fields)} fields; accepted are five: {listed}")
    pattern = _parsed(fields)
    if _next_match(pattern, _ANY_START) is None:
        raise CadenceError(f"cron {expression!r} {_NO_SUCH_DATE}")
    return pattern


def _parsed(fields: list[str]) -> CronSim:
    expression = " ".join(fields)
    try:
        return CronSim(expression, _ANY_START)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        impossible = field == "day-of-month" and _is_right_in_some_month(fields)
        problem = _NO_SUCH_DATE if impossible else _bad_field(field)
        raise CadenceError(f"cron {expression!r} {problem}") from None


def _bad_field(field: str) -> str:
    return f"has a bad {field}; accepted are {_CRON_FIELDS[field]}, *, lists, ranges and steps"


def _is_right_in_some_month(fields: list[str]) -> bool:
    minute, hour, day, _, weekday = fields
    try:
        CronSim(f"{minute} {hour} {day} * {weekday}", _ANY_START)
    except CronSimError:
        return False
    return True


def _next_match(pattern: CronSim, wall: datetime) -> datetime | None:
    walk = copy.copy(pattern)
    walk.dt = wall.replace(microsecond=0)
    return next(walk, None)
