"""Jobs of schedules that were made at run time: read by the same rules as those of the jobs file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tasks.domain.drafts import settle
from tasks.domain.jobs import Job, ProcessSessions
from tasks.domain.schedules import Origin, Schedule, ScheduleState, schedule_of
from tasks.errors import ConfigurationError
from tasks.schedule_ports import ScheduleStore
from workers.jobs_file import FileTerms, decode_entries
from workers.jobs_file_entry import OF_PROCESSORS, EntryTerms

SOURCE = "schedule"
REPEAT = "repeat"
OF_A_PROCESSOR = frozenset({"name", "schedule", "timezone", "processor", "catch_up", "overlap", "group", "phase"})


@dataclass(kw_only=True)
class RuntimeJobs:
    """The jobs of the store. `processors` are the session processors there are, `secrets` the values for headers."""

    store: ScheduleStore
    timezone: str
    processors: Sequence[str] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    _known: dict[str, tuple[str, Job]] = field(default_factory=dict, repr=False)

    def decode(self, schedule: Schedule) -> Job:
        """Make a job of its schedule; raises ConfigurationError with a line for each key that can't be used."""
        known = self._known.get(schedule.job)
        if known is not None and known[0] == schedule.definition:
            return known[1]
        job = self.job_of(_definition(schedule), now=datetime.now(UTC))
        self._known[schedule.job] = (schedule.definition, job)
        return job

    def find(self, name: str) -> Job | None:
        """Return a job of the store, paused or not, None when there is none. Raises RedisUnavailableError.

        Raises ConfigurationError when it can't be decoded.
        """
        stored = self.store.find(name)
        if stored is None or stored.schedule.origin is not Origin.STORE:
            return None
        return self.decode(stored.schedule)

    def names(self) -> Sequence[str]:
        """Return the jobs of the store. Raises RedisUnavailableError."""
        return [each.schedule.job for each in self.store.all() if each.schedule.origin is Origin.STORE]

    def schedule(self, entry: Mapping[str, Any], *, now: datetime) -> Schedule:
        """Make a schedule of an entry as a jobs file would have it; `in 30m` counts from `now`.

        Raises ConfigurationError with a line for each key that can't be used.
        """
        job = self.job_of(entry, now=now)
        words = schedule_of(job)
        fixed = dict(entry) | {"schedule": words.cadence, "timezone": words.timezone}
        fixed.pop("phase", None)
        return Schedule(
            job=job.name,
            state=ScheduleState.ACTIVE,
            origin=Origin.STORE,
            cadence=words.cadence,
            timezone=words.timezone,
            catch_up=words.catch_up,
            definition=json.dumps(fixed, ensure_ascii=False, sort_keys=True),
        )

    def job_of(self, entry: Mapping[str, Any], *, now: datetime) -> Job:
        """Read one entry; raises ConfigurationError."""
        stand_in = self._stand_in({key: value for key, value in entry.items() if key != REPEAT})
        terms = EntryTerms(timezone=self.timezone, now=now, variables=self.secrets)
        found = decode_entries([stand_in], SOURCE, FileTerms(entries=terms, taken=frozenset()))
        settled = settle(found.drafts)
        problems = [*found.problems, *settled.problems]
        if problems:
            raise ConfigurationError("\n".join(problems))
        (job,) = settled.jobs.values()
        return _of_processor(job, entry)

    def _stand_in(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Let an entry of a session processor be read as one of a call; raises ConfigurationError."""
        processor = entry.pop("processor", None)
        if processor is None:
            return entry
        name = f"{OF_PROCESSORS}{processor}"
        if processor not in self.processors:
            raise ConfigurationError(
                f"{SOURCE}: processor = {processor!r}: there is none; there are: {', '.join(self.processors)}"
            )
        if entry.get("name") != name:
            raise ConfigurationError(f"{SOURCE}: name = {entry.get('name')!r}: accepted for this processor: {name}")
        if foreign := sorted(entry.keys() - OF_A_PROCESSOR):
            raise ConfigurationError(f"{SOURCE}: {', '.join(foreign)}: a session processor has no such key")
        return entry | {"name": processor, "path": "/"}


def _definition(schedule: Schedule) -> Mapping[str, Any]:
    try:
        entry = json.loads(schedule.definition)
    except ValueError as error:
        raise ConfigurationError(f"{SOURCE}: job {schedule.job!r}: its definition is no JSON: {error}") from None
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{SOURCE}: job {schedule.job!r}: its definition is no table")
    return entry


def _of_processor(job: Job, entry: Mapping[str, Any]) -> Job:
    if "processor" not in entry:
        return job
    return replace(job, name=str(entry["name"]), action=ProcessSessions(processor=str(entry["processor"])))
