"""Brings changes of the schedule store into the timetable of a running beat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from celery.utils.log import get_logger

from tasks.domain.jobs import Job
from tasks.domain.schedules import Origin, ScheduleState
from tasks.domain.stored import Changes, Stored
from tasks.ports import Services
from tasks.run_once import describe
from workers.dispatcher import Dispatcher

logger = get_logger(__name__)


@dataclass(kw_only=True)
class ScheduleWatch:
    """Follows the store by its version; `care` is up to when each job was taken care of when this beat opened.

    A schedule that can't be decoded is in `broken` with the reason; the others never notice. `changed` is called after
    each change.
    """

    services: Services
    dispatcher: Dispatcher
    care: Mapping[str, datetime] = field(default_factory=dict)
    changed: Callable[[], object] = lambda: None
    version: int | None = None
    broken: dict[str, str] = field(default_factory=dict)
    _stored: set[str] = field(default_factory=set)

    def poll(self) -> datetime:
        """Apply what changed since the last poll; returns the time by Redis' clock. Raises RedisUnavailableError."""
        changes = self.services.store.changes(self.version)
        self.apply(changes)
        return changes.now

    def apply(self, changes: Changes) -> None:
        """Bring changes into the timetable. Raises RedisUnavailableError; then they are still to be applied."""
        if changes.version == self.version:
            return
        wanted = dict(changes.schedules)
        if changes.complete:
            wanted |= dict.fromkeys(self._stored - wanted.keys())
        for name, stored in wanted.items():
            self._apply(name, stored, changes.now)
        self.version = changes.version
        if wanted:
            self.changed()

    def _apply(self, name: str, stored: Stored | None, now: datetime) -> None:
        """Dispatch what is due up to the change by the old definition; all after it is due by the new one."""
        timetable = self.dispatcher.timetable
        since = stored.since if stored else now
        self.dispatcher.run_one(name, min(since, now), now)
        job = self._job(name, stored)
        if job is None or (stored is not None and stored.schedule.state is ScheduleState.PAUSED):
            timetable.remove(name)
        else:
            timetable.put(job, max(since, self.care.get(name, since), timetable.handled.get(name, since)))
        (self._stored.add if stored else self._stored.discard)(name)

    def _job(self, name: str, stored: Stored | None) -> Job | None:
        """Return the job of a schedule: the table's own definition comes first."""
        self.broken.pop(name, None)
        listed = self.services.jobs.get(name)
        if stored is None or stored.schedule.origin is Origin.TABLE:
            return listed
        if listed is not None:
            logger.warning("%s: the job table has it as well; the schedule made at run time is not used", name)
            return listed
        try:
            return self.services.stored_jobs.decode(stored.schedule)
        except Exception as error:  # noqa: BLE001 - somebody's entry, whatever it is
            self.broken[name] = describe(error)
            return None


@dataclass(kw_only=True)
class ErrorLog:
    """Says each error of a job once, and that it is over once."""

    said: dict[str, str] = field(default_factory=dict)

    def say(self, errors: Mapping[str, str]) -> None:
        """Log what is new."""
        if errors == self.said:
            return
        for job in errors.keys() - {name for name, text in self.said.items() if errors.get(name) == text}:
            logger.error("%s can't be scheduled, all others are: %s", job, errors[job])
        for job in self.said.keys() - errors.keys():
            logger.warning("%s can be scheduled again", job)
        self.said = dict(errors)
