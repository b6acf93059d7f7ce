"""What tests of more than one folder share: a real Redis, free ports, and processes that are ended by their id."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import psutil
import pytest
import redis

from tasks.errors import RedisUnavailableError
from workers.embedded import client_url, embedded_redis

ROOT = Path(__file__).parent.parent
MARK = "ESCAPEMENT_TEST_MARK"
T = TypeVar("T")
StartProcess = Callable[..., subprocess.Popen[str]]


def missing(what: str) -> None:
    """Skip the test when a local service is missing; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {what}", pytrace=False)
    pytest.skip(what)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def redis_server(redis_folder: Path) -> Iterator[tuple[str, str]]:
    """Two addresses of one real redis-server for the whole test session: TCP and unix socket."""
    port = unused_port()
    try:
        with embedded_redis(redis_folder, "--port", str(port), "--bind", "127.0.0.1") as url:
            yield f"redis://127.0.0.1:{port}/0", url
    except RedisUnavailableError as error:
        missing(str(error))


@pytest.fixture
def redis_url(redis_server: tuple[str, str]) -> str:
    """An empty Redis, as an address that redis-py, Celery and REDIS_URL all take."""
    with redis.Redis.from_url(redis_server[0]) as client:
        client.flushall()
        client.script_flush()
    return redis_server[0]


@pytest.fixture
def redis_socket_url(redis_url: str, redis_server: tuple[str, str]) -> str:
    """The same empty Redis by its unix socket, as `redis+socket://…`."""
    return redis_server[1]


@pytest.fixture
def redis_client(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    """A redis-py client of the empty Redis."""
    with redis.Redis.from_url(client_url(redis_url)) as client:
        yield client


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    return unused_port()


@pytest.fixture
def mark() -> str:
    """A text that stands in the environment of every process that this test starts, and of all their children."""
    return str(uuid4())


def environment(folder: Path, mark: str) -> dict[str, str]:
    """An environment with our mark and a DATA_DIR, without any other variable of ours and without the user's `.env`."""
    ours = ("SCHEDULER_", "FLOWER_", "DEMO_", "HTTP_", "SESSION", "VERIFICATION_", "USAGE_", "REDIS_URL", "API_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": binaries, "DATA_DIR": str(folder / mark), "ESCAPEMENT_ENV_FILE": "", MARK: mark}


@pytest.fixture
def clean_env(tmp_path: Path, mark: str) -> dict[str, str]:
    """The environment of a test's own processes."""
    return environment(tmp_path, mark)


def marked_processes(mark: str) -> list[psutil.Process]:
    """The processes that carry the mark and are no zombies.

    A redis-server writes its title over its environment; it is known by the folder it works in.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark or mark in process.cwd():
                found.append(process)
    return found


@pytest.fixture
def start_process(tmp_path: Path, mark: str) -> Iterator[StartProcess]:
    """Start processes, each in its own session with its output in `<tmp_path>/<name>.log`; all end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *command: str, env: dict[str, str], cwd: Path = ROOT) -> subprocess.Popen[str]:
        with (tmp_path / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                command, env=env, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        end_process(process)
    kill_marked(mark)


def kill_marked(mark: str) -> None:
    for left in marked_processes(mark):
        with suppress(psutil.NoSuchProcess):
            left.kill()


def end_process(process: subprocess.Popen[str], seconds: float = 12) -> int:
    """End one of our processes politely, then with force."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        process.kill()
    return process.wait(timeout=5)


def eventually(look: Callable[[], T], seconds: float = 20) -> T:
    """Look again and again until it is true; the last look's answer, whatever it is, after `seconds`."""
    give_up = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < give_up:
        time.sleep(0.1)
    return seen
