"""Schedules that are made, paused and deleted while everything runs: as values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from tasks.domain.schedules import Origin, Schedule, ScheduleChange, ScheduleState


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A schedule as the store has it: since when it holds, and how often it is still to run (None = without end)."""

    schedule: Schedule
    since: datetime
    left: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What changed up to a version: the present schedule of each job, None for one that is gone.

    `complete` says that these are all schedules of the store, because the changes since then are not known any more.
    """

    version: int
    now: datetime
    schedules: Mapping[str, Stored | None] = field(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A change that somebody wants: `times` None leaves the count as it is, 0 means without end."""

    schedule: Schedule
    replaces: Schedule | None
    times: int | None = None
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What the warehouse knows of one job: `schedule` None when it is defined elsewhere and was not paused."""

    job: str
    schedule: Schedule | None
    taken_care_of: datetime
    left: int | None = None


def paused(schedule: Schedule, reason: str) -> Schedule:
    """Return the schedule with no slots expected of it."""
    return msgspec.structs.replace(schedule, state=ScheduleState.PAUSED, reason=reason)


def resumed(schedule: Schedule) -> Schedule:
    """Return the schedule with slots expected of it."""
    return msgspec.structs.replace(schedule, state=ScheduleState.ACTIVE, reason="")


def times_of(schedule: Schedule) -> int | None:
    """Return how often a schedule was to run when it was made, None for without end."""
    try:
        times = msgspec.json.decode(schedule.definition or b"{}", type=_Times).repeat
    except msgspec.DecodeError:
        return None
    return times or None


def restorable(
    changes: Sequence[ScheduleChange], newest: Mapping[str, datetime], consumed: Callable[[str, datetime], int]
) -> list[Restored]:
    """Return what an empty store is filled with, from the history of schedules and the newest recorded slots.

    `consumed` counts the slots of a job after an instant that were run.
    """
    latest: dict[str, ScheduleChange] = {}
    made: dict[str, datetime] = {}
    for change in changes:
        job, before = change.schedule.job, latest.get(change.schedule.job)
        if before is None or before.schedule.definition != change.schedule.definition:
            made[job] = change.since
        latest[job] = change
    there = [each for each in latest.values() if each.schedule.state is not ScheduleState.REMOVED]
    return [_restored(each, newest, lambda job: consumed(job, made[job])) for each in there]


def _restored(change: ScheduleChange, newest: Mapping[str, datetime], consumed: Callable[[str], int]) -> Restored:
    schedule, times = change.schedule, times_of(change.schedule)
    is_ours = schedule.origin is Origin.STORE or schedule.state is ScheduleState.PAUSED
    return Restored(
        job=schedule.job,
        schedule=schedule if is_ours else None,
        taken_care_of=max(change.since, newest.get(schedule.job, change.since)),
        left=None if times is None else max(times - consumed(schedule.job), 0),
    )


class _Times(msgspec.Struct):
    repeat: int | None = None
