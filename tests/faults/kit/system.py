"""The whole system on this machine: Redis behind a proxy, beat, workers, a target, and growing sessions."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import redis

from tests.conftest import ROOT, unused_port
from tests.faults.kit.points import Deed, Points, Strike
from tests.faults.kit.processes import Process, RedisServer, role, target
from tests.faults.kit.proxy import Proxy, proxy_to
from tests.faults.kit.target import Target
from workers.demo.growth import grow

OPTIONS: dict[str, float] = {
    "http_jobs": 4,
    "skipping": 2,
    "http_every_s": 1.0,
    "sessions_every_s": 2.0,
    "timeout_s": 2.0,
    "window_s": 10.0,
    "lease_s": 3.0,
    "redis_s": 1.0,
    "redelivery_s": 2,
}
ROLES = ("beat", "http", "sessions", "warehouse")
TOKEN = "a-token-that-only-tests-know"


@dataclass(kw_only=True)
class System:
    """Everything a scenario needs; `direct` asks Redis without the proxy."""

    folder: Path
    redis: RedisServer
    proxy: Proxy
    points: Points
    target: Target
    target_process: Process
    roles: dict[str, Process]
    direct: "redis.Redis[str]"
    random: Random
    options: Mapping[str, float]
    env: Mapping[str, str]
    _starting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def warehouse_file(self) -> Path:
        return self.data_dir / "warehouse.duckdb"

    @property
    def sessions(self) -> Path:
        return self.folder / "sessions"

    def ensure(self) -> list[str]:
        """Start what died; returns the names."""
        with self._starting:
            return [each.name for each in (*self.roles.values(), self.target_process) if each.ensure()]

    def grow(self) -> None:
        grow(self.sessions, self.random)

    def strike(self, step: str, deed: Deed, seconds: float = 20) -> Strike:
        """Arm a fault point and wait until somebody ran into it; what died starts again."""
        before = len(self._strikes_at(step))
        self.points.arm(step, deed)
        self.wait_for(lambda: len(self._strikes_at(step)) > before, seconds, f"nobody reached {step}")
        strike = self._strikes_at(step)[-1]
        if deed is Deed.STOP:
            time.sleep(self.options["lease_s"] + 2)
            os.kill(strike.pid, signal.SIGCONT)
        self.ensure()
        return strike

    def _strikes_at(self, step: str) -> list[Strike]:
        return [each for each in self.points.strikes() if each.step == step]

    def wait_for(self, look: Callable[[], object], seconds: float, otherwise: str) -> None:
        """Wait until it is true, while what died comes back; AssertionError after so many seconds."""
        give_up = time.monotonic() + seconds
        while not look():
            assert time.monotonic() < give_up, f"{otherwise} within {seconds:g} s; see {self.folder}"
            time.sleep(0.1)
            self.ensure()

    def ended(self, identity: str) -> bool:
        return self.direct.hget(f"escapement:slot:{identity}", "state") == "done"

    def duplicate_messages(self) -> int:
        """Put a second copy of every message that is out with a worker, or waits, into its queue."""
        out = [json.loads(each) for each in self.direct.hvals("unacked")]
        copies = [(routing_key, json.dumps(message)) for message, _, routing_key in out]
        copies += [(queue, each) for queue in ("http", "sessions", "warehouse") for each in self.waiting(queue)]
        for queue, message in copies:
            self.direct.lpush(queue, message)
        return len(copies)

    def waiting(self, queue: str) -> list[str]:
        return self.direct.lrange(queue, 0, -1)

    def quiet(self) -> bool:
        """Nothing is running, waiting, or on its way into the warehouse."""
        pending = self.direct.zcard("escapement:leases") + self.direct.zcard("escapement:windows")
        return pending + self.direct.hlen("unacked") + sum(len(self.waiting(each)) for each in QUEUES) == 0

    def settle(self, seconds: float = 60) -> None:
        """Stop beat and wait until every slot has its outcome and the warehouse holds it."""
        self.points.disarm()
        self.proxy.forget()
        for each in self.roles.values():
            each.signal(signal.SIGCONT)
        self.wait_for(lambda: not self.direct.hlen("escapement:owed"), seconds, "the history of missed slots is owed")
        for name in [name for name in self.roles if name.startswith("beat")]:
            self.roles.pop(name).end()
        self.wait_for(self.quiet, seconds, "the slots did not end")
        self.wait_for(self.drained, seconds, "the ledger was not drained")

    def drained(self) -> bool:
        """The newest run of the stream is in the warehouse."""
        recent = self.direct.xrevrange("escapement:ledger", count=100)
        newest = next((stream_id for stream_id, fields in recent if "run" in fields), None)
        rows = query(self.warehouse_file, "select value from marks where name = 'newest stream id'")
        return newest is None or rows == [(newest,)]


QUEUES = ("http", "sessions", "warehouse")


def query(file: Path, sql: str) -> list[tuple]:
    """Ask the warehouse while others work with it."""
    import duckdb  # noqa: PLC0415 - the processes under test import this module's neighbours

    give_up = time.monotonic() + 20
    while True:
        try:
            with duckdb.connect(str(file), read_only=True) as connection:
                return connection.execute("set TimeZone = 'UTC'").execute(sql).fetchall()
        except (duckdb.IOException, duckdb.ConnectionException):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)


@contextmanager
def system(
    folder: Path, *, roles: tuple[str, ...] = ROLES, seed: int = 0, options: Mapping[str, float] | None = None
) -> Iterator[System]:
    """Run everything for the length of a `with` block."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = RedisServer(folder=folder / "redis", port=unused_port())
        stack.callback(server.process.end)
        server.start()
        proxy = stack.enter_context(proxy_to(server.port))
        direct = stack.enter_context(redis.Redis.from_url(server.url, decode_responses=True))
        api_port = unused_port()
        target_process = target(api_port, folder)
        chosen = {**OPTIONS, **(options or {})}
        env = environment(folder, proxy.port, api_port, chosen)
        running = System(
            folder=folder, redis=server, proxy=proxy, points=Points(folder / "points"), target=Target(folder),
            target_process=target_process, roles={name: role(name, env, folder) for name in roles}, direct=direct,
            random=Random(seed), options=chosen, env=env,
        )  # fmt: skip
        stack.callback(_end, running)
        (folder / "points").mkdir()
        running.grow()
        running.ensure()
        yield running


def environment(folder: Path, redis_port: int, api_port: int, options: Mapping[str, float]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
        "ESCAPEMENT_ENV_FILE": "",
        "DATA_DIR": str(folder / "data"),
        "SESSION_DATA_DIR": str(folder / "sessions"),
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "API_URL": f"http://127.0.0.1:{api_port}",
        "SCHEDULER_API_TOKEN": TOKEN,
        "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
        "SCHEDULER_TICK_SECONDS": "1",
        "FAULT_OPTIONS": json.dumps(options),
        "FAULT_POINTS": str(folder / "points"),
    }


def _end(running: System) -> None:
    for each in (*running.roles.values(), running.target_process):
        each.signal(signal.SIGTERM)
    for each in (*running.roles.values(), running.target_process):
        each.end()
