"""What only the DuckDB file does: columns, questions, locks, and being closed while idle."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from tasks.adapters.warehouse import DuckWarehouse
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.errors import EscapementError, WarehouseBusyError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.readline()"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "below" / "warehouse.duckdb"


@pytest.fixture
def warehouse(path):
    return DuckWarehouse(path, {}, clock=lambda: NOW, patience_s=0.2)


@pytest.fixture
def holder(path, warehouse):
    """Another process that keeps the file open until it is told a line."""
    warehouse.last_stream_id()
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_run_is_kept_with_every_column(warehouse):
    run = Run(
        job="j",
        key="2026-11-20T12:00:00Z",
        slot=NOW,
        source=Source.BEAT,
        outcome=Outcome.FAILED,
        run_id="r",
        error="no",
        lateness_s=0.25,
        duration_s=1.5,
        worker="w",
        attempt=2,
        token=7,
        dispatched_at=NOW,
        claimed_at=NOW,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=1.5),
        detail={"status": 500},
    )
    warehouse.append_runs([("5-1", run)])
    columns, (row,) = warehouse.query("select * from runs")
    kept = dict(zip(columns, row, strict=True))
    assert kept.pop("stream_id") == "5-1"
    assert kept.pop("detail") == '{"status":500}'
    assert kept == {name: getattr(run, name) for name in kept}


def test_instants_are_told_in_utc(warehouse):
    warehouse.append_runs([("5-1", Run(job="j", key="k", slot=NOW, source="beat", outcome="ok", run_id="r"))])
    assert warehouse.query("select slot::text from runs")[1] == [("2026-11-20 12:00:00+00",)]


def test_a_question_before_there_is_a_warehouse_is_answered_in_words(warehouse):
    with pytest.raises(EscapementError, match=r"there is no warehouse yet at .*warehouse.duckdb"):
        warehouse.query("select 1")


def test_a_question_that_makes_no_sense_is_answered_in_words(warehouse):
    warehouse.last_stream_id()
    with pytest.raises(EscapementError, match="nowhere"):
        warehouse.query("select * from nowhere")


def test_a_question_can_not_change_anything(warehouse):
    warehouse.last_stream_id()
    with pytest.raises(EscapementError, match="read-only"):
        warehouse.query("delete from runs")


def test_a_file_that_is_no_warehouse_is_named(path, warehouse):
    path.parent.mkdir()
    path.write_text("this is no database at all\n" * 1000)
    with pytest.raises(EscapementError, match=r"warehouse.duckdb can't be opened"):
        warehouse.last_stream_id()


@pytest.mark.parametrize("act", [lambda w: w.query("select 1"), lambda w: w.last_stream_id()])
def test_a_file_that_stays_locked_is_named_with_its_holder(path, warehouse, holder, act):
    with pytest.raises(WarehouseBusyError, match=rf"{path} is locked by process {holder.pid}"):
        act(warehouse)


def test_a_file_that_is_let_go_within_the_deadline_is_waited_for(path, holder):
    patient = DuckWarehouse(path, {}, clock=lambda: NOW, patience_s=30)
    holder.stdin.write("go\n")
    holder.stdin.flush()
    assert patient.query("select 1")[1] == [(1,)]


def test_the_file_is_free_while_nobody_works_on_it(path, warehouse):
    warehouse.append_runs([("5-1", Run(job="j", key="k", source="beat", outcome="ok", run_id="r"))])
    warehouse.query("select 1")
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(path)], input="\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "held\n")


def test_work_that_fails_leaves_nothing_and_lets_the_file_go(warehouse):
    warehouse.last_stream_id()
    run = Run(job="j", key="k", source="beat", outcome="ok", run_id="r")
    with pytest.raises(Exception, match="none"):
        warehouse.append_runs([("5-1", run), ("none", run)])
    assert warehouse.query("select count(*) from runs")[1] == [(0,)]


def test_a_file_that_was_made_but_never_written_is_an_empty_warehouse(path, warehouse):
    path.parent.mkdir()
    duckdb.connect(str(path)).close()
    assert warehouse.compare([], {"usage": 1}).works == ()
    assert warehouse.last_stream_id() is None
