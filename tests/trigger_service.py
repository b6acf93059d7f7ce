"""A service that calls back, for tests: an HTTP server in a process of its own with a real key pair.

It keeps one-shot callbacks (PUT, DELETE and GET below /v1/callbacks, with the key in `Authorization`), calls each at
its slot with a signed token, and misbehaves on demand: `PUT /mode` sets how from now on, `GET /calls` tells what was
called and what came back, `DELETE /v1` drops everything that is armed. Its public key is in `<folder>/trigger.pem`.
"""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import ROOT, eventually

API_KEY = "the-key-of-the-service"
AUDIENCE, ISSUER, PURPOSE = "escapement-tests", "https://trigger.example", "escapement.trigger"
MODES = (
    "normal",
    "twice",
    "late",
    "never",
    "refuse",
    "alg-none",
    "hs256",
    "other-key",
    "other-algorithm",
    "other-audience",
    "other-issuer",
    "other-purpose",
    "other-slot",
    "other-job",
    "expired",
    "not-yet",
    "endless",
)
LATE_SECONDS = 8
KINDS = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@dataclass(kw_only=True)
class Signer:
    """Makes the tokens, right ones and all kinds of wrong ones."""

    algorithm: str = "ES256"

    def __post_init__(self) -> None:
        self.key = KINDS[self.algorithm]()
        self.pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(self, job: str, slot: str, mode: str = "normal") -> str:
        claims = self.claims(job, slot, mode)
        if mode == "alg-none":
            return jwt.encode(claims, None, algorithm="none")
        if mode == "hs256":
            return self._by_public_key(claims)
        if mode == "other-key":
            return jwt.encode(claims, KINDS[self.algorithm](), algorithm=self.algorithm)
        if mode == "other-algorithm":
            other = next(each for each in KINDS if each != self.algorithm)
            return jwt.encode(claims, KINDS[other](), algorithm=other)
        return jwt.encode(claims, self.key, algorithm=self.algorithm)

    def claims(self, job: str, slot: str, mode: str) -> dict[str, object]:
        now = datetime.now(UTC)
        claims = {
            "iss": "https://other.example" if mode == "other-issuer" else ISSUER,
            "aud": "somebody-else" if mode == "other-audience" else AUDIENCE,
            "iat": now + timedelta(seconds=90 if mode == "not-yet" else 0),
            "exp": now + timedelta(seconds=-31 if mode == "expired" else 60),
            "purpose": "something.else" if mode == "other-purpose" else PURPOSE,
            "job": "other" if mode == "other-job" else job,
            "slot": "2026-01-01T00:00:00Z" if mode == "other-slot" else slot,
        }
        if mode == "endless":
            del claims["exp"]
        return claims

    def _by_public_key(self, claims: dict[str, object]) -> str:
        """Sign with the public key as a shared secret, which PyJWT itself refuses to do."""
        plain = {name: int(each.timestamp()) if isinstance(each, datetime) else each for name, each in claims.items()}
        parts = [_b64(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, plain)]
        signature = hmac.digest(self.pem, ".".join(parts).encode(), hashlib.sha256)
        return ".".join([*parts, _b64(signature)])


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(kw_only=True)
class Book:
    """What is armed and what was called."""

    signer: Signer
    mode: str = "normal"
    armed: dict[str, dict[str, str]] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    calls: list[dict[str, object]] = field(default_factory=list)
    provisions: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Call what is due, for ever."""
        while True:
            with self.lock:
                due = [name for name in self.armed if self._at(name) <= time.time()]
                entries = [self.armed[name] | {"id": name} for name in due if self.mode != "never"]
                for name in due:
                    self.armed.pop(name)
            for entry in entries:
                for _ in range(2 if self.mode == "twice" else 1):
                    threading.Thread(target=self._call, args=(entry,), daemon=True).start()
            time.sleep(0.01)

    def _at(self, name: str) -> float:
        late = LATE_SECONDS if self.mode == "late" else 0
        return self.again.get(name, datetime.fromisoformat(self.armed[name]["slot"]).timestamp() + late)

    def _call(self, entry: dict[str, str]) -> None:
        token = self.signer.token(entry["job"], entry["slot"], self.mode)
        call: dict[str, object] = {"job": entry["job"], "slot": entry["slot"], "mode": self.mode}
        try:
            answer = httpx.post(entry["url"], headers={"Authorization": f"Bearer {token}"}, timeout=15)
            call |= {"status": answer.status_code, "retry_after": answer.headers.get("Retry-After")}
        except httpx.HTTPError as error:
            call |= {"status": 0, "error": repr(error)}
        with self.lock:
            self.calls.append(call)
            if call["status"] in {0, 503}:
                self.again[entry["id"]] = time.time() + int(str(call.get("retry_after") or 1))
                self.armed[entry["id"]] = entry


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    book: Book

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        with self.book.lock:
            if self.path == "/calls":
                self._answer(200, {"calls": self.book.calls, "provisions": self.book.provisions})
            elif self._is_let_in():
                self._answer(200, {"callbacks": [{**each, "id": name} for name, each in self.book.armed.items()]})

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.book.lock:
            if self.path == "/mode":
                self.book.mode = body
                self._answer(204)
            elif self._is_let_in():
                name = unquote(self.path.rpartition("/")[2])
                assert name == f"{body['job']}:{body['slot']}"
                self.book.armed[name] = body
                self.book.provisions += 1
                self._answer(201)

    def do_DELETE(self) -> None:
        with self.book.lock:
            if self.path == "/v1":
                self.book.armed.clear()
                self._answer(204)
            elif self._is_let_in():
                found = self.book.armed.pop(unquote(self.path.rpartition("/")[2]), None)
                self._answer(204 if found else 404)

    def _is_let_in(self) -> bool:
        let_in = self.headers["Authorization"] == f"Bearer {API_KEY}"
        if not let_in or self.book.mode == "refuse":
            self._answer(500 if let_in else 401)
            return False
        return True

    def _answer(self, status: int, body: object = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@dataclass(frozen=True, kw_only=True)
class Service:
    """The running service, as a test sees it."""

    url: str
    public_key: Path
    process: subprocess.Popen[bytes]

    def armed(self) -> set[tuple[str, str]]:
        headers = {"Authorization": f"Bearer {API_KEY}"}
        listing = httpx.get(f"{self.url}/v1/callbacks", headers=headers).json()["callbacks"]
        return {(each["job"], each["slot"]) for each in listing}

    def told(self) -> dict[str, object]:
        return httpx.get(f"{self.url}/calls").json()

    def calls(self) -> list[dict[str, object]]:
        return self.told()["calls"]

    def put(self, job: str, slot: str, url: str) -> None:
        """Arm something by hand."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        body = {"job": job, "slot": slot, "url": url}
        httpx.put(f"{self.url}/v1/callbacks/{job}:{slot}", headers=headers, json=body).raise_for_status()

    def behave(self, mode: str) -> None:
        assert mode in MODES
        httpx.put(f"{self.url}/mode", json=mode).raise_for_status()

    def drop_everything(self) -> None:
        httpx.delete(f"{self.url}/v1").raise_for_status()


@contextmanager
def running_service(folder: Path, port: int, algorithm: str = "ES256") -> Iterator[Service]:
    """Run the service in a process of its own."""
    command = [sys.executable, "-m", "tests.trigger_service", str(port), str(folder), algorithm]
    process = subprocess.Popen(command, cwd=ROOT)
    service = Service(url=f"http://127.0.0.1:{port}", public_key=folder / "trigger.pem", process=process)
    try:
        assert eventually(lambda: process.poll() is None and _answers(service))
        yield service
    finally:
        process.kill()
        process.wait()


def _answers(service: Service) -> bool:
    try:
        return bool(service.told())
    except httpx.HTTPError:
        return False


def main(port: str, folder: str, algorithm: str) -> None:
    Handler.book = Book(signer=Signer(algorithm=algorithm))
    (Path(folder) / "trigger.pem").write_bytes(Handler.book.signer.pem)
    threading.Thread(target=Handler.book.run, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
