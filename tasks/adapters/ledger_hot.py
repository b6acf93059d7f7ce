"""What Redis knows of slots that have not ended: who dispatched them, who runs them, until when."""

from typing import Any

import msgspec
from redis import Redis

from tasks.adapters.claims.scripts import PREFIX, reachable
from tasks.domain.hot import HotSlot
from tasks.domain.outcomes import Run
from tasks.domain.slots import from_epoch_microseconds


class RedisHotSlots:
    """Reads slots below one key prefix; raises RedisUnavailableError when Redis can't be reached."""

    def __init__(self, redis: Redis, *, prefix: str = PREFIX) -> None:
        self._redis: Any = redis
        self._prefix = prefix

    def under_way(self) -> frozenset[str]:
        """Return the identities of all slots that are dispatched, waiting or running."""
        with reachable(), self._redis.pipeline() as pipeline:
            pipeline.zrange(self._key("leases"), 0, -1)
            pipeline.zrange(self._key("windows"), 0, -1)
            leases, windows = pipeline.execute()
        return frozenset(leases) | frozenset(windows)

    def slot(self, job: str, key: str) -> HotSlot | None:
        """Return what is known of one slot, None when nothing is; ended slots are remembered for days."""
        identity = f"{job}/{key}"
        with reachable(), self._redis.pipeline() as pipeline:
            pipeline.hgetall(self._key(f"slot:{identity}"))
            pipeline.zscore(self._key("leases"), identity)
            pipeline.zscore(self._key("windows"), identity)
            fields, lease_ms, window_ms = pipeline.execute()
        return _hot_slot(fields, lease_ms, window_ms) if fields else None

    def holder(self, job: str) -> str | None:
        """Return the identity of the run that holds a job's lease now."""
        with reachable():
            holder: str | None = self._redis.hget(self._key("holders"), job)
            alive = holder is not None and self._redis.zscore(self._key("leases"), holder) is not None
        return holder if alive else None

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"


def _hot_slot(fields: dict[str, str], lease_ms: float | None, window_ms: float | None) -> HotSlot:
    stub = msgspec.json.decode(fields["run"], type=Run) if "run" in fields else None
    marked_ms = fields.get("at_ms")
    dispatched = stub.dispatched_at if stub else None
    return HotSlot(
        state=fields.get("state", ""),
        beat=fields.get("beat"),
        dispatched_at=from_epoch_microseconds(int(marked_ms) * 1000) if marked_ms else dispatched,
        worker=stub.worker if stub else None,
        claimed_at=from_epoch_microseconds(int(fields["token"])) if "token" in fields else None,
        lease_until=None if lease_ms is None else from_epoch_microseconds(int(lease_ms) * 1000),
        window_end=None if window_ms is None else from_epoch_microseconds(int(window_ms) * 1000),
        cancelled_by=fields.get("cancelled_by"),
    )
