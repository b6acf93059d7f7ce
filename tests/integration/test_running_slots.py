"""A real http worker against an API that hangs, refuses and answers: cancel, resolve, retries, duplicates."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
import redis

from tasks.adapters.claims import RedisLedger
from tasks.domain.claims import LedgerEntry
from tasks.domain.outcomes import Outcome, Run
from tests.conftest import ROOT, StartProcess, unused_port
from tests.integration.test_two_beats import wait_until


class HangingApi(ThreadingHTTPServer):
    """Answers POST /api/sync/trigger only when it is released; everything else at once."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.keys: list[str] = []
        self.released = Event()


class _Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        assert isinstance(self.server, HangingApi)
        self.server.keys.append(self.headers["Idempotency-Key"])
        if self.path == "/api/sync/trigger":
            self.server.released.wait(30)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@dataclass(kw_only=True)
class World:
    """One http worker, the ledger it writes, and a shell beside it."""

    env: dict[str, str]
    redis: Any
    ledger: RedisLedger
    port: int
    servers: list[HangingApi] = field(default_factory=list)

    def serve(self) -> HangingApi:
        server = HangingApi(self.port)
        Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return server

    def shell(self, code: str) -> str:
        """Run code in a Python that has the app, as a user's shell has it."""
        program = f"from workers import celery\nfrom tasks import call_endpoint\n{code}"
        return self._run(sys.executable, "-c", program).stdout.strip()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("celery", "-A", "workers", *words)

    def deliver_again(self, task_id: str) -> None:
        """Do what the broker does when an acknowledgement does not come in time."""
        for entry in self.redis.hvals("unacked"):
            message, _, queue = json.loads(entry)
            if message["headers"]["id"] == task_id:
                message["properties"]["delivery_info"]["redelivered"] = True
                self.redis.lpush(queue, json.dumps(message))

    def given_back(self) -> list[str]:
        """Return the slots that wait for another try."""
        return [key for key in self.redis.keys("escapement:slot:*") if self.redis.hget(key, "state") == "sent"]

    def runs(self) -> list[Run]:
        return [each.run for each in self.ledger.read("0", 1000) if isinstance(each, LedgerEntry)]

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def world(clean_env: dict[str, str], redis_url: str, start_process: StartProcess) -> Iterator[World]:
    port = unused_port()
    env = clean_env | {"REDIS_URL": redis_url, "API_URL": f"http://127.0.0.1:{port}"}
    command = ("celery", "-A", "workers", "worker", "-Q", "http", "-P", "threads", "-c", "4", "-n", "http@%h")
    start_process("http", *command, env=env)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        world = World(env=env, redis=client, ledger=RedisLedger(client), port=port)
        yield world
    for server in world.servers:
        server.released.set()
        server.shutdown()


def one(found: Callable[[], list[Any]]) -> Any:
    (only,) = wait_until(found)
    return only


def test_a_running_call_is_stopped_and_the_ledger_says_who_asked(world: World) -> None:
    api = world.serve()
    task_id = world.shell("print(call_endpoint.delay('data-refresh').id)")
    wait_until(lambda: api.keys)
    answer = world.command("cancel", "data-refresh", f"manual-{task_id}")
    assert "was asked to stop" in answer.stdout, answer.stderr
    run = one(world.runs)
    assert run.outcome is Outcome.CANCELLED
    assert run.error.startswith("cancelled by ")
    again = world.command("cancel", "data-refresh", f"manual-{task_id}")
    assert "is cancelled" in again.stdout


def test_a_message_that_comes_again_while_its_run_is_on_changes_nothing(world: World) -> None:
    api = world.serve()
    task_id = world.shell("print(call_endpoint.delay('data-refresh').id)")
    wait_until(lambda: api.keys)
    world.deliver_again(task_id)
    wait_until(lambda: world.redis.llen("http") == 0)
    assert world.shell(f"print(celery.AsyncResult('{task_id}').state)") == "STARTED"
    api.released.set()
    assert one(world.runs).outcome is Outcome.OK
    assert world.shell(f"print(celery.AsyncResult('{task_id}').get(timeout=10))") == "ok status=200"
    assert len(api.keys) == 1


def test_a_refused_connection_is_tried_again_and_reaches_the_api_once(world: World) -> None:
    world.shell("call_endpoint.delay('health-check')")
    wait_until(world.given_back)
    api = world.serve()
    run = one(world.runs)
    assert (run.outcome, run.attempt > 1) == (Outcome.OK, True)
    assert len(api.keys) == 1


def test_a_connection_that_stays_refused_fails_and_is_named(world: World) -> None:
    world.shell("call_endpoint.delay('health-check')")
    run = one(world.runs)
    assert (run.outcome, run.attempt) == (Outcome.FAILED, 4)
    assert "ConnectError" in run.error


def test_the_same_slot_from_two_shells_reaches_the_api_once(world: World) -> None:
    api = world.serve()
    call = "call_endpoint.delay('health-check', slot=slot).get(timeout=20)"
    hour = "slot = (datetime.now(UTC) + timedelta(hours=1)).strftime('%Y-%m-%dT%H:00:00Z')"
    code = f"from datetime import UTC, datetime, timedelta\n{hour}\nprint({call})\nprint({call})"
    assert world.shell(code).splitlines() == ["ok status=200", "duplicate: ok"]
    assert len(api.keys) == 1


def test_a_job_that_does_not_exist_is_named_with_those_that_do(world: World) -> None:
    answer = world.shell(
        "try: call_endpoint.delay('nonsense').get(timeout=20)\nexcept Exception as error: print(error)"
    )
    assert "no job is named 'nonsense'" in answer
    assert "health-check" in answer


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("cancel", "nonsense", "2026-11-20T21:45:00Z"), "no job is named 'nonsense'"),
        (("cancel", "health-check", "yesterday"), "'yesterday' is not an instant like"),
        (("resolve", "health-check", "2026-11-20T21:45:00Z", "ok"), "nothing is remembered"),
    ],
)
def test_a_mistake_at_the_command_line_is_named_without_a_traceback(
    world: World, words: tuple[str, ...], complaint: str
) -> None:
    answer = world.command(*words)
    assert answer.returncode in {1, 2}
    assert complaint in answer.stderr
    assert "Traceback" not in answer.stderr
