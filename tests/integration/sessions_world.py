"""Real workers on a real Redis, with processors of another package, and the commands as a user types them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.conftest import ROOT, end_process, environment, eventually, kill_marked
from workers.embedded import embedded_redis

MODULE = '''
import os, time


class LineCounter:
    name = "counter"
    version = 1
    ddl = """
        create table if not exists counter_lines (file bigint, line bigint, username text, kind text);
        create or replace view counter_kinds as
            select username, kind, count(*) as lines from counter_lines group by all;
    """
    tables = ("counter_lines",)
    compared = ("counter_lines", "counter_kinds")

    def extract(self, lines, context):
        numbered = enumerate(lines, context.first_line)
        return {"counter_lines": [(context.file, number, context.username, line.type) for number, line in numbered]}


class Slow(LineCounter):
    """Waits for as long as a file is there."""

    name = "slow"
    ddl = "create table if not exists slow_lines (file bigint);"
    tables = compared = ("slow_lines",)

    def extract(self, lines, context):
        while os.path.exists(os.environ["SLOW_WHILE"]):
            time.sleep(0.02)
        return {"slow_lines": [(context.file,) for line in lines]}


class Broken(LineCounter):
    name = "broken"
    ddl = "create sundial;"
    tables = compared = ("broken_lines",)
'''
POINTS = """[escapement.processors]
counter = foreign_processors:LineCounter
slow = foreign_processors:Slow
broken = foreign_processors:Broken
absent = nowhere_to_be_found:Thing
"""
NODES = {"warehouse": ("threads", "1"), "sessions": ("prefork", "2")}


@dataclass(frozen=True, kw_only=True)
class World:
    """A folder of sessions, what the workers made of it, and a shell."""

    folder: Path
    env: dict[str, str]
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return Path(self.env["SESSION_DATA_DIR"])

    @property
    def slow_while(self) -> Path:
        return Path(self.env["SLOW_WHILE"])

    @property
    def warehouse(self) -> Path:
        return Path(self.env["DATA_DIR"]) / "warehouse.duckdb"

    def write(self, path: str, *lines: bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(lines))
        return target

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        command = ["celery", "-A", "workers", *words]
        process = subprocess.Popen(
            command, env=self.env | env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        return process

    def call(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        command = ["celery", "-A", "workers", *words]
        return subprocess.run(
            command, env=self.env | env, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
        )

    def shell(self, code: str) -> str:
        """What a line prints that a user types in `celery -A workers shell`."""
        command = [sys.executable, "-c", f"from workers import celery; {code}"]
        return subprocess.run(
            command, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    def good(self, *words: str) -> str:
        done = self.call(*words)
        assert done.returncode == 0, (done.stdout, done.stderr, self.logs())
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.good(*words, "--json"))

    def ingest(self, processor: str = "usage") -> Any:
        return self.json("sessions", "ingest", "--processor", processor, "--wait")

    def logs(self) -> str:
        return "\n".join(path.read_text()[-4000:] for path in self.folder.glob("*.log"))

    @contextmanager
    def worker(self, queue: str) -> Iterator[Path]:
        pool, size = NODES[queue]
        words = ("worker", "-Q", queue, "-P", pool, "-c", size, "-n", f"{queue}@%h", "-l", "info")
        log = self.folder / f"{queue}.log"
        with log.open("a") as output:
            process = subprocess.Popen(
                ["celery", "-A", "workers", *words], env=self.env, cwd=ROOT, stdout=output, stderr=output, text=True,
                start_new_session=True,
            )  # fmt: skip
        try:
            yield log
        finally:
            end_process(process)


@contextmanager
def sessions_world(folder: Path) -> Iterator[World]:
    """Start everything and wait until both workers are ready; end it and whatever it left."""
    mark = str(uuid4())
    site = folder / "site"
    info = site / "foreign_processors-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "foreign_processors.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-processors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    with embedded_redis(folder / "redis") as url:
        env = environment(folder, mark) | {
            "REDIS_URL": url,
            "SESSION_DATA_DIR": str(folder / "sessions"),
            "SLOW_WHILE": str(folder / "slow"),
            "PYTHONPATH": str(site),
        }
        world = World(folder=folder, env=env)
        world.root.mkdir()
        try:
            with world.worker("warehouse") as one, world.worker("sessions") as other:
                assert eventually(lambda: all("ready." in log.read_text() for log in (one, other)), 60), world.logs()
                yield world
        finally:
            for process in world.processes:
                with suppress(OSError):
                    end_process(process)
            kill_marked(mark)
