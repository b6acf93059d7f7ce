"""A session file that kills the process which reads it: its neighbours become rows, the run says what happened."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, StartProcess
from tests.integration.test_two_beats import wait_until, warehouse
from workers.demo.sessions import write_sessions

POISON = "poison"  # what deadly_app dies of
WORKER = ("celery", "-A", "tests.integration.deadly_app", "worker", "-l", "info", "-n")


@pytest.fixture
def env(clean_env: dict[str, str], redis_url: str) -> dict[str, str]:
    return clean_env | {"REDIS_URL": redis_url}


def test_a_batch_that_kills_its_worker_is_given_up_and_tried_again_file_by_file(
    env: dict[str, str], start_process: StartProcess
) -> None:
    sessions = Path(env["DATA_DIR"]) / "sessions"
    write_sessions(sessions, files=3, lines=20)
    deadly = sessions / "mallory" / f"{POISON}.jsonl"
    deadly.parent.mkdir(parents=True)
    deadly.write_text("{}\n")
    start_process("warehouse", *WORKER, "warehouse@%h", "-Q", "warehouse", "-P", "threads", "-c", "1", env=env)
    start_process("sessions", *WORKER, "sessions@%h", "-Q", "sessions", "-P", "prefork", "-c", "1", env=env)

    run_usage(env)
    (row,) = wait_until(lambda: warehouse(env, "select outcome, error from runs"))
    assert row[0] == "failed"
    assert "a sessions worker died on this batch" in row[1]
    (waiting,) = warehouse(env, "select count(*) from session_files where attempts = 1 and error is not null")
    assert waiting == (4,)

    run_usage(env)
    wait_until(lambda: warehouse(env, "select 1 from session_files where path like '%poison%' and attempts = 2"))
    wait_until(lambda: warehouse(env, "select 1 from usage_sessions having count(*) = 3"))


def run_usage(env: dict[str, str]) -> None:
    code = "from workers import celery; from tasks import process_sessions; process_sessions.delay('usage')"
    subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, check=True, timeout=60)
