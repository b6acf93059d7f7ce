"""What every cadence can do, and the one error that a wrong one raises."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timedelta


class CadenceError(ValueError):
    """A cadence that can never be right: the text names what was read, what is wrong and what is accepted."""


class Cadence(ABC):
    """When a job is due.

    All instants that go in are aware, all that come out are aware UTC. ``str`` gives text that ``parse_cadence`` reads
    back to an equal value, in the same timezone.
    """

    __slots__ = ()

    @abstractmethod
    def next_after(self, instant: datetime) -> datetime | None:
        """Give the first slot strictly after an instant, None when there is none any more."""

    def latest_at_or_before(self, instant: datetime, *, floor: datetime) -> datetime | None:
        """Give the newest slot that is after ``floor`` and not after ``instant``, in O(log) calls of next_after."""
        found = self._any_slot(floor, instant)
        newest_possible = instant
        while found is not None and not self._is_last(found, newest_possible):
            middle = found + (newest_possible - found) / 2
            candidate = self.next_after(middle)
            if candidate is not None and candidate <= newest_possible:
                found = candidate
            else:
                newest_possible = middle
        return found

    def slots_between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Walk the slots after ``start`` up to and including ``end``, lazily."""
        slot = self.next_after(start)
        while slot is not None and slot <= end:
            yield slot
            slot = self.next_after(slot)

    def count_between(self, start: datetime, end: datetime) -> int:
        """Count the slots after ``start`` up to and including ``end``; O(1) for intervals, a walk for the others."""
        return sum(1 for _ in self.slots_between(start, end))

    def period_at(self, instant: datetime) -> timedelta:
        """Give the distance from a slot to the next one, ``timedelta.max`` when nothing follows."""
        following = self.next_after(instant)
        return timedelta.max if following is None else following - instant

    def _is_last(self, slot: datetime, end: datetime) -> bool:
        following = self.next_after(slot)
        return following is None or following > end

    def _any_slot(self, floor: datetime, end: datetime) -> datetime | None:
        """Look back from the end in steps that double until a slot or the floor is met."""
        step = timedelta(minutes=1)
        while True:
            start = max(floor, end - step)
            slot = self.next_after(start)
            if slot is not None and slot <= end:
                return slot
            if start <= floor:
                return None
            step = min(step * 2, end - floor)
