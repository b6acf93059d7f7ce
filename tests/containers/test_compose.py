"""docker-compose.yml as a user runs it, plus an API to call."""

import json
import os
from datetime import datetime, timedelta

import pytest

from tests.conftest import unused_port
from tests.containers.engine import IMAGE_TAG, Compose, run, until, write_session
from workers.settings import Settings

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

ROLES = ("beat", "http", "sessions", "warehouse", "flower")
SERVICES = ("redis", *ROLES)


@pytest.fixture(scope="module")
def compose(escapement_image, tmp_path_factory):
    """Bring the whole system up with short cadences; take it down with its volumes."""
    sessions = tmp_path_factory.mktemp("compose") / "sessions"
    write_session(sessions)
    for path in (sessions.parent.parent, sessions.parent):
        path.chmod(0o755)
    env = {
        "ESCAPEMENT_TAG": IMAGE_TAG,
        "FLOWER_PORT": str(unused_port()),
        "API_URL": "http://api:8000",
        "SESSION_DATA_DIR": str(sessions),
        "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
        "SCHEDULER_TICK_SECONDS": "1",
        "SCHEDULER_HEALTH_CHECK_INTERVAL": "3",
        "SCHEDULER_USAGE_PROCESSOR_INTERVAL": "7",
    }
    system = Compose(project=f"escapement-test-{os.getpid()}", env=env)
    try:
        system("up", "-d", "--no-build")
        yield system
    finally:
        system("down", "--volumes", "--remove-orphans")


def _told(compose: Compose, sql: str) -> str:
    return compose.inside("warehouse", "celery", "-A", "workers", "query", sql)


def test_every_service_becomes_healthy(compose):
    for service in SERVICES:
        until(lambda service=service: compose.health(service) == "healthy", 90, f"{service} healthy")


def test_a_slot_from_the_clock_reaches_the_api_once_and_lands_in_duckdb(compose):
    fired = "select 'runs=' || count(*) from runs where job = 'health-check' and source = 'beat' and outcome = 'ok'"
    until(lambda: "runs=0" not in _told(compose, fired), 60, "a run in DuckDB")
    calls = [json.loads(line) for line in run(["docker", "logs", compose.container("api")]).splitlines()]
    keys = [call["key"] for call in calls if call["path"] == "/api/health"]
    assert keys
    assert len(keys) == len(set(keys))


def test_a_mounted_session_becomes_a_row_with_its_tokens_counted_once(compose):
    tokens = "select username || '=' || input_tokens || '+' || output_tokens from usage_sessions"
    until(lambda: "carol=7+11" in _told(compose, tokens), 60, "the session's figures in DuckDB")


@pytest.mark.parametrize("role", ROLES)
def test_no_process_of_ours_runs_as_root(compose, role):
    owners = run(["docker", "top", compose.container(role), "-eo", "uid,pid"]).splitlines()[1:]
    assert owners
    assert {line.split()[0] for line in owners} == {"10001"}


def test_flower_is_published_on_loopback_only(compose):
    assert compose("port", "flower", "5555").strip() == f"127.0.0.1:{compose.env['FLOWER_PORT']}"


def test_redis_keeps_an_append_only_file_and_evicts_nothing(compose):
    told = [compose.inside("redis", "redis-cli", "config", "get", name) for name in ("appendonly", "maxmemory-policy")]
    assert [each.split() for each in told] == [["appendonly", "yes"], ["maxmemory-policy", "noeviction"]]


def test_processes_stay_alive_for_their_probe_while_redis_is_away(compose):
    """The file of the probe goes on being touched: an outage of the broker is no reason to restart everybody."""
    compose("stop", "redis")
    try:
        for role in ("beat", "http", "sessions", "warehouse"):
            until(lambda role=role: _touched_since_redis_went(compose, role), 60, f"{role} touching its file")
            assert compose.health(role) == "healthy"
    finally:
        compose("start", "redis")
    until(lambda: compose.health("redis") == "healthy", 60, "redis healthy")


def _touched_since_redis_went(compose: Compose, role: str) -> bool:
    gone = datetime.fromisoformat(compose.state("redis")["FinishedAt"][:19] + "+00:00")
    long_after = (gone + timedelta(seconds=10)).isoformat()
    return bool(compose.inside(role, "find", "/tmp/alive", "-newermt", long_after).strip())


def test_every_setting_of_the_application_can_be_given_to_the_containers(compose):
    """A variable that the compose file does not pass on would be ignored in silence."""
    text = compose("config")
    names = {name.upper() for name in Settings.model_fields}
    assert {name for name in names if f"{name}:" not in text} == set()


def test_everything_stops_within_its_grace_and_without_being_killed(compose):
    """Runs last: it stops the system that the other tests look at."""
    containers = {service: compose.container(service) for service in SERVICES}
    compose("stop")
    codes = {
        service: int(run(["docker", "inspect", "--format", "{{.State.ExitCode}}", each]))
        for service, each in containers.items()
    }
    assert {service: code for service, code in codes.items() if code not in {0, 143}} == {}
