"""The claims of every slot, in Redis; each act is one Lua script on Redis' own clock."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import uuid4

import msgspec
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tasks.domain.claims import Dispatch, Lease, LedgerEntry, Progress, Refusal, Refused, Terms
from tasks.domain.outcomes import Launch, Outcome, Run
from tasks.domain.slots import epoch_microseconds, from_epoch_microseconds
from tasks.errors import RedisUnavailableError

KEEP = timedelta(days=3)
TAKEOVER = timedelta(seconds=2)
REAP_MOST = 500
SCRIPTS = ("claim", "renew", "hand_over", "part", "record", "reap", "dispatch", "sent", "miss")


class RedisClaims:
    """Claims, dispatches and the ledger stream below one key prefix.

    `keep` is how long an ended slot is remembered; no message may live longer. Every method raises
    RedisUnavailableError when Redis can't be reached.
    """

    def __init__(self, redis: Redis, *, prefix: str = "escapement", keep: timedelta = KEEP) -> None:
        self._redis: Any = redis
        self._prefix = prefix
        self._keep_ms = keep // timedelta(milliseconds=1)
        self._scripts = {name: redis.register_script(_lua(name)) for name in SCRIPTS}

    def open(self) -> None:
        with _reachable():
            self._redis.set(self._key("epoch"), _now_ms(self._redis), nx=True)

    def claim(self, launch: Launch, terms: Terms, *, worker: str) -> Lease | Refused:
        lease_ms = terms.lease // timedelta(milliseconds=1)
        owner = uuid4().hex
        stub = _stub(launch, worker=worker)
        reply = self._run(
            "claim",
            launch.identity,
            owner,
            lease_ms,
            terms.overlap,
            self._keep_ms,
            *_due(launch.slot, terms.window_end),
            stub,
        )
        if reply[0] != "claimed":
            return Refused(reason=Refusal(reply[0]), by=reply[1])
        claimed_at = from_epoch_microseconds(int(reply[2]))
        return Lease(launch=launch, token=int(reply[1]), lease_ms=lease_ms, claimed_at=claimed_at)

    def renew(self, lease: Lease) -> bool:
        return bool(self._run("renew", lease.launch.identity, lease.token, lease.lease_ms))

    def hand_over(self, lease: Lease, parts: int) -> bool:
        return bool(self._run("hand_over", lease.launch.identity, lease.token, lease.lease_ms, parts))

    def part_done(self, lease: Lease, part: int, figures: Mapping[str, int], error: str = "") -> Progress | None:
        pairs = [each for pair in figures.items() for each in pair]
        reply = self._run("part", lease.launch.identity, lease.token, lease.lease_ms, part, error, *pairs)
        if reply is None:
            return None
        sums = dict(zip(reply[2::2], reply[3::2], strict=True))
        return Progress(parts_left=reply[0], error=reply[1] or None, figures=sums)

    def record(self, lease: Lease, run: Run) -> Outcome | None:
        args = (lease.token, run.outcome, msgspec.json.encode(run), run.error or "", self._keep_ms)
        stands = self._run("record", lease.launch.identity, *args)
        return None if stands == "duplicate" else Outcome(stands)

    def reap(self) -> Sequence[str]:
        ended: list[str] = self._run("reap", "", self._keep_ms, REAP_MOST)
        return ended

    def dispatch(self, launches: Sequence[tuple[Launch, datetime]], *, beat: str) -> list[Dispatch]:
        takeover, newest = TAKEOVER // timedelta(milliseconds=1), self._key("newest")
        calls = [
            (each.identity, beat, takeover, self._keep_ms, *_due(each.slot, window_end), _stub(each), newest)
            for each, window_end in launches
        ]
        replies = self._run_many("dispatch", calls)
        return [Dispatch(each) for each in replies]

    def sent(self, launches: Sequence[Launch], *, beat: str) -> None:
        self._run_many("sent", [(each.identity, beat) for each in launches])

    def miss(self, launches: Sequence[Launch], error: str) -> int:
        newest = self._key("newest")
        replies = self._run_many(
            "miss",
            [(each.identity, _stub(each), error, self._keep_ms, _milliseconds(each.slot), newest) for each in launches],
        )
        return sum(replies)

    def newest(self) -> Mapping[str, datetime]:
        with _reachable():
            found = self._redis.hgetall(self._key("newest"))
        return {job: from_epoch_microseconds(int(slot_ms) * 1000) for job, slot_ms in found.items()}

    def read(self, after: str, most: int) -> Sequence[LedgerEntry]:
        with _reachable():
            found = self._redis.xrange(self._key("ledger"), min=f"({after}", count=most)
        return [LedgerEntry(stream_id=stream_id, run=_ended_run(fields)) for stream_id, fields in found]

    def trim(self, up_to: str, keep: int) -> None:
        with _reachable():
            newest_kept = self._redis.xrevrange(self._key("ledger"), max=up_to, count=keep)
            if len(newest_kept) == keep:
                self._redis.xtrim(self._key("ledger"), minid=newest_kept[-1][0], approximate=False)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _keys(self, identity: str) -> list[str]:
        shared = ("leases", "holders", "ledger", "token", "epoch", "windows")
        return [self._key(f"slot:{identity}"), *map(self._key, shared)]

    def _run(self, script: str, identity: str, *args: Any) -> Any:
        with _reachable():
            return self._scripts[script](keys=self._keys(identity), args=[identity, *args])

    def _run_many(self, script: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        with _reachable(), self._redis.pipeline(transaction=False) as pipeline:
            for identity, *args in calls:
                self._scripts[script](keys=self._keys(identity), args=[identity, *args], client=pipeline)
            replies: list[Any] = pipeline.execute()
        return replies


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise RedisUnavailableError(f"Redis can't be reached: {error}") from error


def _now_ms(redis: Any) -> int:
    seconds, microseconds = redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _due(slot: datetime | None, window_end: datetime | None) -> tuple[int | str, int | str]:
    return _milliseconds(slot), _milliseconds(window_end)


def _milliseconds(instant: datetime | None) -> int | str:
    return "" if instant is None else epoch_microseconds(instant) // 1000


def _lua(name: str) -> str:
    folder = files(__package__)
    return (folder / "common.lua").read_text() + (folder / f"{name}.lua").read_text()


def _stub(launch: Launch, *, worker: str | None = None) -> bytes:
    """Spell the run as far as it is known before it ran: a script writes it when nobody else can end the slot."""
    return msgspec.json.encode(
        Run(
            job=launch.job,
            key=launch.key,
            slot=launch.slot,
            source=launch.source,
            run_id=launch.run_id,
            dispatched_at=launch.dispatched_at,
            worker=worker,
            outcome=Outcome.UNKNOWN,
        )
    )


_decode_run: Callable[[str], Run] = msgspec.json.Decoder(Run).decode


def _ended_run(fields: Mapping[str, str]) -> Run:
    run = _decode_run(fields["run"])
    return msgspec.structs.replace(
        run,
        outcome=Outcome(fields["outcome"]),
        error=fields["error"] or None,
        finished_at=run.finished_at or from_epoch_microseconds(int(fields["at_us"])),
    )
