"""A job of the jobs file, from beat over Redis to a real server, with a secret that stays out of everything else."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.conftest import eventually

SECRET = "sesame-5f1c/open"
TOKEN = "tok-77+Of/api"
REDACTED = "wrong: [MY_KEY] Bearer [token]"
FILE = """
[[jobs]]
name = "mine"
schedule = "every 1s"
path = "/mine"
body = { from = "the file" }
headers = { "X-Api-Key" = { env = "MY_KEY" } }
"""


class Echo(BaseHTTPRequestHandler):
    """Refuses every call, and repeats the secret header and the token in its refusal."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.received.append((self.path, self.headers["X-Api-Key"], self.headers["Authorization"], body))
        self.send_response(403)
        self.end_headers()
        self.wfile.write(f"wrong: {self.headers['X-Api-Key']} {self.headers['Authorization']}".encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        server.received = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def everything_in(client):
    """All that Redis holds, as text."""
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
    }
    return " ".join(f"{key} {readers[client.type(key)](key)}" for key in client.scan_iter())


@pytest.fixture
def env(clean_env, redis_url, api, tmp_path):
    (tmp_path / "jobs.toml").write_text(FILE)
    return clean_env | {
        "REDIS_URL": redis_url,
        "API_URL": f"http://127.0.0.1:{api.server_address[1]}",
        "SCHEDULER_API_TOKEN": TOKEN,
        "SCHEDULER_JOBS_FILE": str(tmp_path / "jobs.toml"),
        "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
        "SCHEDULER_TICK_SECONDS": "1",
        "MY_KEY": SECRET,
    }


def test_its_call_arrives_and_its_secret_is_nowhere_else(start_process, env, redis_client, api, tmp_path):
    start_process("beat", "celery", "-A", "workers", "beat", "-l", "debug", env=env)
    start_process("http", "celery", "-A", "workers", "worker", "-Q", "http", "-P", "threads", "-l", "debug", env=env)
    logs = [tmp_path / "beat.log", tmp_path / "http.log"]
    assert eventually(lambda: REDACTED in logs[1].read_text() and REDACTED in everything_in(redis_client), 40)
    assert api.received[0] == ("/mine", SECRET, f"Bearer {TOKEN}", b'{"from": "the file"}')
    seen = " ".join([*(log.read_text() for log in logs), everything_in(redis_client)])
    assert SECRET not in seen
    assert TOKEN not in seen
