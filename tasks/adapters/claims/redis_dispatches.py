"""What beats share in Redis: which due slots are sent, and the newest slot of each job."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from redis import Redis

from tasks.adapters.claims.scripts import KEEP, PREFIX, Scripts, milliseconds, reachable, stub
from tasks.domain.claims import Dispatch
from tasks.domain.outcomes import Launch
from tasks.domain.slots import from_epoch_microseconds

NAMES = ("dispatch", "sent", "miss")
TAKEOVER = timedelta(seconds=2)


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

    def newest(self) -> Mapping[str, datetime]:
        with reachable():
            found = self._scripts.redis.hgetall(self._scripts.key("newest"))
        return {job: from_epoch_microseconds(int(slot_ms) * 1000) for job, slot_ms in found.items()}
