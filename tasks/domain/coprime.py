"""Coprime cadences: how often intervals meet, how far apart they can be kept, and what ``plan`` says about it.

Periods and phases go in as timedeltas of whole milliseconds and are computed with as integers, so nothing is rounded.
The rules are the Chinese remainder theorem's: see docs/coprime.md.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, count
from math import gcd, lcm
from typing import Final

from tasks.domain.cadence_base import Cadence, CadenceError
from tasks.domain.durations import UNITS
from tasks.domain.phases import Group, best_phases, circular_distance
from tasks.domain.slots import MICROSECOND

MILLISECOND: Final = timedelta(milliseconds=1)
_ZERO: Final = timedelta(0)
_DAY: Final = timedelta(days=1) // MILLISECOND
_MOST_GUESSES: Final = 4_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PairPlan:
    """What two interval jobs of a group do to each other."""

    first: str
    second: str
    gcd: timedelta
    coprime: bool
    meetings_per_day_unphased: float
    meetings_per_day: float
    smallest_distance: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupPlan:
    """The phases of a group and what follows from them; ``smallest_distance`` is None for fewer than two jobs."""

    phases: dict[str, timedelta]
    pairs: tuple[PairPlan, ...]
    smallest_distance: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BusiestSecond:
    """The first of the seconds with most runs: how many there are, and of which jobs."""

    at: datetime
    runs: int
    jobs: tuple[str, ...]


def shared_factor(first: timedelta, second: timedelta) -> timedelta:
    """Give the gcd of two periods, the longest time that divides both."""
    return gcd(_milliseconds(first), _milliseconds(second)) * MILLISECOND


def common_unit(first: timedelta, second: timedelta) -> timedelta:
    """Give the largest of day, hour, minute, second and millisecond in which both periods are whole and above one."""
    fitting = (unit for unit in UNITS.values() if not (first % unit or second % unit) and unit < min(first, second))
    return next(fitting, MILLISECOND)


def are_coprime(first: timedelta, second: timedelta) -> bool:
    """Say whether two periods share no factor but their common unit, as 11 and 13 minutes, unlike 10 and 15."""
    return shared_factor(first, second) == common_unit(first, second)


def meetings_per_day(
    first: timedelta,
    second: timedelta,
    *,
    first_phase: timedelta = _ZERO,
    second_phase: timedelta = _ZERO,
    within: timedelta = _ZERO,
) -> float:
    """Give how many pairs of runs per 24 h, on average and for ever, are at most ``within`` apart.

    Each difference that equals the phases' difference modulo the gcd occurs exactly once per lcm of the periods.
    """
    one, other, reach = _milliseconds(first), _milliseconds(second), _milliseconds(within)
    offset, circle = _milliseconds(first_phase - second_phase), gcd(one, other)
    differences = (reach - offset) // circle - (-reach - 1 - offset) // circle
    return differences * _DAY / lcm(one, other)


def smallest_distance(
    first: timedelta, second: timedelta, *, first_phase: timedelta = _ZERO, second_phase: timedelta = _ZERO
) -> timedelta:
    """Give the smallest distance that two interval jobs ever have: their phase difference to zero modulo the gcd."""
    circle = gcd(_milliseconds(first), _milliseconds(second))
    return circular_distance(_milliseconds(first_phase - second_phase), circle) * MILLISECOND


def assign_phases(
    periods: Mapping[str, timedelta], fixed: Mapping[str, timedelta] | None = None
) -> dict[str, timedelta]:
    """Choose the phases that keep the two closest runs of a group farthest apart, those set by hand respected.

    The answer depends on nothing but the arguments, not even on their order. No pair can be kept farther apart than
    half of its gcd. Raises CadenceError for a period of no whole milliseconds, or a fixed phase outside its period.
    """
    hand = {name: _milliseconds(phase) for name, phase in (fixed or {}).items() if name in periods}
    group = Group(periods={name: _milliseconds(period) for name, period in periods.items()}, fixed=hand)
    for name, phase in hand.items():
        if not 0 <= phase < group.periods[name]:
            raise CadenceError(f"phase of {name}: {phase} ms; accepted is 0 up to, but not, {group.periods[name]} ms")
    return {name: phase * MILLISECOND for name, phase in best_phases(group).items()}


def plan_group(
    periods: Mapping[str, timedelta], fixed: Mapping[str, timedelta] | None = None, *, within: timedelta = _ZERO
) -> GroupPlan:
    """Choose a group's phases and compute what they do; a meeting is two runs at most ``within`` apart."""
    phases = assign_phases(periods, fixed)
    pairs = tuple(_pair(*pair, periods, phases, within) for pair in combinations(periods, 2))
    smallest = min((pair.smallest_distance for pair in pairs), default=None)
    return GroupPlan(phases=phases, pairs=pairs, smallest_distance=smallest)


