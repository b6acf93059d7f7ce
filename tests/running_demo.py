"""The demo as a user starts it, for the tests of several folders."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.conftest import ROOT, end_process, environment, eventually, kill_marked, unused_port

START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A running demo and where to look at it."""

    process: subprocess.Popen[str]
    env: dict[str, str]
    mark: str
    log: Path

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.env['FLOWER_PORT']}/"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.env['DEMO_API_PORT']}/"

    def printed(self) -> str:
        return self.log.read_text()

    def calls(self) -> list[dict[str, Any]]:
        """What the demo's API received."""
        return json.loads(fetch(self.api + "calls"))

    def online(self) -> set[str]:
        """The nodes that Flower shows as online, without their host."""
        nodes = json.loads(fetch(self.page + "workers?json=1"))["data"]
        return {node["hostname"].partition("@")[0] for node in nodes if node["status"]}

    def query(self, sql: str) -> str:
        """What a user's second shell prints."""
        command = ["celery", "-A", "workers", "query", sql]
        done = subprocess.run(command, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout


def fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """Start the demo and wait until it says that all is up; end it and whatever it left."""
    mark = str(uuid4())
    ports = {"FLOWER_PORT": str(unused_port()), "DEMO_API_PORT": str(unused_port())}
    env = environment(folder, mark) | ports
    log = folder / "demo.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "workers.demo"]
        process = subprocess.Popen(
            command, env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
    demo = Demo(process=process, env=env, mark=mark, log=log)
    try:
        assert eventually(lambda: "==> Open" in demo.printed(), START_SECONDS), demo.printed()
        yield demo
    finally:
        end_process(process)
        kill_marked(mark)
