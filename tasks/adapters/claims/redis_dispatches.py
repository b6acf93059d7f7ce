"""What beats share in Redis: which due slots are sent, and the newest slot of each job."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from redis import Redis

from tasks.adapters.claims.scripts import KEEP, PREFIX, Scripts, milliseconds, reachable, stub
from tasks.domain.backlog import Backlog, Row, row_run
from tasks.domain.claims import Dispatch
from tasks.domain.outcomes import Launch
from tasks.domain.slots import from_epoch_microseconds

NAMES = ("dispatch", "sent", "miss")
TAKEOVER = timedelta(seconds=2)
NAME_KEPT_MS = 10_000


class RedisDispatches:
    """Every method raises RedisUnavailableError when Redis can't be reached."""

    def __init__(self, redis: Redis, *, prefix: str = PREFIX, keep: timedelta = KEEP) -> None:
        self._scripts = Scripts(redis, NAMES, prefix=prefix, keep=keep)

    def dispatch(self, launches: Sequence[tuple[Launch, datetime]], *, beat: str) -> list[Dispatch]:
        fixed = (beat, TAKEOVER // timedelta(milliseconds=1), self._scripts.keep_ms)
        calls = [
            (each.identity, *fixed, milliseconds(each.slot), milliseconds(window_end), stub(each))
            for each, window_end in launches
        ]
        return [Dispatch(reply) for reply in self._scripts.run_many("dispatch", calls)]

    def sent(self, launches: Sequence[Launch], *, beat: str, after: datetime | None = None) -> None:
        fixed = (self._scripts.key("newest"), milliseconds(after))
        self._scripts.run_many("sent", [(each.identity, beat, milliseconds(each.slot), *fixed) for each in launches])

    def miss(self, launches: Sequence[Launch], error: str) -> int:
        keep_ms, newest = self._scripts.keep_ms, self._scripts.key("newest")
        calls = [(each.identity, stub(each), error, keep_ms, milliseconds(each.slot), newest) for each in launches]
        return sum(self._scripts.run_many("miss", calls))

    def miss_row(self, backlog: Backlog, row: Row, error: str) -> bool:
        run = row_run(backlog, row)
        due = (milliseconds(row.last), self._scripts.key("newest"))
        args = (msgspec.json.encode(run), error, self._scripts.keep_ms, *due)
        return bool(self._scripts.run("miss", f"{run.job}/{run.key}", *args))

    def owe(self, backlogs: Sequence[Backlog]) -> None:
        with reachable(), self._scripts.redis.pipeline(transaction=False) as pipeline:
            for each in backlogs:
                pipeline.hset(self._scripts.key("owed"), each.name, msgspec.json.encode(each))
            pipeline.execute()

    def owed(self) -> Sequence[Backlog]:
        with reachable():
            texts = self._scripts.redis.hvals(self._scripts.key("owed"))
        return [msgspec.json.decode(text, type=Backlog) for text in texts]

    def settled(self, backlog: Backlog) -> None:
        with reachable():
            self._scripts.redis.hdel(self._scripts.key("owed"), backlog.name)

    def hold_name(self, name: str, holder: str) -> str:
        key = self._scripts.key(f"beat:{name}")
        with reachable(), self._scripts.redis.pipeline(transaction=True) as pipeline:
            pipeline.set(key, holder, nx=True, px=NAME_KEPT_MS)
            pipeline.get(key)
            found = str(pipeline.execute()[1])
            if found == holder:
                self._scripts.redis.pexpire(key, NAME_KEPT_MS)
        return found

    def release_name(self, name: str, holder: str) -> None:
        key = self._scripts.key(f"beat:{name}")
        with reachable():
            if self._scripts.redis.get(key) == holder:
                self._scripts.redis.delete(key)

    def newest(self) -> Mapping[str, datetime]:
        with reachable():
            found = self._scripts.redis.hgetall(self._scripts.key("newest"))
        return {job: from_epoch_microseconds(int(slot_ms) * 1000) for job, slot_ms in found.items()}