def busiest_second(jobs: Mapping[str, Cadence], start: datetime, end: datetime) -> BusiestSecond | None:
    """Find the second with most runs after ``start`` up to ``end``, None when nothing runs."""
    runs = Counter(
        slot.replace(microsecond=0) for cadence in jobs.values() for slot in cadence.slots_between(start, end)
    )
    if not runs:
        return None
    at = min(runs, key=lambda second: (-runs[second], second))
    before, last = max(start, at - MICROSECOND), min(end, at + timedelta(seconds=1) - MICROSECOND)
    names = tuple(name for name, cadence in jobs.items() if any(cadence.slots_between(before, last)))
    return BusiestSecond(at=at, runs=runs[at], jobs=names)


def nearest_coprime(periods: Mapping[str, timedelta]) -> dict[str, timedelta]:
    """Suggest periods that are pairwise coprime and differ least in total from those given.

    They are whole minutes when all given periods are, else whole seconds, else milliseconds. The least change is exact
    up to a fixed amount of work; beyond it, the rest of the group is completed one by one.
    """
    fitting = (unit for unit in (UNITS["m"], UNITS["s"]) if not any(period % unit for period in periods.values()))
    unit = next(fitting, MILLISECOND)
    names = sorted(periods, key=lambda name: (periods[name], name))
    values = dict(zip(names, _least_change([periods[name] for name in names], unit), strict=True))
    return {name: values[name] for name in periods}


def _least_change(periods: Sequence[timedelta], unit: timedelta) -> tuple[timedelta, ...]:
    """Extend the cheapest choice of steps first; the last step of a choice is still to be checked."""
    queue: list[tuple[timedelta, tuple[int, ...]]] = [(_ZERO, (0,))]
    deepest: tuple[timedelta, ...] = ()
    for _ in range(_MOST_GUESSES):
        if len(deepest) == len(periods):
            break
        _, steps = heapq.heappop(queue)
        choice = _choice(periods, steps, unit)
        _offer(queue, periods, (*steps[:-1], steps[-1] + 1), unit)
        if _fits(choice[-1], choice[:-1], unit):
            deepest = max(deepest, choice, key=len)
            _offer(queue, periods, (*steps, 0), unit)
    return _completed(periods, deepest, unit)


def _offer(
    queue: list[tuple[timedelta, tuple[int, ...]]],
    periods: Sequence[timedelta],
    steps: tuple[int, ...],
    unit: timedelta,
) -> None:
    if len(steps) <= len(periods):
        heapq.heappush(queue, (sum((step + 1) // 2 for step in steps) * unit, steps))


def _choice(periods: Sequence[timedelta], steps: tuple[int, ...], unit: timedelta) -> tuple[timedelta, ...]:
    return tuple(_nearby(period, step, unit) for period, step in zip(periods, steps, strict=False))


def _completed(periods: Sequence[timedelta], values: tuple[timedelta, ...], unit: timedelta) -> tuple[timedelta, ...]:
    """Give each period that has no value yet its nearest one; it exists, because a large enough prime always fits."""
    for period in periods[len(values) :]:
        nearby = (_nearby(period, step, unit) for step in count())
        values = (*values, next(value for value in nearby if _fits(value, values, unit)))
    return values


def _fits(value: timedelta, others: Sequence[timedelta], unit: timedelta) -> bool:
    return value > unit and all(are_coprime(value, other) for other in others)


def _nearby(period: timedelta, step: int, unit: timedelta) -> timedelta:
    """Give the period itself for step 0, then one unit more, one less, two more, and so on."""
    return period + (-1 if step % 2 == 0 else 1) * ((step + 1) // 2) * unit


def _pair(
    first: str, second: str, periods: Mapping[str, timedelta], phases: Mapping[str, timedelta], within: timedelta
) -> PairPlan:
    one, other, one_phase, other_phase = periods[first], periods[second], phases[first], phases[second]
    return PairPlan(
        first=first,
        second=second,
        gcd=shared_factor(one, other),
        coprime=are_coprime(one, other),
        meetings_per_day_unphased=meetings_per_day(one, other, within=within),
        meetings_per_day=meetings_per_day(one, other, first_phase=one_phase, second_phase=other_phase, within=within),
        smallest_distance=smallest_distance(one, other, first_phase=one_phase, second_phase=other_phase),
    )


def _milliseconds(duration: timedelta) -> int:
    if duration % MILLISECOND:
        raise CadenceError(f"{duration}: accepted are whole milliseconds")
    return duration // MILLISECOND
