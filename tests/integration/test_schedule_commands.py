"""`celery -A workers …` with good and bad jobs: what it prints, how it ends, and that it needs no Redis for it."""

import json
import subprocess

import pytest

from tests.conftest import ROOT, eventually

PNG = b"\x89PNG\r\n\x1a\n"
BAD_FILE = """
[[jobs]]
name = "twice"
schedule = "every 10m"
path = "/"
[[jobs]]
name = "twice"
schedule = "31 feb"
path = "/"
tiemout = 3
"""
NOT_COPRIME = {"SCHEDULER_SESSION_COLLECTOR_INTERVAL": "600"}


@pytest.fixture
def celery(clean_env, free_port):
    """Run a celery command to its end, with a Redis address at which nothing listens."""

    def run(*command, **variables):
        env = clean_env | {"REDIS_URL": f"redis://127.0.0.1:{free_port}/0"} | variables
        line = ["celery", "-A", "workers", *command]
        return subprocess.run(line, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_plan_needs_no_redis(celery):
    done = celery("plan")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no two jobs ever start closer together than 15s" in done.stdout


def test_plan_knows_overrides_and_the_jobs_file(celery, tmp_path):
    file = tmp_path / "jobs.toml"
    file.write_text('[[jobs]]\nname = "mine"\nschedule = "every 7m"\npath = "/"\ngroup = "pipeline"\n')
    done = celery(
        "plan", "--json", SCHEDULER_JOBS_FILE=str(file), SCHEDULER_HEALTH_CHECK_SCHEDULE="at 2030-01-01T00:00"
    )
    jobs = {job["name"]: job for job in json.loads(done.stdout)["jobs"]}
    assert jobs["mine"]["every_s"] == 420
    assert jobs["health-check"]["next_slots"] == ["2030-01-01T00:00:00Z"]


def test_plan_shows_what_require_refuses(celery):
    done = celery("plan", SCHEDULER_COPRIME="require", **NOT_COPRIME)
    assert done.returncode == 0
    assert "! group pipeline: session-collector (every 10m) and" in done.stdout


def test_plan_draws_a_picture(celery, tmp_path):
    assert celery("plan", "--plot", str(tmp_path / "day.png")).returncode == 0
    assert (tmp_path / "day.png").read_bytes().startswith(PNG)


def test_plan_says_what_is_missing_for_a_picture(celery, tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(name='matplotlib')")
    done = celery("plan", "--plot", str(tmp_path / "day.png"), PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: --plot needs matplotlib, which is not installed: pip install 'escapement[plot]'\n"


def test_plan_says_where_it_can_not_write(celery, tmp_path):
    done = celery("plan", "--plot", str(tmp_path / "none" / "day.png"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("none/day.png can't be written: No such file or directory\n")


@pytest.mark.parametrize("command", [("beat",), ("worker", "-Q", "http"), ("plan",), ("flower",)])
def test_every_command_refuses_bad_jobs_with_all_lines_and_code_2(celery, tmp_path, command):
    (tmp_path / "jobs.toml").write_text(BAD_FILE)
    done = celery(
        *command, SCHEDULER_JOBS_FILE=str(tmp_path / "jobs.toml"), SCHEDULER_HEALTH_CHECK_PHASE="300", FLOWER_PORT="0"
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    first, *lines = done.stderr.splitlines()
    assert first == "escapement: 5 setting(s) can't be used (environment):"
    starts = (
        "FLOWER_PORT='0'",
        f"{tmp_path}/jobs.toml: job 'twice': schedule = '31 feb'",
        f"{tmp_path}/jobs.toml: job 'twice': tiemout",
        f"{tmp_path}/jobs.toml: job 'twice': name",
        "SCHEDULER_HEALTH_CHECK_PHASE=300",
    )
    assert all(line.strip().startswith(start) for line, start in zip(lines, starts, strict=True))


def test_beat_refuses_to_start_where_coprime_intervals_are_required(celery):
    done = celery("beat", SCHEDULER_COPRIME="require", **NOT_COPRIME)
    assert done.returncode == 2
    assert "escapement: SCHEDULER_COPRIME=require: 1 pair(s) of jobs share a factor:" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_run_refuses_before_it_starts_anything(clean_env):
    env = clean_env | NOT_COPRIME | {"SCHEDULER_COPRIME": "require"}
    done = subprocess.run(
        ["python", "-m", "workers.run"], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "SCHEDULER_COPRIME=require: 1 pair(s)" in done.stderr


def test_beat_names_intervals_that_share_a_factor_and_starts(start_process, clean_env, redis_url, tmp_path):
    beat = start_process(
        "beat", "celery", "-A", "workers", "beat", "-l", "info", env=clean_env | {"REDIS_URL": redis_url} | NOT_COPRIME
    )
    said = "share 5m: without phases they would start together 48 times a day"
    assert eventually(lambda: said in (tmp_path / "beat.log").read_text())
    assert beat.poll() is None
