"""Schedules made at run time, in Redis: each change is one script that also writes the ledger and a new version."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis

from tasks.adapters.claims.scripts import PREFIX, reachable
from tasks.domain.schedules import Origin, Schedule
from tasks.domain.slots import epoch_microseconds, from_epoch_microseconds
from tasks.domain.stored import Changes, Restored, Stored, Wish

WITHOUT_END = "always"
CHANGES_AT_ONCE = 5_000

_decoder = msgspec.json.Decoder(Schedule)


class RedisScheduleStore:
    """Below one key prefix; every method raises RedisUnavailableError when Redis can't be reached."""

    def __init__(self, redis: Redis, *, prefix: str = PREFIX) -> None:
        self._redis: Any = redis
        self._prefix = prefix
        self._change, self._restore = (
            redis.register_script(Path(__file__).with_name(f"schedule_{name}.lua").read_text(encoding="utf-8"))
            for name in ("store", "restore")
        )

    def is_open(self) -> bool:
        with reachable():
            return bool(self._redis.exists(self._key("store:version")))

    def version(self) -> int:
        with reachable():
            return int(self._redis.get(self._key("store:version")) or 0)

    def changes(self, after: int | None) -> Changes:
        with reachable(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(self._key("store:version"))
            pipeline.time()
            counted, (seconds, microseconds) = pipeline.execute()
            version, now = int(counted or 0), from_epoch_microseconds(int(seconds) * 1_000_000 + int(microseconds))
            if version == after:
                return Changes(version=version, now=now)
            jobs = None if after is None else self._changed(after, version)
        if jobs is None:
            found = {each.schedule.job: each for each in self.all()}
            return Changes(version=version, now=now, schedules=found, complete=True)
        return Changes(version=version, now=now, schedules=self._get(jobs))

    def find(self, job: str) -> Stored | None:
        return self._get([job])[job]

    def all(self) -> Sequence[Stored]:
        with reachable():
            jobs = sorted(self._redis.smembers(self._key("store")))
        return [each for each in self._get(jobs).values() if each is not None]

    def change(self, wish: Wish) -> datetime | None:
        schedule, replaces = wish.schedule, wish.replaces
        expected = self._text(schedule.job) if replaces else ""
        if replaces is not None and (not expected or _schedule(schedule.job, expected) != replaces):
            return None
        times = "" if wish.times is None else wish.times or WITHOUT_END
        words = (schedule.state, schedule.origin, schedule.reason, times, wish.by)
        with reachable():
            since = self._change(
                keys=[self._prefix], args=[schedule.job, expected, msgspec.json.encode(schedule), *words]
            )
        return from_epoch_microseconds(int(since)) if since else None

    def restore(self, jobs: Sequence[Restored]) -> int | None:
        flat = [each for job in jobs for each in _restored_args(job)]
        with reachable():
            restored = int(self._restore(keys=[self._prefix], args=flat))
        return None if restored < 0 else restored

    def _changed(self, after: int, version: int) -> Sequence[str] | None:
        """Return the jobs that changed after a version, None when that is not known any more."""
        found = self._redis.xrange(self._key("store:changes"), min=f"({after}-0", count=CHANGES_AT_ONCE)
        numbers = [int(entry.partition("-")[0]) for entry, _ in found]
        gapless = numbers[:1] == [after + 1] and numbers[-1] >= version
        return list(dict.fromkeys(fields["job"] for _, fields in found)) if gapless else None

    def _get(self, jobs: Iterable[str]) -> Mapping[str, Stored | None]:
        names = list(jobs)
        if not names:
            return {}
        with reachable(), self._redis.pipeline(transaction=True) as pipeline:
            for book in ("schedules", "sinces", "repeats"):
                pipeline.hmget(self._key(book), names)
            rows = zip(names, *pipeline.execute(), strict=True)
        return {name: _stored(name, text, since, left) for name, text, since, left in rows}

    def _text(self, job: str) -> str:
        with reachable():
            return self._redis.hget(self._key("schedules"), job) or ""

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"


def _stored(name: str, text: str | None, since: str | None, left: str | None) -> Stored | None:
    if text is None or since is None:
        return None
    instant = from_epoch_microseconds(int(since))
    return Stored(schedule=_schedule(name, text), since=instant, left=None if left is None else int(left))


def _schedule(job: str, text: str) -> Schedule:
    """Read a schedule; one that is no schedule becomes one that nobody can decode, so that it shows its error."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        return Schedule(job=job, origin=Origin.STORE, definition=text)


def _restored_args(job: Restored) -> tuple[Any, ...]:
    since, schedule = epoch_microseconds(job.taken_care_of), job.schedule
    if schedule is None:
        return (job.job, "", "", "", "", since, "")
    left = "" if job.left is None else job.left
    text = msgspec.json.encode(schedule)
    return (job.job, text, schedule.state, schedule.origin, schedule.reason, since, left)
