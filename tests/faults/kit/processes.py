"""Start, hurt, and restart the real processes, each ended by its own id and nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.conftest import ROOT
from workers.embedded import redis_executable, wait_until_ready

QUICK = ("--without-gossip", "--without-mingle", "-l", "info")
COMMANDS = {
    "beat": ("beat", "-l", "info"),
    "beat-2": ("beat", "-l", "info"),
    "http": ("worker", "-Q", "http", "-P", "threads", "-c", "4", "-n", "http@%h", *QUICK),
    "http-2": ("worker", "-Q", "http", "-P", "threads", "-c", "4", "-n", "http-2@%h", *QUICK),
    "sessions": ("worker", "-Q", "sessions", "-P", "prefork", "-c", "1", "-n", "sessions@%h", *QUICK),
    "warehouse": ("worker", "-Q", "warehouse", "-P", "threads", "-c", "1", "-n", "warehouse@%h", *QUICK),
}


@dataclass(kw_only=True)
class Process:
    """One process of ours, with its children; it starts again with `ensure`."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=dict(self.env), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        self.starts += 1

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ensure(self) -> bool:
        """Start it again when it is dead; says whether it was."""
        dead = not self.alive
        if dead:
            self.start()
        return dead

    def signal(self, number: signal.Signals) -> None:
        """Send it to the process and to its children."""
        if self._process is None:
            return
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)
        if number is signal.SIGKILL:
            self._process.wait(timeout=10)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def end(self) -> None:
        """End it politely, then with force."""
        if self._process is None or self._process.poll() is not None:
            return
        self.signal(signal.SIGCONT)
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=6)
        self.kill()

    def _family(self) -> list[psutil.Process]:
        if not self.alive:
            return []
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        return []


@dataclass(kw_only=True)
class RedisServer:
    """A real redis-server that writes every command to its append-only file."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "port": self.port, "bind": "127.0.0.1", "dir": self.folder, "appendonly": "yes", "save": "",
            "maxmemory-policy": "noeviction", "loglevel": "warning",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [str(redis_executable()), *words, *self.options]
        log = self.folder.parent / "redis.log"
        self.process = Process(name="redis", command=command, env={}, log=log)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process.start()
        wait_until_ready(self.url, seconds=20)

    def kill(self, *, lose_data: bool = False) -> None:
        self.process.kill()
        if lose_data:
            for file in self.folder.iterdir():
                file.unlink()

    def restart(self, *, lose_data: bool = False, away: float = 0.0) -> None:
        self.kill(lose_data=lose_data)
        time.sleep(away)
        self.start()


def role(name: str, env: Mapping[str, str], folder: Path, app: str = "tests.faults.kit.app") -> Process:
    """One of our processes, not started."""
    celery = str(Path(sys.executable).with_name("celery"))
    return Process(
        name=name,
        command=[celery, "-A", app, *COMMANDS[name]],
        env={**env, "FAULT_ROLE": name},
        log=folder / f"{name}.log",
    )


def target(port: int, folder: Path) -> Process:
    command = [sys.executable, "-m", "tests.faults.kit.target", str(port), str(folder)]
    return Process(name="target", command=command, env=dict(os.environ), log=folder / "target.log")
