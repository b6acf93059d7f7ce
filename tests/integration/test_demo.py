"""The demo as a user starts it: the clock fires, sessions become rows, everybody is online, Ctrl-C ends it all."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import ConfigurationError
from tests.conftest import ROOT, eventually, marked_processes, unused_port
from tests.running_demo import Demo, fetch, running_demo
from workers.demo.__main__ import CADENCES, claim_folder, demo_environment

NODES = {"celerybeat", "http", "sessions", "warehouse"}
HTTP_JOBS = {
    "data-refresh",
    "health-check",
    "script-runner",
    "marketplaces",
    "session-collector",
    "corporate-memory",
}
PROCESSOR_JOBS = {"session-processor:usage", "session-processor:verification"}
FIRE_SECONDS = 60


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def test_every_http_job_reaches_the_api_within_a_minute(demo: Demo) -> None:
    assert eventually(lambda: {call["job"] for call in demo.calls()} == HTTP_JOBS, FIRE_SECONDS), demo.printed()


def test_every_job_has_a_run_in_the_warehouse_within_a_minute(demo: Demo) -> None:
    def recorded() -> bool:
        table = demo.query("select distinct job from runs")
        return all(job in table for job in HTTP_JOBS | PROCESSOR_JOBS)

    assert eventually(recorded, FIRE_SECONDS), demo.query("select job, outcome, count(*) from runs group by all")


def test_no_slot_reaches_the_api_twice(demo: Demo) -> None:
    assert eventually(demo.calls)
    assert [call for call in demo.calls() if call["duplicate"]] == []


def test_sessions_become_rows_and_go_on_growing(demo: Demo) -> None:
    def messages() -> int:
        return int(re.findall(r"\d+", demo.query("select coalesce(sum(messages), 0) as told from usage_sessions"))[0])

    first = eventually(messages, FIRE_SECONDS)
    assert first > 0
    assert eventually(lambda: messages() > first, FIRE_SECONDS)


def test_flower_shows_every_node_online(demo: Demo) -> None:
    assert eventually(lambda: demo.online() == NODES)
    assert {"http", "sessions", "warehouse"} <= set(re.findall(r"\w+", fetch(demo.page + "broker")))


def test_it_says_which_pages_to_open_and_what_to_ask_from_a_second_shell(demo: Demo) -> None:
    said = demo.printed()
    assert f"==> Open {demo.page}" in said
    assert f"{demo.api}" in said
    assert re.search(rf"==> In a second shell: DATA_DIR={demo.env['DATA_DIR']} \S*celery -A workers query", said)
    assert "Calls this API received" in fetch(demo.api)


def test_the_api_wants_the_token_and_the_log_does_not_hold_it(demo: Demo) -> None:
    request = urllib.request.Request(demo.api + "api/sync/trigger", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request)
    tokens = {
        process.environ()["SCHEDULER_API_TOKEN"]
        for process in marked_processes(demo.mark)
        if "SCHEDULER_API_TOKEN" in process.environ()
    }
    assert len(tokens) == 1
    assert tokens.pop() not in demo.printed()


def test_a_second_demo_in_the_same_folder_is_one_line(demo: Demo) -> None:
    assert refused(demo.env, {}).endswith(f"(pid {demo.process.pid}): stop it, or set another DATA_DIR\n")


@pytest.mark.parametrize("variable", ["FLOWER_PORT", "DEMO_API_PORT"])
def test_a_taken_port_is_one_line_that_names_its_variable(demo: Demo, tmp_path: Path, variable: str) -> None:
    free = {"FLOWER_PORT": str(unused_port()), "DEMO_API_PORT": str(unused_port()), "DATA_DIR": str(tmp_path)}
    said = refused(demo.env, free | {variable: demo.env[variable]})
    assert said.startswith(f"{variable}={demo.env[variable]} can't be used on 127.0.0.1: Address already in use")


def test_a_port_that_is_none_is_one_line(demo: Demo, tmp_path: Path) -> None:
    said = refused(demo.env, {"DATA_DIR": str(tmp_path), "DEMO_API_PORT": "http"})
    assert said == "DEMO_API_PORT='http' can't be used; accepted: a free port, 1 to 65535\n"


def test_a_folder_with_real_data_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "warehouse.duckdb").touch()
    with pytest.raises(ConfigurationError, match="holds real data"):
        claim_folder(tmp_path)


def test_a_folder_of_an_earlier_demo_is_taken_again(tmp_path: Path) -> None:
    claim_folder(tmp_path / "new")
    (tmp_path / "new" / "warehouse.duckdb").touch()
    claim_folder(tmp_path / "new")


def test_the_tasks_run_from_a_shell_as_the_readme_says(demo: Demo) -> None:
    lines = (
        "from tasks import call_endpoint, process_sessions",
        "print('said', call_endpoint.delay('data-refresh').get(timeout=20))",
        "print('said', process_sessions.delay('usage').get(timeout=20).split()[0])",
    )
    command = [str(Path(sys.executable).with_name("celery")), "-A", "workers", "shell"]
    shell = subprocess.run(
        command,
        env=demo.env,
        cwd=ROOT,
        input="\n".join([*lines, ""]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = re.findall(r"said (.*)", shell.stdout)
    assert said[0] == "ok status=200"
    assert said[1] in {"ok", "under", "busy:"}
    assert any(call["slot"].startswith("manual-") for call in demo.calls())


def test_a_beat_whose_loop_stalls_is_offline_in_flower_until_it_goes_on(demo: Demo) -> None:
    assert eventually(lambda: demo.online() == NODES)
    beat = int(re.findall(r"beat started \(pid (\d+)\)", demo.printed())[-1])
    os.kill(beat, signal.SIGSTOP)
    try:
        assert eventually(lambda: demo.online() == NODES - {"celerybeat"}, 30), demo.online()
    finally:
        os.kill(beat, signal.SIGCONT)
    assert eventually(lambda: demo.online() == NODES)


def test_a_killed_worker_comes_back_and_goes_on_with_the_calls(demo: Demo) -> None:
    killed = int(re.findall(r"http started \(pid (\d+)\)", demo.printed())[-1])
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: int(re.findall(r"http started \(pid (\d+)\)", demo.printed())[-1]) != killed)
    before = len(demo.calls())
    assert eventually(lambda: len(demo.calls()) > before, FIRE_SECONDS)
    assert eventually(lambda: demo.online() == NODES)


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_ends_the_whole_demo_within_ten_seconds(tmp_path: Path, wish: signal.Signals) -> None:
    with running_demo(tmp_path) as demo:
        running = " ".join(process.name() for process in marked_processes(demo.mark))
        assert "redis-server" in running
        assert running.count("celery") == 7
        demo.process.send_signal(wish)
        assert demo.process.wait(timeout=10) == 0
        assert marked_processes(demo.mark) == []
        assert "does not end" not in demo.printed()


def test_a_killed_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        demo.process.kill()
        demo.process.wait()
        assert eventually(lambda: not marked_processes(demo.mark))


def test_the_demo_touches_nothing_outside_of_its_folder() -> None:
    users = {"REDIS_URL": "redis://production", "SESSION_DATA_DIR": "/home/me/sessions", "API_URL": "http://production"}
    env = demo_environment(users | {"SCHEDULER_API_TOKEN": "real", "SCHEDULER_TICK_SECONDS": "1"}, 5556)
    assert "REDIS_URL" not in env
    assert env["SESSION_DATA_DIR"] == "data/demo/sessions"
    assert env["API_URL"] == "http://127.0.0.1:5556"
    assert env["ESCAPEMENT_ENV_FILE"] == ""
    assert env["SCHEDULER_API_TOKEN"] != "real"
    assert env["SCHEDULER_TICK_SECONDS"] == "1"
    assert CADENCES.items() - {("SCHEDULER_TICK_SECONDS", "2")} <= env.items()


def refused(env: dict[str, str], more: dict[str, str]) -> str:
    """What a demo that can't start writes to stderr: one line, exit code 2, and nothing else."""
    command = [sys.executable, "-m", "workers.demo"]
    done = subprocess.run(command, env=env | more, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    return done.stderr
