"""Jobs that expect a body, against a real server that answers without one."""

from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from tasks.adapters.web import HttpxWeb
from tasks.domain.claims import LedgerEntry
from tasks.domain.jobs import HttpCall, Method
from tasks.domain.outcomes import Launch, Outcome, Result, Run, Source
from tasks.domain.streaks import Event as AlertEvent
from tasks.domain.streaks import advance_all


class NeverStop:
    def check(self) -> None:
        """Nothing has to stop."""

    def calling(self, callback: object) -> nullcontext[None]:
        return nullcontext()


class Api(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ended = Event()


class Handler(BaseHTTPRequestHandler):
    bodies = {"/nothing": b"", "/blank": b" \r\n\t", "/late": b" " * 100_000 + b"{}", "/null": b"null"}  # noqa: RUF012

    def do_GET(self) -> None:
        if self.path == "/none":
            self.send_response(204)
            self.end_headers()
            return
        body = self.bodies.get(self.path, b"")
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body) + 100 * (self.path in {"/torn", "/stuck"})))
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/stuck":
            self.server.ended.wait(20)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with Api() as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.ended.set()
        server.shutdown()


@pytest.fixture
def call(api: Api):
    web = HttpxWeb(api_url=f"http://127.0.0.1:{api.server_port}")
    launch = Launch(job="ping", key="manual-1", slot=None, source=Source.MANUAL, run_id="1")

    def send(path: str, *, expect_body: bool = True) -> Result:
        asked = HttpCall(method=Method.GET, url=path, timeout=1, expect_body=expect_body)
        return web.call(asked, launch, NeverStop())

    return send


@pytest.mark.parametrize("path", ["/nothing", "/none", "/blank"])
def test_an_answer_without_a_body_is_ok_and_empty(call, path):
    result = call(path)
    assert result.outcome is Outcome.OK
    assert result.detail["empty"] == 1


@pytest.mark.parametrize("path", ["/late", "/null", "/torn", "/stuck"])
def test_an_answer_that_has_a_body_or_breaks_off_is_not_called_empty(call, path):
    result = call(path)
    assert result.outcome is Outcome.OK
    assert "empty" not in result.detail


def test_a_job_that_expects_no_body_may_answer_nothing(call):
    assert "empty" not in call("/nothing", expect_body=False).detail


def test_a_failed_answer_is_failed_and_not_empty(call):
    result = call("/broken")
    assert result.outcome is Outcome.FAILED
    assert "empty" not in result.detail


def test_three_empty_answers_in_a_row_make_the_job_stale(call):
    results = [call("/nothing") for _ in range(3)]
    entries = [
        LedgerEntry(
            stream_id=f"{number}-0",
            run=Run(
                job="ping",
                key=str(number),
                source=Source.BEAT,
                run_id="",
                outcome=each.outcome,
                detail=dict(each.detail),
            ),
        )
        for number, each in enumerate(results)
    ]
    streaks, alerts = advance_all({}, entries)
    assert streaks["ping"].is_stale
    assert [alert.event for alert in alerts] == [AlertEvent.STALE]
