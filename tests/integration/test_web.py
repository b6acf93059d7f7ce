"""HTTP jobs against a real server on a real socket: what is sent, and the truth about what came back."""

import json
import socket
import struct
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.adapters.web import HttpxWeb
from tasks.domain.jobs import Body, HttpCall, Method
from tasks.domain.outcomes import Launch, Outcome, Source
from tasks.domain.slots import slot_text

SLOT = datetime(2026, 11, 20, 21, 45, tzinfo=UTC)
LAUNCH = Launch(job="ping", key=slot_text(SLOT), slot=SLOT, source=Source.BEAT, run_id="r")
TOKEN = "tok-3n+Of/the=API"
SECRETS = {"MY_KEY": "key-0f=a/stranger"}


class NeverStops:
    """A run that nobody stops."""

    def check(self):
        pass

    @contextmanager
    def calling(self, callback):
        yield


class Handler(BaseHTTPRequestHandler):
    """Answers with what the test put into `server.answer`, and keeps what it received."""

    protocol_version = "HTTP/1.1"

    def _any(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.received.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        status, headers, chunks = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)
        self.close_connection = True

    def log_message(self, *_):
        pass


for each in Method:
    setattr(Handler, f"do_{each}", Handler._any)


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that hangs up in the middle is what the test wants."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.received, server.answer = [], (200, {}, [])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def raw_server():
    """Hand each connection of a plain TCP server to a function."""
    listeners, threads = [], []

    def start(serve):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                serve(connection)

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()
    for thread in threads:
        thread.join(5)


def web_of(url, token=TOKEN):
    return HttpxWeb(api_url=url, token=token, secrets=SECRETS, connections=4)


def send(address, *, token=TOKEN, **parts):
    """Send one call through an adapter of its own."""
    call = HttpCall(**({"method": Method.POST, "url": "/run", "timeout": 5.0} | parts))
    return web_of(address, token).call(call, LAUNCH, NeverStops())


@pytest.fixture
def address(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def failed(server, address, *chunks, status=500, **parts):
    server.answer = (status, {}, list(chunks))
    result = send(address, **parts)
    assert result.outcome is Outcome.FAILED
    assert result.detail == {"status": status}
    return result.error


def test_a_call_carries_the_token_and_the_identity_of_its_slot(server, address):
    assert send(address).outcome is Outcome.OK
    ((method, path, headers, body),) = server.received
    assert (method, path, body) == ("POST", "/run", b"")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Idempotency-Key"] == "ping/2026-11-20T21:45:00Z"


@pytest.mark.parametrize("method", list(Method))
def test_every_method_is_sent(server, address, method):
    assert send(address, method=method).detail == {"status": 200}
    assert server.received[0][0] == method


def test_without_a_token_no_authorization_is_sent(server, address):
    send(address, token=None)
    assert "Authorization" not in server.received[0][2]


def test_an_address_of_somebody_else_does_not_get_the_token(server, address):
    assert send("http://127.0.0.1:1", url=f"{address}/theirs").outcome is Outcome.OK
    assert server.received[0][1] == "/theirs"
    assert "Authorization" not in server.received[0][2]


def test_a_path_that_holds_an_address_is_still_a_path(server, address):
    assert send(address, url="/go?to=http://127.0.0.1:1/").outcome is Outcome.OK
    assert server.received[0][1] == "/go?to=http://127.0.0.1:1/"
    assert server.received[0][2]["Authorization"] == f"Bearer {TOKEN}"


def test_a_body_goes_out_with_its_type(server, address):
    send(address, body=Body(content=json.dumps({"a": "ž"}, ensure_ascii=False), content_type="application/json"))
    _, _, headers, body = server.received[0]
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"a": "ž"}


def test_headers_get_their_values_from_the_secrets_and_win(server, address):
    body = Body(content="<a/>", content_type="text/plain")
    send(address, body=body, headers={"X-Key": "MY_KEY", "authorization": "MY_KEY", "content-type": "MY_KEY"})
    headers = {name.lower(): value for name, value in server.received[0][2].items()}
    assert headers["x-key"] == headers["authorization"] == headers["content-type"] == SECRETS["MY_KEY"]


def test_a_header_whose_value_this_process_does_not_have_is_not_sent(server, address):
    result = send(address, headers={"X-Key": "NOT_HERE"})
    assert (result.outcome, result.error) == (Outcome.FAILED, "not sent: NOT_HERE is not set in this process")
    assert server.received == []


def test_a_redirect_is_an_answer_and_is_not_followed(server, address):
    server.answer = (302, {"Location": f"{address}/elsewhere"}, [])
    result = send(address)
    assert (result.outcome, result.detail) == (Outcome.OK, {"status": 302})
    assert len(server.received) == 1


