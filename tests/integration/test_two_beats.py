"""Two beats and two workers of each kind on one Redis: every slot reaches the API once."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import duckdb
import pytest
import redis

from tests.conftest import StartProcess

SECONDS = 12
T = TypeVar("T")


class CountingApi(ThreadingHTTPServer):
    """A real HTTP server that remembers the key of every call."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        assert isinstance(self.server, CountingApi)
        self.server.keys[self.headers["Idempotency-Key"]] += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def api() -> Iterator[CountingApi]:
    with CountingApi() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def env(clean_env: dict[str, str], redis_url: str, api: CountingApi) -> dict[str, str]:
    cadences = ("DATA_REFRESH", "HEALTH_CHECK", "SCRIPT_RUN", "SESSION_COLLECTOR", "CORPORATE_MEMORY")
    return (
        clean_env
        | {f"SCHEDULER_{name}_INTERVAL": "1" for name in cadences}
        | {
            "REDIS_URL": redis_url,
            "API_URL": api.url,
            "SCHEDULER_TICK_SECONDS": "1",
            "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
            "SCHEDULER_API_TOKEN": "very-secret-token",
        }
    )


def test_two_beats_and_two_workers_run_each_slot_once(
    api: CountingApi, env: dict[str, str], redis_url: str, start_process: StartProcess, tmp_path: Path
) -> None:
    for number in (1, 2):
        start_process(f"beat{number}", "celery", "-A", "workers", "beat", "-n", f"beat{number}@%h", env=env)
        worker = ("celery", "-A", "workers", "worker", "-P", "threads", "-l", "info")
        start_process(f"http{number}", *worker, "-Q", "http", "-c", "4", "-n", f"http{number}@%h", env=env)
    start_process("warehouse", *worker, "-Q", "warehouse", "-c", "1", "-n", "warehouse@%h", env=env)
    wait_until(lambda: len(api.keys) >= 5 * SECONDS)
    runs = wait_until(lambda: recorded(env, at_least=5 * SECONDS))

    assert set(api.keys.values()) == {1}
    assert {outcome for _, _, outcome in runs} <= {"ok", "skipped", "missed"}
    ok = {f"{job}/{key}" for job, key, outcome in runs if outcome == "ok"}
    assert ok <= set(api.keys)
    assert "very-secret-token" not in everything_written(env, redis_url, tmp_path)


def recorded(env: dict[str, str], *, at_least: int) -> list[tuple[Any, ...]]:
    rows = warehouse(env, "select job, key, outcome from runs where job not like '%:%'")
    return rows if len(rows) >= at_least else []


def everything_written(env: dict[str, str], redis_url: str, logs: Path) -> str:
    """Return the ledger, the results, the runs and the log lines as one text."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        ledger = json.dumps(client.xrange("escapement:ledger"))
        results = " ".join(client.get(key) or "" for key in client.keys("celery-task-meta-*"))
    runs = str(wait_until(lambda: warehouse(env, "select * from runs")))
    return "\n".join([ledger, results, runs, *(log.read_text() for log in logs.glob("*.log"))])


def warehouse(env: dict[str, str], sql: str) -> list[tuple[Any, ...]]:
    """Return what the warehouse answers, nothing while a commit is on."""
    try:
        with duckdb.connect(f"{env['DATA_DIR']}/warehouse.duckdb", read_only=True) as connection:
            return connection.execute(sql).fetchall()
    except duckdb.Error:
        return []


def wait_until(condition: Callable[[], T], seconds: float = 60) -> T:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.2)
    return found
