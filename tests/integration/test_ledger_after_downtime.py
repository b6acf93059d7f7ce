"""The whole system over a downtime of its beat: every slot is accounted for, and the commands say how."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import ROOT, StartProcess, end_process, eventually

BUILT_IN = (
    "DATA_REFRESH", "HEALTH_CHECK", "SCRIPT_RUN", "SESSION_COLLECTOR", "CORPORATE_MEMORY", "USAGE_PROCESSOR",
    "VERIFICATION_DETECTOR",
)  # fmt: skip
JOBS = """
[[jobs]]
name = "well"
schedule = "every 1s"
path = "/well"
catch_up = "10s"
expect_body = true

[[jobs]]
name = "broken"
schedule = "every 2s"
path = "/broken"
catch_up = "skip"
"""
DOWNTIME_SECONDS = 5


class Broken(BaseHTTPRequestHandler):
    """An API one of whose endpoints always fails."""

    def answer(self) -> None:
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def env(clean_env: dict[str, str], redis_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An API that fails for one of two jobs; slots of both count as expected 25 s after they were due."""
    (tmp_path / "jobs.toml").write_text(JOBS)
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        yield (
            clean_env
            | {f"SCHEDULER_{name}_INTERVAL": "86399" for name in BUILT_IN}
            | {
                "REDIS_URL": redis_url,
                "API_URL": f"http://127.0.0.1:{api.server_port}",
                "SCHEDULER_JOBS_FILE": str(tmp_path / "jobs.toml"),
                "SCHEDULER_TICK_SECONDS": "1",
                "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
                "SCHEDULER_COPRIME": "off",
            }
        )
        api.shutdown()


def ask(env: dict[str, str], *question: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["celery", "-A", "workers", *question],
        env=env,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def ended(env: dict[str, str]) -> list[dict[str, Any]]:
    answer = ask(env, "history", "--json", "--limit", "1000")
    found: list[dict[str, Any]] = json.loads(answer.stdout) if answer.returncode == 0 else []
    return found


def expected_by(env: dict[str, str]) -> int:
    """How many slots an audit expects by now; it fails when one vanished."""
    audited = ask(env, "audit")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert " 0 vanished" in audited.stdout
    return int(re.search(r"(\d+) slots? expected", audited.stdout)[1])


def test_a_downtime_of_the_beat_leaves_no_slot_unaccounted(env: dict[str, str], start_process: StartProcess) -> None:
    beat = ("celery", "-A", "workers", "beat", "-n", "beat@%h")
    worker = ("celery", "-A", "workers", "worker", "-P", "threads", "-c", "4")
    first = start_process("beat", *beat, env=env)
    start_process("http", *worker, "-Q", "http", "-n", "http@%h", env=env)
    start_process("warehouse", *worker, "-Q", "warehouse", "-n", "warehouse@%h", env=env)
    assert eventually(lambda: ended(env), seconds=60)
    end_process(first)
    before_downtime = len(ended(env))
    time.sleep(DOWNTIME_SECONDS)
    start_process("beat", *beat, env=env)
    assert eventually(lambda: len(ended(env)) > before_downtime + DOWNTIME_SECONDS, seconds=60)
    missed = [each for each in ended(env) if each["outcome"] == "missed"]
    assert missed

    told = ask(env, "why", missed[0]["job"], missed[0]["key"]).stdout
    assert "It was missed, and nothing will run it any more: nothing ran while it was due." in told
    assert re.search(r"It failed .*The job has failed \d+ times in a row", why_ended(env, "broken", "failed"))
    assert re.search(r"beat@\S+ dispatched it at .*claimed it at .*It ended ok", why_ended(env, "well", "ok"))
    assert "is stale: its last" in why_ended(env, "well", "ok")
    assert eventually(lambda: expected_by(env) > before_downtime + DOWNTIME_SECONDS, seconds=90)


def why_ended(env: dict[str, str], job: str, outcome: str) -> str:
    """What `why` says of the newest run of a job that ended so."""
    newest = next(each for each in ended(env) if each["job"] == job and each["outcome"] == outcome)
    return ask(env, "why", job, newest["key"]).stdout
