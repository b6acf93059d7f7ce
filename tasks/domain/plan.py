"""What a table of jobs will do, said before anything runs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from tasks.domain.cadence import Cadence, Cron, Daily, Interval
from tasks.domain.coprime import PairPlan, busiest_second, plan_group
from tasks.domain.coprime_advice import intervals_by_group
from tasks.domain.jobs import Job
from tasks.domain.slots import MICROSECOND, slot_text

DAY = timedelta(days=1)
CELL = timedelta(minutes=30)
SLOTS_SHOWN = 5
MOST_RUNS_WALKED = 1_000_000


class PlannedJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job: its cadence in words, `every_s` and `phase_s` in seconds for intervals, its next slots in UTC.

    `runs` counts what starts in each cell of the coming day.
    """

    name: str
    group: str
    cadence: str
    timezone: str
    every_s: float | None
    phase_s: float | None
    next_slots: tuple[str, ...]
    runs: tuple[int, ...]


class PlannedPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two intervals of a group: their gcd, and how often they start in the same instant, per day."""

    first: str
    second: str
    gcd_s: float
    coprime: bool
    meetings_per_day_without_phases: float
    meetings_per_day: float
    smallest_distance_s: float


class PlannedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of jobs and the smallest distance that two of its intervals ever have, None for fewer than two."""

    name: str
    pairs: tuple[PlannedPair, ...]
    smallest_distance_s: float | None


class Busiest(msgspec.Struct, frozen=True, kw_only=True):
    """The first of the seconds with most runs up to `until`, which is less than a day ahead when runs are too many."""

    at: str
    until: str
    runs: int
    jobs: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The coming day of a table of jobs; `cell_s` is the length of the cells in which runs are counted."""

    start: str
    cell_s: float
    jobs: tuple[PlannedJob, ...]
    groups: tuple[PlannedGroup, ...]
    busiest: Busiest | None


def plan_of(jobs: Mapping[str, Job], start: datetime) -> Plan:
    """Return what the jobs do in the 24 h that begin with `start`."""
    intervals = intervals_by_group(jobs.values())
    return Plan(
        start=slot_text(start),
        cell_s=CELL.total_seconds(),
        jobs=tuple(_job(job, start) for job in jobs.values()),
        groups=tuple(_group(name, periods, jobs) for name, periods in intervals.items()),
        busiest=_busiest({name: job.cadence for name, job in jobs.items()}, start),
    )


def _job(job: Job, start: datetime) -> PlannedJob:
    cadence = job.cadence
    interval = cadence if isinstance(cadence, Interval) else None
    slots = islice(cadence.slots_between(start - MICROSECOND, datetime.max.replace(tzinfo=start.tzinfo)), SLOTS_SHOWN)
    cells = [start + number * CELL for number in range(DAY // CELL)]
    return PlannedJob(
        name=job.name,
        group=job.group,
        cadence=str(cadence),
        timezone=cadence.timezone if isinstance(cadence, (Cron, Daily)) else "UTC",
        every_s=interval.every.total_seconds() if interval else None,
        phase_s=interval.phase.total_seconds() if interval else None,
        next_slots=tuple(slot_text(slot) for slot in slots),
        runs=tuple(cadence.count_between(cell - MICROSECOND, cell + CELL - MICROSECOND) for cell in cells),
    )


def _group(name: str, periods: Mapping[str, timedelta], jobs: Mapping[str, Job]) -> PlannedGroup:
    phases = {job: cadence.phase for job in periods if isinstance(cadence := jobs[job].cadence, Interval)}
    plan = plan_group(periods, phases)
    smallest = plan.smallest_distance
    return PlannedGroup(
        name=name,
        pairs=tuple(_pair(pair) for pair in plan.pairs),
        smallest_distance_s=None if smallest is None else smallest.total_seconds(),
    )


def _pair(pair: PairPlan) -> PlannedPair:
    return PlannedPair(
        first=pair.first,
        second=pair.second,
        gcd_s=pair.gcd.total_seconds(),
        coprime=pair.coprime,
        meetings_per_day_without_phases=pair.meetings_per_day_unphased,
        meetings_per_day=pair.meetings_per_day,
        smallest_distance_s=pair.smallest_distance.total_seconds(),
    )


def _busiest(cadences: Mapping[str, Cadence], start: datetime) -> Busiest | None:
    before, span = start - MICROSECOND, DAY
    while sum(each.count_between(before, before + span) for each in cadences.values()) > MOST_RUNS_WALKED:
        span /= 2
    found = busiest_second(cadences, before, before + span)
    if found is None:
        return None
    return Busiest(at=slot_text(found.at), until=slot_text(start + span), runs=found.runs, jobs=found.jobs)
