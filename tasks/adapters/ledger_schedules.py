"""The newest schedule of every job in Redis; what changes goes into the ledger stream in the same step."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from redis import Redis

from tasks.adapters.claims.scripts import PREFIX, reachable
from tasks.domain.jobs import Job
from tasks.domain.schedules import Origin, Schedule, ScheduleState, removed, schedule_of
from tasks.domain.slots import epoch_microseconds, from_epoch_microseconds

JOBS_AT_ONCE = 200
WHATEVER = ""
AFTER_NEWEST = ""
PAUSED = f'"{ScheduleState.PAUSED}"'

T = TypeVar("T")
Change = tuple[str, bytes, str, int | str]


class RedisSchedules:
    """Schedules below one key prefix; raises RedisUnavailableError when Redis can't be reached.

    `rest` is called after every JOBS_AT_ONCE jobs, so that a large table can be published beside something urgent.
    """

    def __init__(self, redis: Redis, *, prefix: str = PREFIX, rest: Callable[[], object] = lambda: None) -> None:
        self._redis: Any = redis
        self._rest = rest
        self._keys = [f"{prefix}:{name}" for name in ("schedules", "sinces", "newest", "ledger")]
        self._digest = f"{prefix}:table"
        self._script = redis.register_script(Path(__file__).with_suffix(".lua").read_text(encoding="utf-8"))

    def publish(
        self, jobs: Mapping[str, Job], now: datetime, *, by: str, care: Mapping[str, datetime] | None = None
    ) -> int:
        """Make the table of jobs known, and what it has no more; returns how many changes the ledger got.

        A changed job holds after the newest slot that was taken care of (as `care` has it, or else as Redis has it when
        it is written), a new one from `now` on. What was defined at run time stays, and so does a pause. Several beats
        with one table write each change once; a table that was published last costs one question.
        """
        texts = {name: msgspec.json.encode(schedule_of(job)) for name, job in self._slowly(jobs.items())}
        digest = hashlib.blake2b(b"\n".join(texts.values()), digest_size=16).hexdigest()
        with reachable():
            if self._redis.get(self._digest) == digest:
                return 0
            known: dict[str, str] = self._redis.hgetall(self._keys[0])
        written = self._write(list(self._slowly(_differing(texts, known, care, now))), now, by)
        with reachable():
            self._redis.set(self._digest, digest)
        return written

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
            self._rest()
        return written

    def _slowly(self, items: Iterable[T]) -> Iterator[T]:
        for number, item in enumerate(items, 1):
            yield item
            if number % JOBS_AT_ONCE == 0:
                self._rest()


def _differing(
    texts: Mapping[str, bytes], known: Mapping[str, str], care: Mapping[str, datetime] | None, now: datetime
) -> Iterator[Change]:
    def since(name: str) -> int | str:
        return AFTER_NEWEST if care is None else epoch_microseconds(care.get(name, now))

    for name, text in texts.items():
        before = known.get(name, "")
        kept = text.decode() if before == "" else _still_paused(text, before)
        if kept != before:
            yield name, kept.encode(), WHATEVER, since(name)
    for name in known.keys() - texts.keys():
        schedule = msgspec.json.decode(known[name], type=Schedule)
        if schedule.origin is Origin.TABLE:
            yield name, msgspec.json.encode(removed(schedule)), known[name], since(name)


def _still_paused(text: bytes, before: str) -> str:
    """Return the text of a table's schedule; one that was paused by hand stays so, whatever its cadence is now."""
    if text.decode() == before or PAUSED not in before:
        return text.decode()
    old, new = (msgspec.json.decode(each, type=Schedule) for each in (before, text))
    if old.origin is not Origin.TABLE or old.state is not ScheduleState.PAUSED:
        return text.decode()
    merged = msgspec.structs.replace(new, state=old.state, reason=old.reason)
    return before if merged == old else msgspec.json.encode(merged).decode()
