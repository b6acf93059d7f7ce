"""Moments as people type them at a shell: an age, a time of day, a date, an instant."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from tasks.domain.durations import parse_duration
from tasks.domain.slots import slot_text

ACCEPTED = "2h (ago), 21:45, 2026-11-20, 2026-11-20T21:45, 2026-11-20T21:45:00Z"

_DAY = timedelta(days=1)
_TIME = re.compile(r"\d\d:\d\d(?P<seconds>:\d\d)?")
_WIDTHS = (
    (re.compile(r"\d{4}-\d\d-\d\d"), _DAY),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(Z|[+-]\d\d:\d\d)?"), timedelta(minutes=1)),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)?"), timedelta(seconds=1)),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d{1,6}(Z|[+-]\d\d:\d\d)?"), timedelta(microseconds=1)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What was typed: every instant from `start` up to, but not including, `end` is meant; both aware UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return slot_text(self.start)


def parse_moment(text: str, now: datetime) -> Moment:
    """Read a moment; without an offset it is UTC, a time of day is its newest one. Raises ValueError that says how."""
    plain = text.strip()
    age = parse_duration(plain)
    try:
        if age is not None:
            return Moment(start=now - age, end=now - age + timedelta(seconds=1))
        return _time_of_day(plain, now) or _instant(plain)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no moment; accepted are {ACCEPTED}") from None


def _time_of_day(text: str, now: datetime) -> Moment | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    at = datetime.combine(now.astimezone(UTC).date(), time.fromisoformat(text), UTC)
    start = at if at <= now else at - _DAY
    return Moment(start=start, end=start + timedelta(seconds=1 if found["seconds"] else 60))


def _instant(text: str) -> Moment:
    width = next((width for pattern, width in _WIDTHS if pattern.fullmatch(text.upper())), None)
    if width is None:
        raise ValueError(text)
    read = datetime.fromisoformat(text.upper())
    start = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    return Moment(start=start, end=start + width)
