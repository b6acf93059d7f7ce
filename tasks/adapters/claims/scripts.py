"""How the Lua scripts beside this file are run: their keys, their errors, one pipeline for many calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tasks.domain.outcomes import Launch, Outcome, Run
from tasks.domain.slots import epoch_microseconds
from tasks.errors import RedisUnavailableError

PREFIX = "escapement"
KEEP = timedelta(days=3)
AWAY = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError, NoScriptError)
REFUSES_WRITES = ("MISCONF", "OOM ", "READONLY")
SHARED_KEYS = ("leases", "holders", "ledger", "token", "epoch", "windows")


class Scripts:
    """Runs scripts below one key prefix; every method raises RedisUnavailableError when Redis can't be reached.

    `keep` is how long an ended slot is remembered; no message may live longer.
    """

    def __init__(self, redis: Redis, names: Sequence[str], *, prefix: str = PREFIX, keep: timedelta = KEEP) -> None:
        self.redis: Any = redis
        self.keep_ms = keep // timedelta(milliseconds=1)
        self._prefix = prefix
        self._scripts = {name: redis.register_script(_lua(name)) for name in names}

    def key(self, name: str) -> str:
        """Return the full name of a key."""
        return f"{self._prefix}:{name}"

    def run(self, script: str, identity: str, *args: Any) -> Any:
        """Run one script on one slot."""
        with reachable():
            return self._scripts[script](keys=self._keys(identity), args=[identity, *args])

    def run_many(self, script: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run one script on many slots (identity, then the other arguments), in one round trip."""
        with reachable(), self.redis.pipeline(transaction=False) as pipeline:
            for identity, *args in calls:
                self._scripts[script](keys=self._keys(identity), args=[identity, *args], client=pipeline)
            replies: list[Any] = pipeline.execute()
        return replies

    def _keys(self, identity: str) -> list[str]:
        return [self.key(f"slot:{identity}"), *map(self.key, SHARED_KEYS)]


@contextmanager
def reachable() -> Iterator[None]:
    """Turn lost connections, timeouts, and a Redis that takes no writes for now into RedisUnavailableError."""
    try:
        yield
    except AWAY as error:
        raise RedisUnavailableError(f"Redis can't be reached: {error}") from error
    except ResponseError as error:
        if not any(sign in str(error) for sign in REFUSES_WRITES):
            raise
        raise RedisUnavailableError(f"Redis takes no writes: {error}") from error


def stub(launch: Launch, *, worker: str | None = None) -> bytes:
    """Spell the run as far as it is known before it ran: a script writes it when nobody else can end the slot."""
    return msgspec.json.encode(
        Run(
            job=launch.job,
            key=launch.key,
            slot=launch.slot,
            source=launch.source,
            run_id=launch.run_id,
            dispatched_at=launch.dispatched_at,
            attempt=launch.attempt,
            worker=worker,
            outcome=Outcome.UNKNOWN,
        )
    )


def milliseconds(instant: datetime | None) -> int | str:
    """Return whole milliseconds since the epoch as a script takes them, '' for no instant."""
    return "" if instant is None else epoch_microseconds(instant) // 1000


def _lua(name: str) -> str:
    folder = files(__package__)
    return (folder / "common.lua").read_text() + (folder / f"{name}.lua").read_text()