def test_an_empty_body_is_named_by_its_status(server, address):
    assert failed(server, address, status=404) == "HTTP 404"


def test_a_body_is_cut_at_200_bytes_and_never_inside_a_character(server, address):
    error = failed(server, address, "é".encode() * 99 + "€".encode() * 50)
    assert error == "é" * 99
    assert len(error.encode()) == 198


def test_a_chunk_that_ends_inside_a_character_spoils_nothing(server, address):
    whole = b"x" + "€".encode() * 60
    assert failed(server, address, whole[:100], whole[100:]) == "x" + "€" * 60


def test_a_body_that_is_no_text_is_still_an_error_text(server, address):
    assert failed(server, address, b"\xff\xfe\x00bad") == "\ufffd\ufffd\x00bad"


@pytest.mark.parametrize("secret", [TOKEN, *SECRETS.values()])
@pytest.mark.parametrize("before", [0, 150, 183, 190, 199, 200, 201, 215])
def test_an_echoed_secret_is_redacted_wherever_the_cut_falls(server, address, secret, before):
    error = failed(server, address, b"." * before + secret.encode() * 40)
    assert "tok-" not in error
    assert "key-" not in error
    assert error.startswith("." * min(before, 200))


def test_a_secret_that_arrives_in_two_parts_is_redacted(server, address):
    assert failed(server, address, b"no: ", TOKEN[:7].encode(), TOKEN[7:].encode(), b"!") == "no: [token]!"


def test_a_server_that_hangs_in_the_middle_of_a_secret_gives_nothing_away(raw_server):
    done = threading.Event()

    def serve(connection):
        connection.recv(65536)
        head = b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head + b"denied: " + TOKEN[:9].encode())
        done.wait(10)

    result = send(raw_server(serve), timeout=0.5)
    done.set()
    assert (result.outcome, result.error, result.detail) == (Outcome.FAILED, "denied: ", {"status": 500})


def test_a_huge_body_is_not_read_to_its_end(server, address):
    sent = []

    def endless():
        for _ in range(1_000):
            sent.append(1)
            yield b"z" * 65_536

    server.answer = (500, {}, endless())
    assert send(address).error == "z" * 200
    assert len(sent) < 1_000


def test_a_refused_connection_was_surely_not_sent(free_port):
    result = send(f"http://127.0.0.1:{free_port}")
    assert result.outcome is Outcome.FAILED
    assert result.error.startswith("not sent: ConnectError")
    assert result.repeatable


def test_a_name_that_does_not_resolve_was_surely_not_sent():
    result = send("http://nowhere.invalid")
    assert result.outcome is Outcome.FAILED
    assert result.error.startswith("not sent: ConnectError")


def test_no_answer_in_time_is_unknown(raw_server):
    done = threading.Event()
    result = send(raw_server(lambda _: done.wait(10)), timeout=0.3)
    done.set()
    assert (result.outcome, result.error) == (Outcome.UNKNOWN, "no answer within 0.3 s; it may have run")
    assert not result.repeatable


def test_an_answer_that_drips_does_not_outlive_the_timeout(raw_server):
    done = threading.Event()

    def serve(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not done.wait(0.05):
            connection.sendall(b"X-Drip: 1\r\n")

    result = send(raw_server(serve), timeout=0.5)
    done.set()
    assert result.outcome is Outcome.UNKNOWN


def test_a_reset_after_the_request_is_unknown(raw_server):
    def serve(connection):
        connection.recv(65536)
        reset(connection)

    result = send(raw_server(serve))
    assert result.outcome is Outcome.UNKNOWN
    assert result.error.startswith("no answer, it may have run: ")


def test_a_reset_before_the_request_was_read_is_unknown(raw_server):
    big = Body(content="x" * 5_000_000, content_type="text/plain")
    assert send(raw_server(reset_unread), body=big).outcome is Outcome.UNKNOWN


def test_a_reset_before_anything_could_be_sent_is_never_ok(raw_server):
    assert send(raw_server(reset)).outcome in {Outcome.FAILED, Outcome.UNKNOWN}


def test_a_lost_call_may_be_repeated_where_it_does_no_harm(raw_server):
    assert send(raw_server(reset_unread), method=Method.PUT).repeatable
    assert send(raw_server(reset_unread), honours_key=True).repeatable
    assert not send(raw_server(reset_unread)).repeatable


def test_an_answer_that_is_no_http_is_unknown(raw_server):
    def serve(connection):
        connection.recv(65536)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    assert send(raw_server(serve)).outcome is Outcome.UNKNOWN


def test_no_secret_is_in_the_representation_of_the_adapter():
    shown = repr(web_of("http://127.0.0.1:1"))
    assert TOKEN not in shown
    assert SECRETS["MY_KEY"] not in shown


def reset_unread(connection):
    connection.recv(1)
    reset(connection)


def reset(connection):
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
