"""The grammar in which people write cadences; docs/cadences.md describes it for users."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

from tasks.domain.cadence import EVERY_DAY, WEEKDAYS, WEEKENDS, Cadence, CadenceError, Cron, Daily, Interval, Once
from tasks.domain.cadence_wall import DAY_NAMES, zone_named
from tasks.domain.durations import parse_duration
from tasks.domain.wall_time import first_instant

ACCEPTED: Final = (
    "every 15m",
    "daily 07:00,13:00",
    "every monday 9am",
    "every mon,thu at 09:30",
    "weekdays at 09:30",
    "weekends at 10:00",
    "*/5 * * * *",
    "at 2026-12-01T09:00",
    "in 30m",
)

_CRON_WORDS: Final = 5
_NOON: Final = 12
_LONG_UNITS: Final = {"day": "d", "hour": "h", "hr": "h", "minute": "m", "min": "m", "second": "s", "sec": "s"}
_LONG_UNIT = re.compile(rf"(?<=\d)\s*({'|'.join(_LONG_UNITS)})s?\b", re.ASCII)
_DAYS_AND_TIMES = re.compile(r"(?:every )?(?P<days>[a-z,-]+?)(?: at)? (?P<times>[0-9][^ ]*)")
_TIME = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?(?P<half>am|pm)?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(?P<offset>Z|[+-]\d\d:\d\d)?", re.ASCII)
_DAY_SETS: Final = {
    "daily": EVERY_DAY,
    "day": EVERY_DAY,
    "weekdays": WEEKDAYS,
    "weekday": WEEKDAYS,
    "weekends": WEEKENDS,
    "weekend": WEEKENDS,
}


def parse_cadence(text: str, *, timezone: str = "UTC", now: datetime) -> Cadence:
    """Read a cadence as people write it; wall-clock times are those of the timezone, ``in`` counts from ``now``.

    Raises CadenceError that names the text, what is wrong with it and what is accepted.
    """
    zone_named(timezone)
    plain = _tidy(text)
    head = plain.split(" ", 1)[0]
    try:
        if head == "at":
            return Once(at=_instant(text.strip()[2:].strip(), timezone))
        if head == "in":
            return Once(at=now.astimezone(UTC).replace(microsecond=0) + _duration(plain.removeprefix("in")))
        if head == "every" and re.match(r"every -?\d", plain):
            return _interval(plain)
        if head == "every" or head in _DAY_SETS:
            return _on_days(plain, timezone)
        return _cron(text, plain, timezone)
    except (CadenceError, OverflowError) as error:
        raise CadenceError(f"cadence {text!r}: {error}") from None


def _tidy(text: str) -> str:
    """Bring words to lower case and single spaces, lists to bare commas, and ``9 am`` to ``9am``."""
    plain = " ".join(text.lower().split())
    plain = re.sub(r" ?, ?| and ", ",", plain)
    return re.sub(r"(?<=\d) (?=[ap]m\b)", "", plain)


def _interval(plain: str) -> Interval:
    every, _, phase = plain.removeprefix("every ").partition(" phase ")
    return Interval(every=_duration(every), phase=_duration(phase, least=timedelta(0)) if phase else timedelta(0))


def _duration(text: str, *, least: timedelta = timedelta(microseconds=1)) -> timedelta:
    short = _LONG_UNIT.sub(lambda found: _LONG_UNITS[found[1]], text.strip()).replace(" ", "")
    duration = parse_duration(short)
    if duration is None or duration < least:
        raise CadenceError(f"{text.strip()!r} is no duration above zero; accepted are 90s, 15m, 1h30m, 1d")
    return duration


def _on_days(plain: str, timezone: str) -> Daily:
    found = _DAYS_AND_TIMES.fullmatch(plain)
    if found is None:
        raise CadenceError(f"no days and times can be read; accepted is text {_like_these()}")
    times = tuple(_time(each) for each in found["times"].split(","))
    return Daily(times=times, weekdays=_days(found["days"]), timezone=timezone)


def _days(text: str) -> frozenset[int]:
    if text in _DAY_SETS:
        return _DAY_SETS[text]
    return frozenset().union(*(_day_range(each) for each in text.split(",")))


def _day_range(text: str) -> frozenset[int]:
    """Read ``mon`` or ``fri-mon``, which may run over the end of the week."""
    first, _, last = text.partition("-")
    start, end = _day(first), _day(last or first)
    return frozenset((start + ahead) % 7 for ahead in range((end - start) % 7 + 1))


def _day(text: str) -> int:
    full_names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    for number, names in enumerate(zip(DAY_NAMES, full_names, strict=True)):
        if text in names:
            return number
    raise CadenceError(f"{text!r} is no day; accepted are {', '.join(DAY_NAMES)} and their full names")


def _time(text: str) -> time:
    found = _TIME.fullmatch(text)
    if found is None or not (found["minute"] or found["half"]):
        raise CadenceError(f"{text!r} is no time of day; accepted are 09:30, 9am, 9:30pm")
    hour, half = int(found["hour"]), found["half"]
    if half and not 1 <= hour <= _NOON:
        raise CadenceError(f"{text!r} is no time of day; am and pm take hours 1 to 12")
    try:
        clock_hour = hour % _NOON + (_NOON if half == "pm" else 0) if half else hour
        return time(clock_hour, int(found["minute"] or 0), int(found["second"] or 0))
    except ValueError:
        raise CadenceError(f"{text!r} is no time of day; accepted are 00:00 to 23:59") from None


def _instant(text: str, timezone: str) -> datetime:
    found = _INSTANT.fullmatch(text.upper())
    if found is None:
        raise CadenceError("no instant can be read; accepted are at 2026-12-01T09:00 and at 2026-12-01T09:00:00Z")
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise CadenceError(f"there is no such date or time ({error}); accepted are dates that exist") from None
    return instant if found["offset"] else first_instant(instant, zone_named(timezone))


def _cron(text: str, plain: str, timezone: str) -> Cron:
    if len(plain.split()) == _CRON_WORDS:
        return Cron(expression=text, timezone=timezone)
    duration = _LONG_UNIT.sub(lambda found: _LONG_UNITS[found[1]], plain).replace(" ", "")
    if parse_duration(duration) is not None:
        raise CadenceError(f'a bare duration can be read in two ways; write "every {plain}" or "in {plain}"')
    raise CadenceError(f"it can't be read; accepted is text {_like_these()}, cron having five fields")


def _like_these() -> str:
    return f"like {'; '.join(ACCEPTED)}"
