"""The timetable of one beat: which jobs are due, which slots they missed, how long to sleep."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tasks.domain.jobs import Job
from tasks.domain.lateness import Due, decide


@dataclass(frozen=True, kw_only=True, slots=True)
class DueJob:
    """A job with the slots that came due since `handled`: at most one to run, the others missed."""

    job: Job
    due: Due
    handled: datetime


@dataclass(kw_only=True)
class Timetable:
    """A heap of the next slot of every job; `handled` is the newest slot of each that needs no more care."""

    jobs: Mapping[str, Job]
    handled: dict[str, datetime]
    _heap: list[tuple[datetime, str]] = field(default_factory=list)

    @classmethod
    def start(cls, jobs: Mapping[str, Job], handled: Mapping[str, datetime], now: datetime) -> "Timetable":
        """Begin at `now` for jobs that are new, and after their newest slot for those that are known."""
        table = cls(jobs=jobs, handled={name: handled.get(name, now) for name in jobs})
        for name in jobs:
            table._push(name)
        return table

    def take_due(self, now: datetime) -> list[DueJob]:
        """Take every job that is due; each is handled up to `now` unless it is put back."""
        return [self._take(name, now) for name in self._pop_due(now)]

    def put_back(self, taken: Iterable[DueJob]) -> None:
        """Undo `take_due` for jobs that could not be dispatched."""
        for each in taken:
            self.handled[each.job.name] = each.handled
            self._push(each.job.name)

    def seconds_to_next(self, now: datetime) -> float | None:
        """Return the seconds from `now` to the next slot, None when there is none."""
        return (self._heap[0][0] - now).total_seconds() if self._heap else None

    def _pop_due(self, now: datetime) -> list[str]:
        due: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= now:
            due[heapq.heappop(self._heap)[1]] = None
        return list(due)

    def _take(self, name: str, now: datetime) -> DueJob:
        job, handled = self.jobs[name], self.handled[name]
        due = decide(job.cadence, handled, now, job.catch_up)
        self.handled[name] = now
        self._push(name)
        return DueJob(job=job, due=due, handled=handled)

    def _push(self, name: str) -> None:
        slot = self.jobs[name].cadence.next_after(self.handled[name])
        if slot is not None:
            heapq.heappush(self._heap, (slot, name))
