"""The hot ledger: a Redis stream that the warehouse worker drains."""

from collections.abc import Mapping, Sequence

import msgspec
from redis import Redis

from tasks.adapters.claims.scripts import PREFIX, Scripts, reachable
from tasks.adapters.ledger_entries import SCHEDULE, schedule_entry
from tasks.domain.claims import LedgerEntry
from tasks.domain.outcomes import Outcome, Run
from tasks.domain.schedules import ScheduleEntry
from tasks.domain.slots import from_epoch_microseconds

_run_decoder = msgspec.json.Decoder(Run)


class RedisLedger:
    """Every method raises RedisUnavailableError when Redis can't be reached."""

    def __init__(self, redis: Redis, *, prefix: str = PREFIX) -> None:
        self._scripts = Scripts(redis, (), prefix=prefix)
        self._stream = self._scripts.key("ledger")

    def read(self, after: str, most: int) -> Sequence[LedgerEntry | ScheduleEntry]:
        with reachable():
            found = self._scripts.redis.xrange(self._stream, min=f"({after}", count=most)
        return [_entry(stream_id, fields) for stream_id, fields in found]

    def trim(self, up_to: str, keep: int) -> None:
        with reachable():
            newest_kept = self._scripts.redis.xrevrange(self._stream, max=up_to, count=keep)
            if len(newest_kept) == keep:
                self._scripts.redis.xtrim(self._stream, minid=newest_kept[-1][0], approximate=False)


def _entry(stream_id: str, fields: Mapping[str, str]) -> LedgerEntry | ScheduleEntry:
    if fields.get("kind") == SCHEDULE:
        return schedule_entry(stream_id, fields)
    return LedgerEntry(stream_id=stream_id, run=_ended_run(fields))


def _ended_run(fields: Mapping[str, str]) -> Run:
    run = _run_decoder.decode(fields["run"])
    return msgspec.structs.replace(
        run,
        outcome=Outcome(fields["outcome"]),
        error=fields["error"] or None,
        finished_at=run.finished_at or from_epoch_microseconds(int(fields["at_us"])),
    )
