"""The contract of a warehouse, held by the one in memory and by the DuckDB file."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tasks.adapters.warehouse import DuckWarehouse
from tasks.domain.batches import Cursor, Fence, Staged
from tasks.domain.cursor import Position, Seen
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.errors import FencedError
from tests.fake_warehouse import MemoryWarehouse

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SEEN = Seen("u/s.jsonl", 100, 7, 9)
GOOD = Cursor("p", 1, SEEN, 0, offset=90, lines=3, crc=2**32 - 1, fingerprint="ab")
WANTED = {"p": 1}


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "duckdb"])
def warehouse(request, tmp_path, clock):
    if request.param == "memory":
        return MemoryWarehouse(clock)
    return DuckWarehouse(tmp_path / "w.duckdb", {}, clock=clock)


def staged(*cursors):
    return Staged(cursors=cursors, parts=(), bytes=90, lines=3, folder="")


def commit(warehouse, *cursors, token=1):
    return warehouse.commit(staged(*cursors), [], Fence(name="job", token=token))


def positions(warehouse, *seen, wanted=WANTED):
    return [work.positions for work in warehouse.compare(seen, wanted).works]


def run(key="k", **more):
    given = {"job": "j", "source": Source.BEAT, "outcome": Outcome.OK, "run_id": "r"} | more
    return Run(key=key, **given)


def test_a_new_file_is_due_from_its_beginning(warehouse):
    assert positions(warehouse, SEEN) == [(Position("p"),)]


def test_nothing_to_compare_is_nothing_to_do(warehouse):
    found = warehouse.compare([], WANTED)
    assert (found.works, found.unchanged, found.waiting, found.quarantined) == ((), 0, 0, 0)


def test_a_committed_file_is_unchanged(warehouse):
    assert commit(warehouse, GOOD).files == 1
    found = warehouse.compare([SEEN], WANTED)
    assert (found.works, found.unchanged) == ((), 1)


@pytest.mark.parametrize("change", [{"size": 101}, {"mtime_ns": 8}, {"inode": 2**63 + 5}])
def test_a_changed_file_is_due_from_where_its_last_read_ended(warehouse, change):
    commit(warehouse, GOOD)
    changed = msgspec.structs.replace(SEEN, **change)
    assert positions(warehouse, changed) == [(Position("p", 1, 90, 3, 2**32 - 1, "ab", 100, 9),)]


def test_files_are_due_oldest_first_with_all_processors_of_one_file_together(warehouse):
    younger, older = Seen("a", 1, 2, 1), Seen("b", 1, 1, 2)
    found = warehouse.compare([younger, older], {"q": 1, "p": 1}).works
    assert [(work.seen.path, [p.processor for p in work.positions]) for work in found] == [
        ("b", ["p", "q"]),
        ("a", ["p", "q"]),
    ]


def test_each_processor_has_its_own_cursors(warehouse):
    commit(warehouse, GOOD)
    assert positions(warehouse, SEEN, wanted={"p": 1, "q": 1}) == [(Position("q"),)]


def test_another_version_is_due_from_the_beginning(warehouse):
    commit(warehouse, GOOD)
    ((position,),) = positions(warehouse, SEEN, wanted={"p": 2})
    assert (position.generation, position.offset) == (1, 0)


def test_a_cursor_that_moved_drops_the_file(warehouse):
    commit(warehouse, GOOD)
    again = commit(warehouse, GOOD)
    assert (again.files, again.moved, again.lines) == (0, 1, 0)


def test_a_failure_waits_then_comes_back_at_the_same_place(warehouse, clock):
    commit(warehouse, GOOD)
    larger = msgspec.structs.replace(SEEN, size=200)
    failed = Cursor("p", 1, larger, 1, error="broken")
    assert commit(warehouse, failed).failed == 1
    assert warehouse.compare([larger], WANTED).waiting == 1
    clock.now += timedelta(minutes=1)
    ((position,),) = positions(warehouse, larger)
    assert (position.generation, position.offset, position.crc) == (2, 90, 2**32 - 1)


def test_the_fifth_failure_in_a_row_is_quarantine_until_the_file_changes(warehouse, clock):
    for generation in range(5):
        commit(warehouse, Cursor("p", 1, SEEN, generation, error="broken"))
        clock.now += timedelta(days=1)
    assert warehouse.compare([SEEN], WANTED).quarantined == 1
    assert len(positions(warehouse, msgspec.structs.replace(SEEN, mtime_ns=9))) == 1


def test_an_older_token_is_refused_and_moves_nothing(warehouse):
    commit(warehouse, token=5)
    with pytest.raises(FencedError):
        commit(warehouse, GOOD, token=4)
    assert positions(warehouse, SEEN) == [(Position("p"),)]
    assert commit(warehouse, GOOD, token=5).files == 1


def test_an_appended_run_is_remembered_and_appending_it_again_changes_nothing(warehouse):
    entries = [("5-1", run("a")), ("5-2", run("b"))]
    assert warehouse.last_stream_id() is None
    assert (warehouse.append_runs(entries), warehouse.append_runs(entries)) == (2, 0)
    assert warehouse.last_stream_id() == "5-2"


def test_no_run_is_no_work(warehouse):
    assert warehouse.append_runs([]) == 0


@pytest.mark.parametrize(("first", "second", "changed"), [("9-0", "10-0", 1), ("5-9", "5-10", 1), ("5-10", "5-9", 0)])
def test_only_a_newer_entry_changes_a_run(warehouse, first, second, changed):
    warehouse.append_runs([(first, run())])
    assert warehouse.append_runs([(second, run(outcome=Outcome.FAILED))]) == changed
    assert warehouse.last_stream_id() == (second if changed else first)


def test_of_several_entries_of_one_run_the_newest_stands(warehouse):
    assert warehouse.append_runs([("5-1", run()), ("5-3", run(outcome=Outcome.FAILED)), ("5-2", run())]) == 1
    assert warehouse.append_runs([("5-2", run())]) == 0


def test_pruning_forgets_old_runs_but_not_how_far_the_ledger_was_read(warehouse):
    warehouse.append_runs([("5-1", run("old", finished_at=NOW)), ("5-2", run("new", finished_at=NOW + timedelta(1)))])
    assert warehouse.prune_runs(NOW + timedelta(hours=1)) == 1
    assert warehouse.prune_runs(NOW + timedelta(hours=1)) == 0
    assert warehouse.last_stream_id() == "5-2"
