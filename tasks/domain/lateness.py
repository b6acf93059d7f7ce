"""Late and missed: what to do with the slots that came due since a job was last taken care of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from tasks.domain.cadence import Cadence, Once

PUNCTUAL: Final = timedelta(seconds=10)
SHORTEST_GRACE: Final = timedelta(seconds=120)
LONGEST_GRACE: Final = timedelta(hours=2)

_INSTANT: Final = timedelta(microseconds=1)
_BEFORE_ANY_SLOT: Final = datetime(1, 1, 1, tzinfo=UTC)


class CatchUp(StrEnum):
    """What becomes of a slot that nothing ran in time."""

    LATE = "late"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """The slots of a cadence after ``after`` up to and including ``until``: a range, never a list.

    A year of downtime of a job that runs every second costs no more than an hour of it until somebody iterates.
    """

    cadence: Cadence
    after: datetime
    until: datetime

    @property
    def first(self) -> datetime | None:
        slot = self.cadence.next_after(self.after)
        return slot if slot is not None and slot <= self.until else None

    @property
    def last(self) -> datetime | None:
        return self.cadence.latest_at_or_before(self.until, floor=self.after)

    @property
    def count(self) -> int:
        """How many they are: O(1) for intervals, a walk for wall-clock cadences."""
        return self.cadence.count_between(self.after, self.until)

    def __bool__(self) -> bool:
        return self.first is not None

    def __iter__(self) -> Iterator[datetime]:
        return self.cadence.slots_between(self.after, self.until)


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """At most one slot to run now, and the slots that are missed for good; together all that came due."""

    run: datetime | None
    missed: Missed


def grace(cadence: Cadence, slot: datetime, catch_up: CatchUp | timedelta | None = None) -> timedelta:
    """Give how late a slot may still start: half its period, clamped to 120 s and 2 h, or the job's own window.

    None reads as CatchUp.LATE; CatchUp.SKIP gives PUNCTUAL, within which nothing counts as late.
    """
    if isinstance(catch_up, timedelta):
        return max(catch_up, PUNCTUAL)
    if catch_up is CatchUp.SKIP:
        return PUNCTUAL
    return min(max(cadence.period_at(slot) / 2, SHORTEST_GRACE), LONGEST_GRACE)


def decide(
    cadence: Cadence,
    last: datetime | None,
    now: datetime,
    catch_up: CatchUp | timedelta | None = None,
    *,
    punctual: timedelta = PUNCTUAL,
) -> Due:
    """Decide about the slots after ``last`` up to ``now``: the newest runs if it is not too late, the older are missed.

    ``last`` is the newest instant the job is taken care of up to: a handled slot, or when the job came to be. Without
    it nothing is known to be missed: only a punctual slot counts, and a once-job's only one. When ``now`` is before
    ``last``, the clock was set back, and nothing is due again.
    """
    floor = _known_since(cadence, now, punctual) if last is None else last
    newest = cadence.latest_at_or_before(now, floor=floor)
    if newest is None:
        return Due(run=None, missed=Missed(cadence=cadence, after=floor, until=floor))
    in_time = now - newest <= max(punctual, grace(cadence, newest, catch_up))
    until = newest - _INSTANT if in_time else newest
    return Due(run=newest if in_time else None, missed=Missed(cadence=cadence, after=floor, until=until))


def _known_since(cadence: Cadence, now: datetime, punctual: timedelta) -> datetime:
    return _BEFORE_ANY_SLOT if isinstance(cadence, Once) else now - punctual - _INSTANT
