"""The history of schedules: what a job's schedule was, from when on, and the slots that were expected of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

import msgspec

from tasks.domain.cadence import Cadence, Cron, Daily
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.durations import duration_text, parse_duration
from tasks.domain.jobs import Job
from tasks.domain.lateness import LONGEST_GRACE, PUNCTUAL, CatchUp, grace

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class ScheduleState(StrEnum):
    """Whether slots are expected of a schedule."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


class Origin(StrEnum):
    """Who defines a schedule: the deployment's job table, or somebody at run time."""

    TABLE = "table"
    STORE = "store"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A job's schedule in words; equal schedules have equal texts.

    `cadence` is the text that `parse_cadence` reads in `timezone`, phase included. `catch_up` is `late`, `skip`, a
    duration, or empty. `definition` is what its owner needs to restore it, opaque to everybody else.
    """

    job: str
    state: ScheduleState = ScheduleState.ACTIVE
    origin: Origin = Origin.TABLE
    cadence: str = ""
    timezone: str = "UTC"
    catch_up: str = ""
    reason: str = ""
    definition: str = ""


class ScheduleChange(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that holds for the slots after `since`, and who said so."""

    schedule: Schedule
    since: datetime
    by: str = ""


class ScheduleEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger stream that is about a schedule: its id (`ms-seq`) and the change."""

    stream_id: str
    change: ScheduleChange


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """The time in which a schedule held: its slots after `since` up to and including `until`, None meaning still."""

    schedule: Schedule
    since: datetime
    until: datetime | None = None

    @property
    def cadence(self) -> Cadence | None:
        """None unless slots were expected; raises CadenceError for a text that this version can't read."""
        if self.schedule.state is not ScheduleState.ACTIVE:
            return None
        return _read(self.schedule.cadence, self.schedule.timezone)

    @property
    def catch_up(self) -> CatchUp | timedelta | None:
        text = self.schedule.catch_up
        return parse_duration(text) or (CatchUp(text) if text else None)

    @property
    def longest_window(self) -> timedelta:
        """No slot of this period could start later than this; known without looking at the cadence."""
        catch_up = self.catch_up
        return max(catch_up, PUNCTUAL) if isinstance(catch_up, timedelta) else LONGEST_GRACE

    def window(self, slot: datetime) -> timedelta:
        """Give how late a slot of this period could still start."""
        cadence = self.cadence
        return timedelta(0) if cadence is None else grace(cadence, slot, self.catch_up)

    def slots(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Walk the slots after an instant up to and including another, within this period."""
        cadence = self.cadence
        end = until if self.until is None else min(self.until, until)
        return iter(()) if cadence is None else cadence.slots_between(max(self.since, after), end)


def schedule_of(job: Job) -> Schedule:
    """Put the schedule of a job of the table into words."""
    wall = job.cadence if isinstance(job.cadence, (Cron, Daily)) else None
    return Schedule(
        job=job.name,
        cadence=str(job.cadence),
        timezone=wall.timezone if wall else "UTC",
        catch_up=_catch_up_text(job.catch_up),
    )


def removed(schedule: Schedule) -> Schedule:
    """Return the schedule of a job that is not there any more."""
    return Schedule(job=schedule.job, state=ScheduleState.REMOVED, origin=schedule.origin)


def periods_of(changes: Iterable[ScheduleChange]) -> dict[str, list[Period]]:
    """Give the periods of each job, oldest first, from its changes in the order of the ledger.

    A later change wins from its `since` on, also where that lies before the `since` of an earlier one.
    """
    by_job: dict[str, list[ScheduleChange]] = {}
    for change in changes:
        by_job.setdefault(change.schedule.job, []).append(change)
    return {job: _periods(those) for job, those in by_job.items()}


def _periods(changes: Sequence[ScheduleChange]) -> list[Period]:
    found: list[Period] = []
    until: datetime | None = None
    for change in reversed(changes):
        if until is None or change.since < until:
            found.append(Period(schedule=change.schedule, since=change.since, until=until))
            until = change.since
    return found[::-1]


@lru_cache(maxsize=16_384)
def _read(cadence: str, timezone: str) -> Cadence:
    return parse_cadence(cadence, timezone=timezone, now=BEGINNING)


def _catch_up_text(catch_up: CatchUp | timedelta | None) -> str:
    if isinstance(catch_up, timedelta):
        return duration_text(catch_up)
    return "" if catch_up is None else catch_up.value
