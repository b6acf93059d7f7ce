"""Backlogs: slots of a downtime on their way to the ledger, the newest one by one and all older ones as one entry."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime

import msgspec

from tasks.domain.cadence import Interval
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.jobs import Job
from tasks.domain.lateness import Missed
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.domain.schedules import BEGINNING, schedule_of
from tasks.domain.slots import parse_slot, slot_text

ONE_BY_ONE = 10_000
ALTOGETHER = 50_000
AT_LEAST = 10


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """The slots of one job after `after` up to and including `until` that nothing ran; kept until they are recorded."""

    job: str
    cadence: str
    timezone: str
    after: datetime
    until: datetime

    @property
    def name(self) -> str:
        """What it is kept under: equal for beats that find the same backlog."""
        return f"{self.job}|{slot_text(self.after)}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Many missed slots in a row, recorded as one."""

    first: datetime
    last: datetime
    slots: int


def backlog_of(job: Job, missed: Missed) -> Backlog:
    """Put missed slots into words."""
    schedule = schedule_of(job)
    zone = schedule.timezone
    return Backlog(job=job.name, cadence=schedule.cadence, timezone=zone, after=missed.after, until=missed.until)


def walk(backlog: Backlog, most: int) -> Iterator[datetime | Row | None]:
    """Give the row of the older slots, if there is one, then the `most` newest ones.

    None stands for a step that gave nothing yet, so that whoever walks can do something else in between.
    """
    cadence = parse_cadence(backlog.cadence, timezone=backlog.timezone, now=BEGINNING)
    missed = Missed(cadence=cadence, after=backlog.after, until=backlog.until)
    return _interval_walk(cadence, missed, most) if isinstance(cadence, Interval) else _wall_walk(missed, most)


def one_by_one(backlogs: int) -> int:
    """Return how many slots of each backlog are recorded one by one, when there are so many backlogs at once."""
    return min(ONE_BY_ONE, max(AT_LEAST, ALTOGETHER // max(backlogs, 1)))


def row_run(backlog: Backlog, row: Row) -> Run:
    """Return what the ledger keeps of a row: its key is the first slot's text, `detail` says how many, and the last."""
    text = slot_text(row.first)
    return Run(
        job=backlog.job,
        key=text,
        slot=row.first,
        source=Source.CATCH_UP,
        outcome=Outcome.MISSED,
        run_id=f"{backlog.job}/{text}",
        detail={"slots": row.slots, "last": slot_text(row.last)},
    )


def row_of(run: Run) -> Row | None:
    """Return the row that a run stands for, None when it stands for itself."""
    last, slots = run.detail.get("last"), run.detail.get("slots")
    if run.slot is None or not isinstance(last, str) or not isinstance(slots, int):
        return None
    return Row(first=run.slot, last=parse_slot(last), slots=slots)


def _interval_walk(cadence: Interval, missed: Missed, most: int) -> Iterator[datetime | Row | None]:
    boundary = max(missed.until - cadence.every * most, missed.after)
    older = Missed(cadence=cadence, after=missed.after, until=boundary)
    if older.first is not None and older.last is not None:
        yield Row(first=older.first, last=older.last, slots=older.count)
    yield from cadence.slots_between(boundary, missed.until)


def _wall_walk(missed: Missed, most: int) -> Iterator[datetime | Row | None]:
    newest: deque[datetime] = deque()
    row: Row | None = None
    for slot in missed:
        newest.append(slot)
        if len(newest) > most:
            oldest = newest.popleft()
            row = Row(first=row.first if row else oldest, last=oldest, slots=row.slots + 1 if row else 1)
        yield None
    if row:
        yield row
    yield from newest
