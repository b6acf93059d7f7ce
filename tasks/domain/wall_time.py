"""Wall-clock times to instants: what a time of day means when the clocks are moved."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)
_LONGEST_FOLD = timedelta(hours=3)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Give the first instant at which the clocks of a zone show a wall time, or the end of the gap that skips it.

    ``wall`` is naive; the answer is aware UTC.
    """
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    return instant if wall_time(instant, zone) == wall else _gap_end(wall, zone)


def second_instant(wall: datetime, zone: ZoneInfo) -> datetime | None:
    """Give the second instant at which the clocks show a wall time, None unless a fold repeats it."""
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return second if second > first else None


def is_skipped(wall: datetime, zone: ZoneInfo) -> bool:
    """Say whether a gap skips a naive wall time, so that no clock of the zone ever shows it."""
    return wall_time(wall.replace(tzinfo=zone).astimezone(UTC), zone) != wall


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """Give the naive time that the clocks of a zone show at an aware instant."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def about_to_repeat(instant: datetime, zone: ZoneInfo) -> timedelta:
    """Give how much of the wall time before an instant a fold shortly after it shows again, zero if none."""
    return max(timedelta(0), _offset(instant, zone) - _offset(instant + _LONGEST_FOLD, zone))


def first_after(instant: datetime, occurrences: Iterator[tuple[datetime, ...]]) -> datetime | None:
    """Give the earliest instant strictly after the given one, None when the occurrences run out.

    ``occurrences`` holds one tuple per wall time, ordered by their first members; only a fold has second members, and
    those may overtake the first members of the tuples that follow.
    """
    best: datetime | None = None
    for instants in occurrences:
        later = [found for found in instants if found > instant]
        if later and (best is None or later[0] < best):
            best = later[0]
        if best is not None and instants and best <= instants[0]:
            return best
    return best


def walls_after(wall: datetime, next_wall: Callable[[datetime], datetime | None]) -> Iterator[datetime]:
    """Walk the naive wall times of a pattern, strictly after the given one."""
    following = next_wall(wall)
    while following is not None:
        yield following
        following = next_wall(following)


def _gap_end(wall: datetime, zone: ZoneInfo) -> datetime:
    """Find the transition that skips a wall time; PEP 495 reads the two folds of such a time as its two sides."""
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    offset_after = _offset(after, zone)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if _offset(middle, zone) == offset_after:
            after = middle
        else:
            before = middle
    return after


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
