"""Full disks and locked files: everything waits, nothing is lost, and it goes on by itself."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.faults.kit.disk import filled, locked, mounts_are_allowed, small_disk
from tests.faults.kit.look import sessions_differ, violations
from tests.faults.kit.system import System, query, system

OPTIONS = {"skipping": 0, "sessions_every_s": 2, "window_s": 20}


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A folder in which a small disk may be mounted."""
    if not mounts_are_allowed(tmp_path):
        missing("mounting a tmpfs needs root")
    return tmp_path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[System]:
    with system(tmp_path / "system", options=OPTIONS) as found:
        found.wait_for(lambda: recorded(found) > 0, 30, "nothing was recorded")
        yield found


def recorded(found: System) -> int:
    if not found.warehouse_file.exists():
        return 0
    tables = query(found.warehouse_file, "select 1 from duckdb_tables() where table_name = 'runs'")
    return query(found.warehouse_file, "select count(*) from runs")[0][0] if tables else 0


def called(found: System) -> int:
    return sum(found.target.calls().values())


def test_a_warehouse_that_another_process_locks_is_filled_afterwards(running: System, tmp_path: Path) -> None:
    with locked(running.warehouse_file):
        before = called(running)
        running.grow()
        running.wait_for(lambda: called(running) > before + 20, 30, "HTTP jobs did not go on")
    before_release = called(running)
    running.wait_for(lambda: recorded(running) > before_release, 40, "the warehouse did not catch up")
    running.settle()
    assert violations(running) == {}
    assert sessions_differ(running, tmp_path) == []


def test_a_warehouse_on_a_full_disk_is_filled_once_there_is_room(mounts: Path, tmp_path: Path) -> None:
    with (
        small_disk(mounts / "system" / "data", kilobytes=40_000) as disk,
        system(mounts / "system", options=OPTIONS) as found,
    ):
        found.wait_for(lambda: recorded(found) > 0, 30, "nothing was recorded")
        with filled(disk):
            before = called(found)
            for _ in range(8):
                found.grow()
                time.sleep(1)
            assert called(found) > before
        after = called(found)
        found.wait_for(lambda: recorded(found) > after, 40, "the warehouse did not catch up")
        found.settle()
        assert violations(found) == {}
        assert sessions_differ(found, tmp_path) == []


def test_a_redis_that_can_write_no_more_is_waited_for(mounts: Path) -> None:
    with (
        small_disk(mounts / "system" / "redis", kilobytes=3_000) as disk,
        system(mounts / "system", options=OPTIONS) as found,
    ):
        found.wait_for(lambda: recorded(found) > 0, 30, "nothing was recorded")
        beat = found.roles["beat"].pid
        with filled(disk):
            time.sleep(5)
        before = called(found)
        found.wait_for(lambda: called(found) > before + 10, 60, "nothing was called again")
        assert found.roles["beat"].pid == beat
        found.settle()
        assert violations(found) == {}
