"""The supervisor: what it restarts, what it ends, and what it refuses before it starts anything."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest

from tests.conftest import ROOT, StartProcess, eventually, marked_processes, unused_port
from workers.processes import next_pause, node_names, page_address, procfile_commands
from workers.readiness import wait_for_nodes

SUPERVISE = str(Path(__file__).with_name("supervise_commands.py"))
WAITS = "exec sleep 1000"
FORKS = "sleep 1000 & echo forked; wait"
STUBBORN = "trap '' TERM; echo shut; while :; do sleep 0.2; done"
Supervise = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def supervise(start_process: StartProcess, clean_env: dict[str, str]) -> Supervise:
    """Start the supervisor on shell commands and wait until all of them have started."""

    def start(**commands: str) -> subprocess.Popen[str]:
        words = [f"{name}={command}" for name, command in commands.items()]
        return start_process("supervisor", sys.executable, SUPERVISE, *words, env=clean_env)

    return start


@pytest.fixture
def printed(tmp_path: Path) -> Callable[[str], list[str]]:
    """What the supervisor has printed so far that fits a pattern."""
    return lambda pattern: re.findall(pattern, (tmp_path / "supervisor.log").read_text())


def test_every_line_carries_the_name_of_its_process(supervise: Supervise, printed: Callable[[str], list[str]]) -> None:
    supervise(redis="echo ready; exec sleep 1000", beat="echo tick; echo tock >&2; exec sleep 1000")
    assert eventually(lambda: len(printed(r"redis +\| ready|beat +\| tick|beat +\| tock")) == 3)


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_wish_to_stop_ends_everything_redis_last(
    supervise: Supervise, printed: Callable[[str], list[str]], mark: str, wish: signal.Signals
) -> None:
    supervisor = supervise(redis=WAITS, beat=WAITS, sessions=FORKS)
    assert eventually(lambda: len(printed(r"started \(pid|forked")) == 4)
    supervisor.send_signal(wish)
    assert supervisor.wait(timeout=10) == 0
    assert marked_processes(mark) == []
    assert printed(r"(\w+) ended")[-1] == "redis"


def test_a_child_that_does_not_listen_is_killed_within_ten_seconds(
    supervise: Supervise, printed: Callable[[str], list[str]], mark: str
) -> None:
    supervisor = supervise(redis=WAITS, deaf=STUBBORN)
    assert eventually(lambda: printed("deaf$|[|] deaf"))
    supervisor.terminate()
    assert supervisor.wait(timeout=10) == 0
    assert marked_processes(mark) == []
    assert printed("deaf does not end: killed")


def test_a_killed_child_starts_again_and_what_it_forked_is_gone(
    supervise: Supervise, printed: Callable[[str], list[str]]
) -> None:
    supervise(redis=WAITS, sessions=FORKS)
    assert eventually(lambda: printed("forked"))
    first = int(printed(r"sessions started \(pid (\d+)")[0])
    forked = psutil.Process(first).children()
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: len(printed(r"sessions started \(pid (\d+)")) == 2)
    assert printed(r"sessions died \(status -9\): starts again in 1 s")
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in forked)


def test_a_command_that_can_not_run_is_tried_again_and_spares_its_neighbours(
    supervise: Supervise, printed: Callable[[str], list[str]]
) -> None:
    supervisor = supervise(redis=WAITS, broken="exec /nonexistent/program")
    assert eventually(lambda: printed("starts again in 2 s"))
    assert supervisor.poll() is None
    assert not printed("redis died")


def test_a_killed_supervisor_leaves_nothing_behind(
    supervise: Supervise, printed: Callable[[str], list[str]], mark: str
) -> None:
    supervisor = supervise(redis=WAITS, sessions=FORKS, deaf=STUBBORN)
    assert eventually(lambda: len(printed(r"started \(pid|forked|shut")) == 5)
    supervisor.kill()
    supervisor.wait()
    assert eventually(lambda: not marked_processes(mark))


def test_after_a_kill_the_folder_is_free_only_when_the_old_children_are_gone(
    supervise: Supervise, printed: Callable[[str], list[str]], mark: str
) -> None:
    first = supervise(redis=STUBBORN)
    assert eventually(lambda: printed("shut"))
    old = {process.pid for process in marked_processes(mark)}
    first.kill()
    first.wait()
    supervise(beat=WAITS)
    assert eventually(lambda: printed("beat started"))
    assert old.isdisjoint(process.pid for process in marked_processes(mark))


def test_a_reader_that_goes_away_ends_everything(clean_env: dict[str, str], mark: str) -> None:
    command = [sys.executable, SUPERVISE, f"redis={WAITS}", "beat=while sleep 0.1; do echo tick; done"]
    with subprocess.Popen(command, env=clean_env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        supervisor.stdout.readline()
        supervisor.stdout.close()
        assert supervisor.wait(timeout=15) == 0
    assert marked_processes(mark) == []


def refusal(env: dict[str, str], module: str = "workers.run") -> str:
    """Run it to its end; it must refuse with code 2 and say nothing on stdout."""
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, check=False, env=env, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done
    assert done.stdout == ""
    return done.stderr


def test_a_taken_port_is_one_line(clean_env: dict[str, str], mark: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(clean_env | {"FLOWER_PORT": str(port)})
    assert re.fullmatch(rf"FLOWER_PORT={port} can't be used on 127\.0\.0\.1: Address already in use; .*\n", said)
    assert marked_processes(mark) == []


def test_a_folder_that_can_not_be_written_is_one_line(clean_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refusal(clean_env | {"DATA_DIR": str(tmp_path / "file" / "data")})
    assert re.fullmatch(r"DATA_DIR=.*/file/data can't be written: Not a directory\n", said)


def test_a_second_one_in_the_same_folder_is_one_line_with_the_first_ones_pid(
    supervise: Supervise, printed: Callable[[str], list[str]], clean_env: dict[str, str]
) -> None:
    first = supervise(redis=WAITS)
    assert eventually(lambda: printed("redis started"))
    said = refusal(clean_env)
    assert re.fullmatch(rf"DATA_DIR=.* is in use by another Escapement \(pid {first.pid}\): .*\n", said)


def test_bad_settings_are_refused_all_at_once(clean_env: dict[str, str]) -> None:
    said = refusal(clean_env | {"FLOWER_PORT": "x", "SCHEDULER_MARKETPLACES_SCHEDULE": "", "HTTP_CONCURRENCY": "0"})
    assert all(name in said for name in ("FLOWER_PORT='x'", "SCHEDULER_MARKETPLACES_SCHEDULE=''", "HTTP_CONCURRENCY="))


def test_a_cadence_that_can_not_be_used_is_refused_before_anything_starts(clean_env: dict[str, str]) -> None:
    assert "sometimes" in refusal(clean_env | {"SCHEDULER_MARKETPLACES_SCHEDULE": "sometimes"})


def test_make_run_reads_the_users_env_file_and_embeds_no_redis_when_there_is_one(
    start_process: StartProcess, clean_env: dict[str, str], redis_url: str, free_port: int, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(f"REDIS_URL={redis_url}\nFLOWER_PORT={free_port}\nSCHEDULER_TICK_SECONDS=2\n")
    start_process("run", sys.executable, "-m", "workers.run", env=clean_env | {"ESCAPEMENT_ENV_FILE": str(env_file)})
    log = tmp_path / "run.log"
    assert eventually(lambda: f"==> Open http://127.0.0.1:{free_port}/" in log.read_text(), 60), log.read_text()
    assert "All 4 nodes are online" in log.read_text()
    assert "redis started" not in log.read_text()
    assert not (Path(clean_env["DATA_DIR"]) / "redis").exists()


def test_a_redis_that_can_not_start_ends_the_start_with_its_own_words(clean_env: dict[str, str], mark: str) -> None:
    folder = Path(clean_env["DATA_DIR"]) / "redis"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof").write_bytes(b"no redis wrote this")
    command = [sys.executable, "-m", "workers.run"]
    env = clean_env | {"FLOWER_PORT": str(unused_port())}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Bad file format reading the append only file" in done.stdout
    assert done.stderr.startswith("the embedded Redis does not start; its own words are above")
    assert marked_processes(mark) == []


def test_a_flower_behind_a_password_counts_as_up() -> None:
    class Closed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    told: list[frozenset[str] | None] = []
    with HTTPServer(("127.0.0.1", 0), Closed) as server:
        Thread(target=server.handle_request, daemon=True).start()
        wait_for_nodes(f"http://127.0.0.1:{server.server_port}/", frozenset({"http@h"}), 5, told.append)
    assert told == [None]


def test_nodes_that_do_not_come_are_named(free_port: int) -> None:
    told: list[frozenset[str] | None] = []
    wait_for_nodes(f"http://127.0.0.1:{free_port}/", frozenset({"http@h"}), 0.1, told.append)
    assert told == [{"http@h"}]


def test_pauses_double_to_thirty_seconds_and_start_anew_after_a_minute_of_life() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause(pauses[-1], uptime=5))
    assert pauses[1:] == [1, 2, 4, 8, 16, 30, 30]
    assert next_pause(30, uptime=60) == 1


def test_every_process_of_the_procfile_but_flower_is_a_node() -> None:
    assert node_names(list(procfile_commands()), "h") == {"celerybeat@h", "http@h", "sessions@h", "warehouse@h"}


def test_no_shell_stays_between_the_supervisor_and_its_children() -> None:
    assert all(command.startswith("exec ") for command in procfile_commands().values())


def test_the_page_to_open_is_one_that_a_browser_can_reach() -> None:
    assert page_address("0.0.0.0", 5555) == "http://127.0.0.1:5555/"
    assert page_address("::1", 5555) == "http://[::1]:5555/"
