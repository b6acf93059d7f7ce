"""Alerts and the real HTTP servers that they may meet."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
import redis

from tasks.adapters.alert_hook import HttpAlertHook
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.domain.streaks import Alert, Event
from tests.conftest import eventually
from tests.ledger_services import LedgerServices, RealClock
from workers.upkeep import Upkeep

HANG, DRIP, RESET, FLOOD = "hang", "drip", "reset", "flood"
LONG = 30.0


@dataclass
class Got:
    body: dict
    key: str


class Receiver(ThreadingHTTPServer):
    """A server that does with each request what its script says, the last step for all that follow."""

    daemon_threads = True

    def __init__(self, *script: int | str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.got, self.ended = list(script), [], threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?key=secret"

    def step(self) -> int | str:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def handle_error(self, *_: object) -> None:
        """A client that has gone is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(Got(json.loads(body), self.headers["Idempotency-Key"]))
        step = self.server.step()
        if isinstance(step, str):
            getattr(self, step)()
        else:
            self.send_response(step)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def hang(self) -> None:
        self.server.ended.wait(LONG)

    def drip(self) -> None:
        """Send a header that never ends, a byte at a time: no read ever times out."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.server.ended.wait(0.05):
            self.wfile.write(b"x")

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()
        self.wfile = self.rfile

    def flood(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.ended.is_set():
            self.wfile.write(b"x" * 1_000_000)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def receiver() -> Iterator:
    started = []

    def start(*script):
        server = Receiver(*script)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.ended.set()
        server.shutdown()
        server.server_close()


ALERT = Alert(
    id="ping/x/failing/1-0", event=Event.FAILING, job="ping", key="x", outcome=Outcome.FAILED, text="ping: failed"
)


def hook(url, **more):
    return HttpAlertHook(**({"url": url, "seconds": 0.5, "attempts": 3, "first_wait": 0.01} | more))


def test_an_alert_is_one_json_post(receiver):
    server = receiver(204)
    delivery = hook(server.url).send(ALERT)
    assert (delivery.attempts, delivery.error) == (1, None)
    (got,) = server.got
    assert got.key == got.body["id"] == ALERT.id
    assert got.body == json.loads(msgspec.json.encode(ALERT))
    assert {"event", "job", "outcome", "slot", "text", "failures", "error"} <= got.body.keys()


@pytest.mark.parametrize("trouble", [500, 503, 429, RESET, HANG, DRIP])
def test_a_hook_in_trouble_is_asked_again_with_the_same_alert(receiver, trouble):
    server = receiver(trouble, trouble, 200)
    delivery = hook(server.url).send(ALERT)
    assert (delivery.attempts, delivery.error) == (3, None)
    assert [each.key for each in server.got] == [ALERT.id] * 3


@pytest.mark.parametrize(
    ("trouble", "error"), [(500, "HTTP 500"), (HANG, "no answer within 0.5 s"), (DRIP, "no answer within 0.5 s")]
)
def test_a_hook_that_stays_in_trouble_is_given_up(receiver, trouble, error):
    server = receiver(trouble)
    delivery = hook(server.url).send(ALERT)
    assert (delivery.attempts, delivery.error, len(server.got)) == (3, error, 3)


@pytest.mark.parametrize("refusal", [400, 401, 404, 410, 302])
def test_a_hook_that_refuses_is_not_asked_again(receiver, refusal):
    server = receiver(refusal)
    delivery = hook(server.url).send(ALERT)
    assert (delivery.attempts, delivery.error, len(server.got)) == (1, f"HTTP {refusal}", 1)


def test_an_answer_without_end_is_not_read(receiver):
    assert hook(receiver(FLOOD).url).send(ALERT).error is None


def test_a_hook_that_is_not_there_is_an_error_and_no_exception(free_port):
    delivery = hook(f"http://127.0.0.1:{free_port}/").send(ALERT)
    assert (delivery.attempts, delivery.error) == (3, "ConnectError")


def test_what_is_said_of_a_failed_alert_holds_no_part_of_the_address(receiver):
    assert "secret" not in hook(receiver(500).url).send(ALERT).error


@dataclass
class Worker:
    """The upkeep of a warehouse worker, and runs that end."""

    url: str
    file: Path
    client: "redis.Redis[str]"
    number: int = 0
    running: list[Upkeep] = field(default_factory=list)

    def start(self, **hook_options: object) -> None:
        services = LedgerServices(
            client=self.client, file=self.file, clock=RealClock(), hook=hook(self.url, **hook_options)
        )
        self.running.append(Upkeep(services))
        self.running[-1].start()

    def stop(self) -> None:
        for each in self.running:
            each.stop()
        self.running.clear()

    def end(self, *outcomes: str) -> None:
        for outcome in outcomes:
            self.number += 1
            run = Run(
                job="ping", key=str(self.number), source=Source.MANUAL, outcome=Outcome.UNKNOWN, run_id=str(self.number)
            )
            fields = {
                "run": msgspec.json.encode(run),
                "outcome": outcome,
                "error": "",
                "at_us": str(time.time_ns() // 1000),
            }
            self.client.xadd("escapement:ledger", fields)

    def rows(self, sql: str) -> list[tuple]:
        if not self.file.exists():
            return []
        return LedgerServices(client=self.client, file=self.file).warehouse.query(sql)[1]


@pytest.fixture
def worker(redis_url, tmp_path):
    made = []

    def make(url):
        client = redis.Redis.from_url(redis_url, decode_responses=True)
        made.append(Worker(url, tmp_path / "warehouse.duckdb", client))
        return made[-1]

    yield make
    for each in made:
        each.stop()
        each.client.close()


def states(worker):
    return [state for (state,) in worker.rows("select state from alerts order by queued_at, id")]


def test_the_upkeep_sends_each_event_once_over_restarts(receiver, worker):
    server = receiver(200)
    one = worker(server.url)
    one.start()
    one.end("failed", "failed")
    assert eventually(lambda: states(one) == ["sent"])
    one.stop()
    one.start()
    one.end("failed", "ok", "missed")
    assert eventually(lambda: states(one) == ["sent"] * 3)
    assert [each.body["event"] for each in server.got] == ["failing", "recovered", "missed"]


def test_a_hook_that_hangs_does_not_hold_up_the_drain(receiver, worker):
    server = receiver(HANG)
    one = worker(server.url)
    one.start(seconds=LONG)
    one.end("failed")
    assert eventually(lambda: server.got)
    one.end(*["ok"] * 20)
    assert eventually(lambda: one.rows("select count(*) from runs") == [(21,)], seconds=10)
    assert len(server.got) == 1


def test_an_alert_that_was_on_its_way_when_the_worker_ended_is_not_sent_again(receiver, worker):
    server = receiver(HANG, 200)
    one = worker(server.url)
    one.start(seconds=LONG)
    one.end("failed")
    assert eventually(lambda: server.got)
    one.stop()
    one.start()
    one.end("ok")
    assert eventually(lambda: states(one) == ["unknown", "sent"])
    assert [each.body["event"] for each in server.got] == ["failing", "recovered"]


def test_a_hook_that_refuses_everything_is_noted_and_the_next_alert_is_tried(receiver, worker):
    server = receiver(404)
    one = worker(server.url)
    one.start()
    one.end("failed", "ok")
    assert eventually(lambda: states(one) == ["failed", "failed"])
    assert len(server.got) == 2
