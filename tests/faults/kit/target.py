"""The HTTP target: a server in its own process that misbehaves on request and remembers every call.

`python -m tests.faults.kit.target PORT FOLDER`: a file in `FOLDER/behave` names what happens to the next call; every
request that was read is a line of `FOLDER/calls.jsonl`, written before anything is answered.
"""

import json
import os
import select
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

HANG_SECONDS = 4.0
SLOW_SECONDS = 1.2
MEGABYTES = 4
RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Behaviour(StrEnum):
    OK = "ok"
    REFUSE = "refuse"
    RESET = "reset"
    HANG_UP = "hang-up"
    HANG = "hang"
    SLOW = "slow"
    ERROR = "error"
    ODD_ERROR = "odd-error"
    BIG = "big"
    BIG_ERROR = "big-error"


@dataclass(frozen=True)
class Target:
    """The side of the tests."""

    folder: Path

    def behave(self, *behaviours: Behaviour) -> None:
        """Queue what happens to the next calls, one each."""
        (self.folder / "behave").mkdir(parents=True, exist_ok=True)
        for each in behaviours:
            draft = self.folder / f"draft-{time.time_ns()}"
            draft.write_text(each)
            draft.rename(self.folder / "behave" / f"{time.time_ns()}")

    def calls(self) -> Counter[str]:
        """How often each Idempotency-Key was received."""
        return Counter(line["key"] for line in self._lines())

    def behaviours(self) -> Counter[str]:
        return Counter(line["behaviour"] for line in self._lines())

    def keys_by_behaviour(self) -> dict[str, str]:
        return {line["behaviour"]: line["key"] for line in self._lines()}

    def _lines(self) -> list[dict[str, Any]]:
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: ClassVar[Path]

    def handle_one_request(self) -> None:
        """Decide before anything of the request is read."""
        select.select([self.connection], [], [])
        if not self.connection.recv(1, socket.MSG_PEEK):
            self.close_connection = True
            return
        self.behaviour = _next_behaviour(self.folder)
        if self.behaviour is Behaviour.REFUSE:
            _remember(self.folder, "", self.behaviour)
            self._reset()
        else:
            super().handle_one_request()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _remember(self.folder, self.headers["Idempotency-Key"], self.behaviour)
        match self.behaviour:
            case Behaviour.RESET:
                self._reset()
            case Behaviour.HANG_UP:
                self.close_connection = True
            case Behaviour.HANG:
                time.sleep(HANG_SECONDS)
                self._answer(200, b"late")
            case Behaviour.SLOW:
                time.sleep(SLOW_SECONDS)
                self._answer(200, b"slow")
            case Behaviour.ERROR:
                self._answer(500, b"no")
            case Behaviour.ODD_ERROR:
                self._answer(500, b"\x00\xff\xed\xa0\x80\xf0\x9f' \"\\u0000\r\n" * 20)
            case Behaviour.BIG:
                self._answer(200, b"x" * MEGABYTES * 1024**2)
            case Behaviour.BIG_ERROR:
                self._answer(500, "€".encode() * MEGABYTES * 1024**2)
            case _:
                self._answer(200, b"ok")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        os.close(self.connection.detach())


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass

    def shutdown_request(self, request: Any) -> None:
        if request.fileno() >= 0:
            super().shutdown_request(request)


def _next_behaviour(folder: Path) -> Behaviour:
    for queued in sorted((folder / "behave").iterdir()):
        mine = folder / f"taken-{queued.name}"
        try:
            queued.rename(mine)
        except FileNotFoundError:
            continue
        return Behaviour(mine.read_text())
    return Behaviour.OK


def _remember(folder: Path, key: str, behaviour: Behaviour) -> None:
    line = json.dumps({"key": key, "behaviour": behaviour, "at": time.time()}) + "\n"
    file = os.open(folder / "calls.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[2])
    (Handler.folder / "behave").mkdir(parents=True, exist_ok=True)
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
