"""The claims of every slot, in Redis; each act is one Lua script on Redis' own clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
from redis import Redis

from tasks.adapters.claims.scripts import KEEP, PREFIX, Scripts, milliseconds, reachable, stub
from tasks.domain.claims import Hold, Lease, Progress, Refusal, Refused, Terms
from tasks.domain.outcomes import Launch, Outcome, Run
from tasks.domain.slots import from_epoch_microseconds

NAMES = ("claim", "renew", "hand_over", "part", "record", "give_back", "settle", "cancel", "resolve", "reap")
MILLISECOND = timedelta(milliseconds=1)
REAP_MOST = 500
SUM = "sum:"
NO_FIGURES: Mapping[str, int] = {}


class RedisClaims:
    """Claims and leases; every method raises RedisUnavailableError when Redis can't be reached."""

    def __init__(self, redis: Redis, *, prefix: str = PREFIX, keep: timedelta = KEEP) -> None:
        self._scripts = Scripts(redis, NAMES, prefix=prefix, keep=keep)

    def open(self) -> None:
        with reachable():
            seconds, microseconds = self._scripts.redis.time()
            now_ms = int(seconds) * 1000 + int(microseconds) // 1000
            self._scripts.redis.set(self._scripts.key("epoch"), now_ms, nx=True)

    def claim(self, launch: Launch, terms: Terms, *, worker: str) -> Lease | Refused:
        lease_ms = terms.lease // MILLISECOND
        due = (milliseconds(launch.slot), milliseconds(terms.window_end))
        owner, run = uuid4().hex, stub(launch, worker=worker)
        args = (owner, lease_ms, terms.overlap, self._scripts.keep_ms, *due, run, terms.group, terms.group_limit)
        reply = self._scripts.run("claim", launch.identity, *args)
        if reply[0] != "claimed":
            return Refused(reason=Refusal(reply[0]), by=reply[1])
        claimed_at = from_epoch_microseconds(int(reply[2]))
        return Lease(launch=launch, token=int(reply[1]), lease_ms=lease_ms, claimed_at=claimed_at)

    def renew(self, lease: Lease) -> Hold:
        return Hold(self._scripts.run("renew", lease.launch.identity, lease.token, lease.lease_ms))

    def give_back(self, lease: Lease, window_end: datetime | None) -> bool:
        return bool(self._scripts.run("give_back", lease.launch.identity, lease.token, milliseconds(window_end)))

    def hand_over(self, lease: Lease, parts: int, figures: Mapping[str, int] = NO_FIGURES) -> bool:
        args = (lease.token, lease.lease_ms, parts, *_in_turn(figures))
        return bool(self._scripts.run("hand_over", lease.launch.identity, *args))

    def part_done(self, lease: Lease, part: int, figures: Mapping[str, int], error: str = "") -> Progress | None:
        args = (lease.token, lease.lease_ms, part, error, *_in_turn(figures))
        reply = self._scripts.run("part", lease.launch.identity, *args)
        if reply is None:
            return None
        sums = dict(zip(reply[2::2], reply[3::2], strict=True))
        return Progress(parts_left=reply[0], error=reply[1] or None, figures=sums)

    def progress(self, identity: str) -> Progress | None:
        with reachable():
            fields = self._scripts.redis.hgetall(self._scripts.key(f"slot:{identity}"))
        if "parts_left" not in fields:
            return None
        sums = {name.removeprefix(SUM): int(value) for name, value in fields.items() if name.startswith(SUM)}
        return Progress(parts_left=int(fields["parts_left"]), error=fields.get("error"), figures=sums)

    def record(self, lease: Lease, run: Run, *, busy_for: timedelta = timedelta(0)) -> Outcome | None:
        entry, hold_ms = msgspec.json.encode(run), busy_for // MILLISECOND
        args = (lease.token, run.outcome, entry, run.error or "", self._scripts.keep_ms, hold_ms)
        stands = self._scripts.run("record", lease.launch.identity, *args)
        return None if stands == "duplicate" else Outcome(stands)

    def settle(self, launch: Launch, outcome: Outcome, error: str) -> bool:
        args = (stub(launch), outcome, error, self._scripts.keep_ms)
        return bool(self._scripts.run("settle", launch.identity, *args))

    def cancel(self, launch: Launch, who: str) -> str:
        answer: str = self._scripts.run("cancel", launch.identity, stub(launch), who, self._scripts.keep_ms)
        return answer

    def resolve(self, identity: str, outcome: Outcome, who: str) -> str:
        answer: str = self._scripts.run("resolve", identity, outcome, who, self._scripts.keep_ms)
        return answer

    def reap(self) -> Sequence[str]:
        ended: list[str] = self._scripts.run("reap", "", self._scripts.keep_ms, REAP_MOST)
        return ended


def _in_turn(figures: Mapping[str, int]) -> list[str | int]:
    return [each for pair in figures.items() for each in pair]
