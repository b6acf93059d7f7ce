"""Phases for a group of intervals: chosen so that the two closest runs of the group are as far apart as possible.

Everything here is in whole milliseconds. The distance of two jobs is the distance of their phase difference to zero
on a circle whose length is the gcd of their periods, so a choice of phases is a placement on many circles at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import gcd, lcm

_WORK_PER_QUESTION = 40_000
_MOST_PLACES = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The periods of a group and the phases that are set by hand, by name, in milliseconds."""

    periods: Mapping[str, int]
    fixed: Mapping[str, int]

    def movable_pairs(self) -> list[tuple[str, str]]:
        """List the pairs whose distance a choice can change, which those set by hand on both sides are not."""
        return [pair for pair in combinations(sorted(self.periods), 2) if not self.fixed.keys() >= set(pair)]

    def circle(self, first: str, second: str) -> int:
        return gcd(self.periods[first], self.periods[second])

    def distance(self, first: str, second: str, phases: Mapping[str, int]) -> int:
        return circular_distance(phases[first] - phases[second], self.circle(first, second))

    def smallest_distance(self, phases: Mapping[str, int]) -> int:
        """Give the smallest distance of the movable pairs, zero when there are none."""
        return min((self.distance(*pair, phases) for pair in self.movable_pairs()), default=0)


def circular_distance(difference: int, circle: int) -> int:
    """Give the distance of a difference to the nearest multiple of the circle's length."""
    residue = difference % circle
    return min(residue, circle - residue)


def best_phases(group: Group) -> dict[str, int]:
    """Choose phases, a pure function of the group: exact when all gcds are equal, else the best of a bounded search.

    Starts from even spacing and from one-by-one placement, then asks by bisection for ever larger distances.
    """
    if not group.movable_pairs():
        return {name: group.fixed.get(name, 0) for name in group.periods}
    names = sorted(group.periods, key=lambda name: (group.periods[name], name))
    best = max(_starts(group, names), key=group.smallest_distance)
    low, high = group.smallest_distance(best), _upper_bound(group)
    while low < high:
        wanted = (low + high + 1) // 2
        found = _place_all(group, names, wanted)
        if found is None:
            high = wanted - 1
        else:
            best, low = found, group.smallest_distance(found)
    return {name: best[name] for name in group.periods}


def _starts(group: Group, names: list[str]) -> list[dict[str, int]]:
    one_by_one = _one_by_one(group, names)
    return [one_by_one] if group.fixed else [_evenly(group, names), one_by_one]


def _evenly(group: Group, names: list[str]) -> dict[str, int]:
    """Space the jobs evenly on the circle of the gcd of all periods, which every pair's circle is a multiple of."""
    common = gcd(*group.periods.values())
    return {name: place * common // len(names) for place, name in enumerate(names)}


def _one_by_one(group: Group, names: list[str]) -> dict[str, int]:
    """Put each job in turn in the middle of the widest gap that the jobs before it leave."""
    phases = dict(group.fixed)
    for name in names:
        if name not in phases:
            phases[name] = _middle_of_widest_gap(group, name, phases)
    return phases


def _middle_of_widest_gap(group: Group, name: str, phases: Mapping[str, int]) -> int:
    if not phases:
        return 0
    circles = [group.circle(name, other) for other in phases]
    window = min(lcm(*circles), _MOST_PLACES * min(circles))
    taken = sorted({point for other in phases for point in _shadow(group, name, other, phases[other], window)})
    left, right = max(((a, b) for a, b in pairwise(taken) if a < window), key=lambda gap: gap[1] - gap[0])
    return (left + right) // 2 % group.periods[name]


def _shadow(group: Group, name: str, other: str, phase: int, window: int) -> range:
    """Give the phases, up to the first beyond the window, at which a job would meet another one."""
    circle = group.circle(name, other)
    return range(phase % circle, window + circle, circle)


def _upper_bound(group: Group) -> int:
    """Give a distance that no choice can exceed: half of the shortest circle, or a share of a common one."""
    circles = {group.circle(*pair) for pair in group.movable_pairs()}
    return min(circles) // (len(group.periods) if len(circles) == 1 and not group.fixed else 2)


def _place_all(group: Group, names: list[str], wanted: int) -> dict[str, int] | None:
    """Look for phases at least ``wanted`` apart, depth first, giving up after a fixed amount of work.

    It is enough to try places exactly ``wanted`` after a job that is placed already: phases that keep the distance
    can be slid down together until each of them touches another in that way.
    """
    placed = dict(group.fixed) or {names[0]: 0}
    branches = [_candidates(group, names, placed, wanted)]
    for _ in range(_WORK_PER_QUESTION // len(names)):
        candidate = next(branches[-1], None)
        if candidate is None and len(branches) == 1:
            return None
        if candidate is None:
            branches.pop()
            placed.popitem()
        elif _fits(group, *candidate, placed, wanted):
            placed[candidate[0]] = candidate[1]
            if len(placed) == len(names):
                return placed
            branches.append(_candidates(group, names, placed, wanted))
    return None


def _candidates(group: Group, names: list[str], placed: dict[str, int], wanted: int) -> Iterator[tuple[str, int]]:
    """Walk the (name, phase) pairs that stand exactly ``wanted`` after one of the jobs placed so far."""
    anchors = tuple(placed.items())
    for name in (name for name in names if name not in dict(anchors)):
        circles = [group.circle(name, other) for other in names if other != name]
        window = min(lcm(*circles), _MOST_PLACES * min(circles))
        for other, phase in anchors:
            for place in _shadow(group, name, other, phase + wanted, window):
                yield name, place % group.periods[name]


def _fits(group: Group, name: str, phase: int, placed: Mapping[str, int], wanted: int) -> bool:
    return all(circular_distance(phase - there, group.circle(name, other)) >= wanted for other, there in placed.items())
