"""The newest schedule of every job in Redis; what changes goes into the ledger stream in the same step."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis

from tasks.adapters.claims.scripts import PREFIX, reachable
from tasks.domain.jobs import Job
from tasks.domain.schedules import Origin, Schedule, ScheduleChange, ScheduleState, removed, schedule_of
from tasks.domain.slots import epoch_microseconds, from_epoch_microseconds

JOBS_AT_ONCE = 1_000
WHATEVER = ""
AFTER_NEWEST = ""

Change = tuple[str, bytes, str, int | str]


class RedisSchedules:
    """Schedules below one key prefix; raises RedisUnavailableError when Redis can't be reached."""

    def __init__(self, redis: Redis, *, prefix: str = PREFIX) -> None:
        self._redis: Any = redis
        self._keys = [f"{prefix}:{name}" for name in ("schedules", "sinces", "newest", "ledger")]
        self._script = redis.register_script(Path(__file__).with_suffix(".lua").read_text(encoding="utf-8"))

    def publish(self, jobs: Mapping[str, Job], now: datetime, *, by: str) -> int:
        """Make the table of jobs known, and what it has no more; returns how many changes the ledger got.

        A changed job holds after the newest slot that was taken care of, a new one from `now` on. What was defined at
        run time stays. Several beats with one table write each change once.
        """
        with reachable():
            known: dict[str, str] = self._redis.hgetall(self._keys[0])
        return self._write(list(_differing(jobs, known)), now, by)

    def change(self, change: ScheduleChange) -> bool:
        """Make one schedule known that was changed at run time; False when it was the same already."""
        schedule = change.schedule
        with reachable():
            known = self._redis.hget(self._keys[0], schedule.job) or WHATEVER
        is_removal = schedule.state is ScheduleState.REMOVED
        if is_removal and known == WHATEVER:
            return False
        replaced = known if is_removal else WHATEVER
        since = epoch_microseconds(change.since)
        wanted = (schedule.job, msgspec.json.encode(schedule), replaced, since)
        return self._write([wanted], change.since, change.by) > 0

    def taken_care_of(self) -> Mapping[str, datetime]:
        """Return for each job up to when its slots are taken care of: its newest slot, or when it came to be."""
        with reachable():
            sinces, newest = (self._redis.hgetall(key) for key in self._keys[1:3])
        known = {job: int(since) for job, since in sinces.items()}
        for job, slot_ms in newest.items():
            known[job] = max(known.get(job, 0), int(slot_ms) * 1000)
        return {job: from_epoch_microseconds(microseconds) for job, microseconds in known.items()}

    def _write(self, changes: Sequence[Change], now: datetime, by: str) -> int:
        written = 0
        for start in range(0, len(changes), JOBS_AT_ONCE):
            flat = [each for change in changes[start : start + JOBS_AT_ONCE] for each in change]
            with reachable():
                written += self._script(keys=self._keys, args=[by, epoch_microseconds(now), *flat])
        return written


def _differing(jobs: Mapping[str, Job], known: Mapping[str, str]) -> Iterator[Change]:
    for name, job in jobs.items():
        text = msgspec.json.encode(schedule_of(job))
        if known.get(name) != text.decode():
            yield name, text, WHATEVER, AFTER_NEWEST
    for name in known.keys() - jobs.keys():
        schedule = msgspec.json.decode(known[name], type=Schedule)
        if schedule.origin is Origin.TABLE:
            yield name, msgspec.json.encode(removed(schedule)), known[name], AFTER_NEWEST
