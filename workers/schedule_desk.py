"""Changes of schedules while everything runs: what may be changed, and what becomes of slots that were due before."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import sleep
from typing import Any

import msgspec
from kombu.exceptions import OperationalError

from tasks import call_endpoint, process_sessions
from tasks.domain.backlog import Backlog
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.jobs import Job, ProcessSessions
from tasks.domain.lateness import PUNCTUAL, Missed
from tasks.domain.schedules import BEGINNING, Origin, Schedule, ScheduleState, removed, schedule_of
from tasks.domain.stored import Stored, Wish, paused, resumed
from tasks.errors import ConfigurationError, RedisUnavailableError, UnknownJobError
from tasks.job_task import ALONE
from tasks.ports import Services
from workers.beat_history import BacklogRecorder
from workers.schedule_restore import restore
from workers.stored_jobs import REPEAT, RuntimeJobs

BEATS_SECONDS = 2.0
NOT_OPEN = (
    "Redis holds no schedules yet, or has lost them: the warehouse's worker brings them back when it starts; "
    "`celery -A workers schedule restore` does it here"
)

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ScheduleDesk:
    """Where schedules are changed; `by` says in the ledger who asked.

    Every method raises RedisUnavailableError, UnknownJobError for a name nobody has, and ConfigurationError for what
    can't be done, with the reason.
    """

    services: Services
    stored_jobs: RuntimeJobs
    by: str
    wait: Callable[[float], object] = sleep

    def add(self, entry: Entry, times: int | None = None) -> Schedule:
        """Make a schedule; `times` is how often it is to run, None for without end."""
        self._ready()
        name = str(entry.get("name", ""))
        if name in self.services.jobs:
            raise ConfigurationError(f"the job table has {name!r} already: it can be paused, not made again")
        if self.services.store.find(name) is not None:
            raise ConfigurationError(f"there is a schedule {name!r} already: change it, or delete it first")
        schedule = self._schedule(entry, times)
        self._write(Wish(schedule=schedule, replaces=None, times=times or 0, by=self.by))
        return schedule

    def change(self, name: str, keys: Entry, times: int | None = None) -> Schedule:
        """Replace keys of a schedule; `times` starts the count anew, 0 means without end, None leaves it."""
        stored = self._own(name)
        before: dict[str, Any] = json.loads(stored.schedule.definition)
        again = before.pop(REPEAT, None)
        fresh = self._schedule(before | dict(keys), again if times is None else times)
        kept = msgspec.structs.replace(fresh, state=stored.schedule.state, reason=stored.schedule.reason)
        self._write(Wish(schedule=kept, replaces=stored.schedule, times=times, by=self.by))
        return kept

    def pause(self, name: str, reason: str) -> None:
        """Let nothing of a job start any more: what is due, sent or waiting is recorded as skipped."""
        found = self._found(name)
        wish = Wish(schedule=paused(found, reason), replaces=self._known(name), by=self.by)
        self._write(wish, patience_s=0)

    def resume(self, name: str) -> None:
        """Let a paused job run again from its next slot on: slots of the pause are not made up for."""
        found = self._found(name)
        if found.state is not ScheduleState.PAUSED:
            raise ConfigurationError(f"{name} is not paused")
        stored = self.services.store.find(name)
        if stored is not None and stored.left == 0:
            raise ConfigurationError(f"{name} {found.reason}; give it another number with `change {name} --repeat N`")
        self._write(Wish(schedule=resumed(found), replaces=found, by=self.by))

    def delete(self, name: str) -> None:
        """Forget a schedule that was made at run time; its runs stay in the ledger."""
        stored = self._own(name)
        self._write(Wish(schedule=removed(stored.schedule), replaces=stored.schedule, by=self.by))

    def run_now(self, name: str) -> str:
        """Run a job by hand, without a slot, unless it runs already; returns the key of the run."""
        job = self.services.job(name)
        if running := self._running(name):
            raise ConfigurationError(f"{name} is running: {running}")
        task, argument = _task_of(job)
        try:
            return f"manual-{task.apply_async((argument,), headers={ALONE: '1'}).id}"
        except OperationalError as error:
            raise RedisUnavailableError(f"the queue can't be reached: {error}") from error

    def _schedule(self, entry: Entry, times: int | None) -> Schedule:
        schedule = self.stored_jobs.schedule(entry, now=self.services.clock.now())
        if not times:
            return schedule
        definition = json.loads(schedule.definition) | {REPEAT: times}
        return msgspec.structs.replace(schedule, definition=json.dumps(definition, ensure_ascii=False, sort_keys=True))

    def _write(self, wish: Wish, patience_s: float = BEATS_SECONDS) -> None:
        """Write a change; of what was due before it, the beats get their time, and then what nobody took is missed."""
        before, care = wish.replaces, self.services.records.schedules.taken_care_of()
        since = self.services.store.change(wish)
        if since is None:
            raise ConfigurationError(f"somebody else has just changed {wish.schedule.job}; look at it and try again")
        if before is not None and before.state is ScheduleState.ACTIVE:
            self._settle(before, care.get(before.job, since), since, patience_s)

    def _settle(self, before: Schedule, after: datetime, until: datetime, patience_s: float) -> None:
        cadence = parse_cadence(before.cadence, timezone=before.timezone, now=BEGINNING)
        if not Missed(cadence=cadence, after=after, until=until):
            return
        if patience_s and Missed(cadence=cadence, after=max(after, until - PUNCTUAL), until=until):
            self.wait(patience_s)
        backlog = Backlog(job=before.job, cadence=before.cadence, timezone=before.timezone, after=after, until=until)
        self.services.dispatches.owe([backlog])
        BacklogRecorder(dispatches=self.services.dispatches, clock=self.services.clock).record([backlog])

    def _found(self, name: str) -> Schedule:
        """Return the schedule of any job, of the table too."""
        self._ready()
        known = self._known(name)
        if known is not None:
            return known
        return schedule_of(self.services.job(name))

    def _known(self, name: str) -> Schedule | None:
        stored = self.services.store.find(name)
        return None if stored is None else stored.schedule

    def _own(self, name: str) -> Stored:
        """Return a schedule that was made at run time."""
        self._ready()
        stored = self.services.store.find(name)
        if stored is not None and stored.schedule.origin is Origin.STORE:
            return stored
        if name in self.services.jobs:
            raise ConfigurationError(f"{name} is in the job table: change it there, or pause it here")
        raise UnknownJobError(f"no schedule {name!r} was made at run time; there are: {self._names()}")

    def _names(self) -> str:
        return ", ".join(self.stored_jobs.names()) or "none"

    def _running(self, name: str) -> str | None:
        hot = self.services.records.hot_slots
        holder = hot.holder(name)
        if holder is not None:
            return holder
        mine = (each for each in hot.under_way() if each.rpartition("/")[0] == name)
        states = ((each, hot.slot(name, each.rpartition("/")[2])) for each in mine)
        return next((each for each, slot in states if slot is not None and slot.state == "running"), None)

    def _ready(self) -> None:
        if self.services.store.is_open():
            return
        if not self.services.records.view.has_warehouse:
            raise ConfigurationError(NOT_OPEN)
        restore(self.services)


def _task_of(job: Job) -> tuple[Any, str]:
    if isinstance(job.action, ProcessSessions):
        return process_sessions, job.action.processor
    return call_endpoint, job.name
