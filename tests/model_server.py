"""A language model for tests: an HTTP server in a process of its own that answers by rule and misbehaves on demand.

It finds `<kind> in <domain>: <content>` in new turns of users, and takes two contents for contradictory when they begin
with the same two words. `PUT /script` sets the modes of the next requests (the last one stays), `GET /requests` tells
what was asked.
"""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import ClassVar

import httpx

ROOT = __file__.rsplit("/", 2)[0]
SAID = re.compile(r'<turn role="user" new="yes">\n(.*?)\n</turn>', re.DOTALL)
CLAIM = re.compile(r"(correction|confirmation|unprompted_definition) in ([\w-]+): (.+)")
ITEM = re.compile(r'<(new|known) number="(\d+)">\[([\w-]+)\] .*?: (.*?)</\1>')


def verifications(data):
    found = [claim for turn in SAID.findall(data) for claim in CLAIM.findall(turn)]
    return {
        "verifications": [
            {
                "kind": kind,
                "title": content[:60],
                "content": content,
                "quote": f"{kind} in {domain}: {content}",
                "domain": domain,
                "entities": [],
            }
            for kind, domain, content in found
        ]
    }


def contradictions(data):
    items = [(kind, int(number), domain, content.split()[:2]) for kind, number, domain, content in ITEM.findall(data)]
    return {
        "contradictions": [
            {"new": new[1], "known": known[1], "reason": "they can not both hold"}
            for new in items
            for known in items
            if (new[0], known[0]) == ("new", "known") and new[2:] == known[2:]
        ]
    }


def reply(anthropic, name, answer, finish=None):
    if anthropic:
        blocks = [{"type": "text", "text": "Well."}, {"type": "tool_use", "id": "t", "name": name, "input": answer}]
        usage = {"input_tokens": 10, "output_tokens": 2}
        return {"role": "assistant", "content": blocks, "stop_reason": finish or "tool_use", "usage": usage}
    message = {"role": "assistant", "content": answer if isinstance(answer, str) else json.dumps(answer)}
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    return {"choices": [{"message": message, "finish_reason": finish or "stop"}], "usage": usage}


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: ClassVar = ["answer"]
    requests: ClassVar = []
    turn = Lock()

    def log_message(self, *_):
        pass

    def do_PUT(self):
        Model.script = json.loads(self._body())
        Model.requests = []
        self._send(200, b"{}")

    def do_GET(self):
        self._send(200, json.dumps(Model.requests).encode())

    def do_POST(self):
        body = json.loads(self._body())
        with Model.turn:
            mode = Model.script[0] if len(Model.script) == 1 else Model.script.pop(0)
            Model.requests.append({"headers": {k.lower(): v for k, v in self.headers.items()}, "body": body})
        mode, _, value = mode.partition(":")
        getattr(self, f"_{mode}")(body, value)

    def _asked(self, body):
        anthropic = self.path.endswith("/messages")
        data = body["messages"][-1]["content"]
        name = body["tools"][0]["name"] if anthropic else body["response_format"]["json_schema"]["name"]
        return anthropic, name, {"verifications": verifications, "contradictions": contradictions}[name](data)

    def _answer(self, body, _=""):
        self._send(200, json.dumps(reply(*self._asked(body))).encode())

    def _say(self, body, text):
        """Answer any JSON text, as what the model says."""
        anthropic, name, _ = self._asked(body)
        self._send(200, json.dumps(reply(anthropic, name, json.loads(text) if anthropic else text)).encode())

    def _uncompared(self, body, _):
        """Answer the first kind of question, fail on the second."""
        if self._asked(body)[1] == "contradictions":
            self._status(body, "500")
        else:
            self._answer(body)

    def _finish(self, body, reason):
        self._send(200, json.dumps(reply(*self._asked(body), finish=reason)).encode())

    def _refuse(self, body, _):
        message = {"role": "assistant", "content": None, "refusal": "I would rather not."}
        self._send(200, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())

    def _raw(self, _, text):
        self._send(200, text.encode())

    def _status(self, _, value):
        status, _, wait = value.partition("/")
        echo = " ".join(f"{name}={text}" for name, text in self.headers.items())
        self._send(int(status), f"sorry: {echo}".encode(), **({"Retry-After": wait} if wait else {}))

    def _hang(self, _, seconds):
        time.sleep(float(seconds))

    def _drip(self, _, seconds):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.05)

    def _reset(self, _, __):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())

    def _huge(self, _, size):
        self.send_response(200)
        self.send_header("Content-Length", size)
        self.end_headers()
        for _ in range(int(size) // 65536):
            self.wfile.write(b" " * 65536)

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True


class ModelServer:
    """The server as a test sees it."""

    def __init__(self, port):
        self.root = f"http://127.0.0.1:{port}"
        self.urls = {"openai": f"{self.root}/v1/chat/completions", "anthropic": f"{self.root}/v1/messages"}

    def behave(self, *modes):
        """Set how the next requests are answered; the last mode stays. Forgets earlier requests."""
        httpx.put(f"{self.root}/script", json=list(modes or ["answer"])).raise_for_status()

    def requests(self):
        return httpx.get(f"{self.root}/requests").json()


@contextmanager
def model_server(port: int) -> Iterator[ModelServer]:
    """Run the server in its own process."""
    process = subprocess.Popen([sys.executable, "-m", "tests.model_server", str(port)], cwd=ROOT)
    try:
        while True:
            assert process.poll() is None
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield ModelServer(port)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
