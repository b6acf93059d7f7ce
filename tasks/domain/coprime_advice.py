"""What to say about groups whose intervals share a factor."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import combinations

from tasks.domain.cadence import Interval
from tasks.domain.coprime import are_coprime, meetings_per_day, nearest_coprime, shared_factor
from tasks.domain.drafts import is_apart
from tasks.domain.durations import duration_text
from tasks.domain.jobs import Job


class Coprime(StrEnum):
    """What beat does about intervals of a group that share a factor."""

    WARN = "warn"
    REQUIRE = "require"
    OFF = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedFactor:
    """Two jobs of a group that are not coprime, and the nearest intervals with which the whole group would be."""

    group: str
    jobs: tuple[str, str]
    every: tuple[timedelta, timedelta]
    shared: timedelta
    stacks_per_day: float
    nearest: tuple[timedelta, timedelta]

    def __str__(self) -> str:
        """Spell it in one line."""
        first, second = (
            f"{name} (every {duration_text(every)})" for name, every in zip(self.jobs, self.every, strict=True)
        )
        nearest = " and ".join(
            f"{name} every {duration_text(every)}" for name, every in zip(self.jobs, self.nearest, strict=True)
        )
        return (
            f"group {self.group}: {first} and {second} share {duration_text(self.shared)}: without phases they "
            f"would start together {self.stacks_per_day:.3g} times a day; nearest coprime in this group: {nearest}"
        )


def intervals_by_group(jobs: Iterable[Job]) -> dict[str, dict[str, timedelta]]:
    """Return the intervals of each group by job, groups of one included."""
    groups: dict[str, dict[str, timedelta]] = {}
    for job in jobs:
        if is_apart(job) and isinstance(job.cadence, Interval):
            groups.setdefault(job.group, {})[job.name] = job.cadence.every
    return groups


def shared_factors(jobs: Iterable[Job]) -> list[SharedFactor]:
    """Return every pair of jobs of one group whose intervals share a factor."""
    return [shared for group, periods in intervals_by_group(jobs).items() for shared in _in_group(group, periods)]


def _in_group(group: str, periods: dict[str, timedelta]) -> list[SharedFactor]:
    pairs = [pair for pair in combinations(periods, 2) if not are_coprime(periods[pair[0]], periods[pair[1]])]
    nearest = nearest_coprime(periods) if pairs else {}
    return [_shared(group, pair, periods, nearest) for pair in pairs]


def _shared(
    group: str, pair: tuple[str, str], periods: dict[str, timedelta], nearest: dict[str, timedelta]
) -> SharedFactor:
    first, second = pair
    return SharedFactor(
        group=group,
        jobs=pair,
        every=(periods[first], periods[second]),
        shared=shared_factor(periods[first], periods[second]),
        stacks_per_day=meetings_per_day(periods[first], periods[second]),
        nearest=(nearest[first], nearest[second]),
    )
