"""Our image in pytest-celery's setup: its Redis container, its worker containers, and a beat container."""

import json
import re

import pytest

from tests.containers.engine import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]


@pytest.fixture(scope="session", autouse=True)
def engine_first(engine: object) -> None:
    """Say what is missing before pytest-celery's own fixtures stumble over it."""


def _asked(worker, sql: str) -> str:
    code, output = worker.container.exec_run(["celery", "-A", "workers", "query", sql])
    return output.decode() if code == 0 else ""


def _answering(worker) -> set[str]:
    _, output = worker.container.exec_run(["celery", "-A", "workers", "inspect", "-t", "3", "ping"])
    return set(re.findall(r"(\w+)@", output.decode()))


def test_a_slot_travels_from_the_clock_through_the_worker_containers_into_duckdb(celery_setup, beat, api):
    """The API got the call that the clock fired, and the warehouse holds its outcome and the session's figures."""
    warehouse = celery_setup.worker_cluster[2]
    assert celery_setup.ready()
    until(lambda: {"celerybeat", "http", "sessions", "warehouse"} <= _answering(warehouse), 30, "beat and all workers")
    fired = "select 'runs=' || count(*) from runs where job = 'health-check' and source = 'beat' and outcome = 'ok'"
    until(lambda: "runs=" in (found := _asked(warehouse, fired)) and "runs=0" not in found, 60, "a run in DuckDB")
    tokens = "select username || '=' || input_tokens || '+' || output_tokens from usage_sessions"
    until(lambda: "carol=7+11" in _asked(warehouse, tokens), 60, "the session's figures in DuckDB")
    calls = [json.loads(line) for line in api.logs().splitlines()]
    keys = [call["key"] for call in calls if call["path"] == "/api/health"]
    assert keys
    assert len(keys) == len(set(keys))
