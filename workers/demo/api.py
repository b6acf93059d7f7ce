"""The demo's API: a small real HTTP server that remembers every call it received."""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from threading import Lock
from typing import Any, ClassVar

from workers.settings import load_settings

ENDPOINTS = frozenset(
    {
        ("GET", "/api/health"),
        ("POST", "/api/sync/trigger"),
        ("POST", "/api/scripts/run-due"),
        ("POST", "/api/marketplaces/sync-all"),
        ("POST", "/api/admin/run-session-collector"),
        ("POST", "/api/admin/run-corporate-memory"),
    }
)
BY_HAND = "manual-"
REMEMBERED = 10_000
SHOWN = 50
PAGE = Template(Path(__file__).with_name("calls.html").read_text(encoding="utf-8"))
ROW = Template("<tr><td>$job</td><td>$slot</td><td>$late</td><td>$again</td></tr>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call: `received_at` in seconds since the epoch, `lateness_s` after its slot; a run by hand has no slot."""

    job: str
    slot: str
    received_at: float
    lateness_s: float | None
    duplicate: bool


class Calls:
    """The last calls, and for each whether its key had been seen before."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=REMEMBERED)
        self._lock = Lock()

    def receive(self, key: str, received_at: float) -> Call:
        """Remember a call by its `Idempotency-Key`, `job/slot` or `job/manual-…`; raises ValueError when it is none."""
        job, _, slot = key.rpartition("/")
        lateness = None if slot.startswith(BY_HAND) else received_at - datetime.fromisoformat(slot).timestamp()
        with self._lock:
            again = any((call.job, call.slot) == (job, slot) for call in self._calls)
            call = Call(job=job, slot=slot, received_at=received_at, lateness_s=lateness, duplicate=again)
            self._calls.append(call)
        return call

    def all(self) -> list[Call]:
        """Return what is remembered, oldest first."""
        with self._lock:
            return list(self._calls)


class Handler(BaseHTTPRequestHandler):
    """Answers the endpoints of the job table to whoever has the token, and shows the calls to everybody."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    calls: ClassVar[Calls] = Calls()
    token: ClassVar[str | None] = None

    def do_GET(self) -> None:
        received_at = time.time()
        match self.path:
            case "/":
                self._answer(HTTPStatus.OK, page(self.calls.all()), "text/html; charset=utf-8")
            case "/calls":
                self._answer_json(HTTPStatus.OK, [asdict(call) for call in self.calls.all()])
            case _:
                self._endpoint("GET", received_at)

    def do_POST(self) -> None:
        received_at = time.time()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._endpoint("POST", received_at)

    def log_message(self, *_: object) -> None:
        """Say nothing: each call is on the page, and in the line of the worker that made it."""

    def _endpoint(self, method: str, received_at: float) -> None:
        if (method, self.path) not in ENDPOINTS:
            self._answer_json(HTTPStatus.NOT_FOUND, {"error": "no such endpoint"})
        elif self.token is not None and self.headers.get("Authorization") != f"Bearer {self.token}":
            self._answer_json(HTTPStatus.UNAUTHORIZED, {"error": "the bearer token is missing or wrong"})
        else:
            self._receive(received_at)

    def _receive(self, received_at: float) -> None:
        try:
            call = self.calls.receive(self.headers.get("Idempotency-Key", ""), received_at)
        except ValueError:
            self._answer_json(HTTPStatus.BAD_REQUEST, {"error": "Idempotency-Key must be job/slot"})
            return
        self._answer_json(HTTPStatus.OK, {"job": call.job, "duplicate": call.duplicate})

    def _answer_json(self, status: HTTPStatus, value: object) -> None:
        self._answer(status, json.dumps(value), "application/json")

    def _answer(self, status: HTTPStatus, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves each connection in a thread; a client that hangs up is no error."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def page(calls: list[Call]) -> str:
    """Return the HTML page of these calls, the last one first."""
    duplicates = sum(call.duplicate for call in calls)
    rows = "\n".join(ROW.substitute(_cells(call)) for call in reversed(calls[-SHOWN:]))
    return PAGE.substitute(count=len(calls), duplicates=duplicates, rows=rows)


def _cells(call: Call) -> Mapping[str, str]:
    late = "by hand" if call.lateness_s is None else f"{call.lateness_s * 1000:.0f} ms"
    return {
        "job": escape(call.job),
        "slot": escape(call.slot),
        "late": late,
        "again": "again" if call.duplicate else "",
    }


def main() -> None:
    """Serve until a signal ends the process; the token comes from the settings."""
    parser = argparse.ArgumentParser(prog="python -m workers.demo.api", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    Handler.token = load_settings().token
    Server(("127.0.0.1", parser.parse_args().port), Handler).serve_forever()


if __name__ == "__main__":
    main()
