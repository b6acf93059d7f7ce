from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.batches import Work
from tasks.domain.cursor import Position, Seen
from tasks.domain.session_state import Level, health, lag_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CADENCE = timedelta(minutes=13)


def waiting(minutes, path="u/s.jsonl"):
    changed = NOW - timedelta(minutes=minutes)
    return Work(Seen(path, 100, int(changed.timestamp() * 1e9), 1), (Position("usage"),))


@pytest.mark.parametrize(
    ("minutes", "level"),
    [
        ([], "ok"),
        ([5], "ok"),
        ([26], "ok"),
        ([27], "degraded"),
        ([104], "degraded"),
        ([105], "info"),
        ([105, 5], "info"),
        ([105, 105], "degraded"),
        ([10_000, 9_000, 8_000], "degraded"),
    ],
)
def test_health_follows_from_how_long_files_wait(minutes, level):
    assert health([waiting(m) for m in minutes], cadence=CADENCE, now=NOW).level == level


def test_one_old_file_does_not_hide_that_newer_ones_wait():
    found = health([waiting(10_000), waiting(30)], cadence=CADENCE, now=NOW)
    assert found.level is Level.DEGRADED


def test_an_old_file_is_named_wherever_it_stands():
    found = health([waiting(200, "u/s/subagents/agent-1.jsonl")], cadence=CADENCE, now=NOW)
    assert "u/s/subagents/agent-1.jsonl" in found.reason


def test_the_lag_names_the_file_that_waits_longest():
    lag = lag_of([waiting(50, "old"), waiting(1, "new")])
    assert (lag.files, lag.bytes, lag.oldest) == (2, 200, "old")
    assert lag.oldest_since == NOW - timedelta(minutes=50)
    assert lag_of([]).files == 0
