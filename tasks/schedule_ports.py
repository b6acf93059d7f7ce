"""Ports of the schedules that change while everything runs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from tasks.domain.jobs import Job
from tasks.domain.schedules import Schedule
from tasks.domain.stored import Changes, Restored, Stored, Wish


class ScheduleStore(Protocol):
    """Schedules made at run time, and pauses; every method raises RedisUnavailableError when it can't be reached."""

    def is_open(self) -> bool:
        """Whether there is a store; a Redis that is new or lost its data has none until it is restored."""
        ...

    def version(self) -> int:
        """Return the number of changes so far."""
        ...

    def changes(self, after: int | None) -> Changes:
        """Return what changed after a version (None = everything), and the time by Redis' clock."""
        ...

    def find(self, job: str) -> Stored | None:
        """Return the schedule of a job, None when nobody has made it known."""
        ...

    def all(self) -> Sequence[Stored]:
        """Return all schedules made at run time, and those of the table that are paused."""
        ...

    def change(self, wish: Wish) -> datetime | None:
        """Change one schedule; returns since when it holds, None when it is not what the wish replaces any more."""
        ...

    def restore(self, jobs: Sequence[Restored]) -> int | None:
        """Fill an empty store; returns how many schedules came back, None when there is a store already."""
        ...


class StoredJobs(Protocol):
    """Jobs that exist in the store alone."""

    def decode(self, schedule: Schedule) -> Job:
        """Make a job of its schedule; raises ConfigurationError with a line for each key that can't be used."""
        ...

    def find(self, name: str) -> Job | None:
        """Return a job of the store, None when there is none that can be used. Raises RedisUnavailableError."""
        ...

    def names(self) -> Sequence[str]:
        """Return the jobs of the store. Raises RedisUnavailableError."""
        ...
