"""The timetable of one beat: which jobs are due, which slots they missed, how long to sleep."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tasks.domain.jobs import Job
from tasks.domain.lateness import Due, decide, grace
from tasks.domain.outcomes import cut_error

RETRY_BROKEN = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class DueJob:
    """A job with the slots that came due since `handled`: at most one to run up to `window_end`, the others missed."""

    job: Job
    due: Due
    handled: datetime
    window_end: datetime | None = None
    has_missed: bool = False


@dataclass(kw_only=True)
class Timetable:
    """A heap of the next slot of every job; `handled` is the instant up to which each needs no more care.

    A job whose cadence raises is in `broken` with what it said, and is asked again after a minute; the others never
    notice. `stopping` tells that a SystemExit is meant for the process and not the fault of a cadence.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    handled: dict[str, datetime] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    stopping: Callable[[], bool] = lambda: False
    _wakes: dict[str, datetime] = field(default_factory=dict)
    _heap: list[tuple[datetime, str]] = field(default_factory=list)

    @classmethod
    def start(cls, jobs: Mapping[str, Job], handled: Mapping[str, datetime], now: datetime) -> "Timetable":
        """Begin at `now` for jobs that are new, and after their newest slot for those that are known."""
        table = cls()
        for name, job in jobs.items():
            table.put(job, handled.get(name, now))
        return table

    def put(self, job: Job, handled: datetime) -> None:
        """Add a job, or replace the one of its name; its slots after `handled` count."""
        self.jobs[job.name], self.handled[job.name] = job, handled
        self.broken.pop(job.name, None)
        self._push(job.name)

    def remove(self, name: str) -> None:
        """Forget a job; harmless when it is not there."""
        for book in (self.jobs, self.handled, self.broken, self._wakes):
            book.pop(name, None)

    def take_due(self, now: datetime) -> list[DueJob]:
        """Take every job that is due; each is handled up to `now` unless it is put back."""
        return self._taken(self._pop_due(now), now)

    def take(self, name: str, now: datetime) -> list[DueJob]:
        """Take one job if a slot of it has come due."""
        wake = self._wakes.get(name)
        return [] if wake is None or wake > now else self._taken([name], now)

    def put_back(self, taken: Iterable[DueJob]) -> None:
        """Undo `take_due` for jobs that could not be dispatched."""
        for each in taken:
            self.put(each.job, each.handled)

    def step_back(self, now: datetime) -> None:
        """Meet a clock that was set back: what comes after `now` is due in its time, also where it was handled."""
        for name, handled in self.handled.items():
            if handled > now:
                self.handled[name] = now
                self._push(name)

    def seconds_to_next(self, now: datetime) -> float | None:
        """Return the seconds from `now` to the next slot, None when there is none."""
        while self._heap and self._is_stale(*self._heap[0]):
            heapq.heappop(self._heap)
        return (self._heap[0][0] - now).total_seconds() if self._heap else None

    def next_slot(self, name: str) -> datetime | None:
        """Return when a job is due next."""
        return self._wakes.get(name)

    def _pop_due(self, now: datetime) -> list[str]:
        due: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= now:
            wake, name = heapq.heappop(self._heap)
            if not self._is_stale(wake, name):
                due[name] = None
        return list(due)

    def _taken(self, names: Iterable[str], now: datetime) -> list[DueJob]:
        found: list[DueJob] = []
        for name in names:
            try:
                found.append(self._take(name, now))
            except BaseException as error:  # noqa: BLE001 - somebody's cadence, whatever it raises
                self._note_broken(name, error, now)
        return found

    def _take(self, name: str, now: datetime) -> DueJob:
        job, handled = self.jobs[name], self.handled[name]
        due = decide(job.cadence, handled, now, job.catch_up)
        window_end = None if due.run is None else due.run + grace(job.cadence, due.run, job.catch_up)
        has_missed = bool(due.missed)
        self._push_after(name, now)
        self.handled[name] = now
        self.broken.pop(name, None)
        return DueJob(job=job, due=due, handled=handled, window_end=window_end, has_missed=has_missed)

    def _push(self, name: str) -> None:
        try:
            self._push_after(name, self.handled[name])
        except BaseException as error:  # noqa: BLE001
            self._note_broken(name, error, self.handled[name])

    def _note_broken(self, name: str, error: BaseException, now: datetime) -> None:
        if self.stopping():
            raise error
        self.broken[name] = cut_error(f"{type(error).__name__}: {error}")
        self._wake(name, now + RETRY_BROKEN)

    def _push_after(self, name: str, instant: datetime) -> None:
        slot = self.jobs[name].cadence.next_after(instant)
        if slot is None:
            self._wakes.pop(name, None)
        else:
            self._wake(name, slot)

    def _wake(self, name: str, at: datetime) -> None:
        self._wakes[name] = at
        heapq.heappush(self._heap, (at, name))

    def _is_stale(self, wake: datetime, name: str) -> bool:
        return self._wakes.get(name) != wake
