"""Looking after session files: what waits, trying again, reading anew, forgetting, and rebuilding from zero."""

from datetime import UTC, datetime, timedelta
from random import Random

import duckdb
import msgspec
import pytest

from tasks import session_admin
from tasks.domain.session_state import Level
from tasks.errors import UnknownJobError
from tests.integration.pipeline_bench import Bench
from tests.integration.test_pipeline_failures import quarantined
from workers.demo.sessions import Script

CADENCE = timedelta(minutes=13)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def script(seed=1, session="s"):
    return Script(seed=seed, session_id=session, text_bytes=50)


def status(bench):
    return session_admin.status(bench, dict.fromkeys(bench.processors, CADENCE), bench.clock.now)


def test_the_status_says_what_waits_and_what_was_read_by_user(bench):
    bench.write("alice/s.jsonl", *script().turns(3), b"bad\n")
    bench.ingest()
    bench.write("bob/t.jsonl", *script(2, "t").turns(1))
    found = status(bench)
    assert (found.lags["usage"].files, found.lags["usage"].oldest, found.seen) == (1, "bob/t.jsonl", 2)
    (alice,) = found.overview.users
    assert (alice.username, alice.files, alice.bad_lines) == ("alice", 1, 1)
    (trouble,) = found.overview.troubles
    assert (trouble.path, trouble.bad_lines, trouble.error) == ("alice/s.jsonl", 1, None)


def test_a_status_before_anything_ran_is_empty(bench):
    found = status(bench)
    assert (found.overview.users, found.lags["usage"].files, found.health["usage"].level) == ((), 0, Level.OK)


def test_the_status_shows_quarantined_files_first_with_their_error(tmp_path):
    bench, _ = quarantined(tmp_path)
    trouble = status(bench).overview.troubles[0]
    assert (trouble.path, trouble.attempts) == ("u/bad.jsonl", 5)
    assert "ValueError: no" in trouble.error


def test_a_quarantined_file_is_tried_again_on_request(tmp_path):
    bench, shaky = quarantined(tmp_path)
    shaky.fails = False
    assert session_admin.retry(bench, paths=["u/nothing.jsonl"]) == 0
    assert session_admin.retry(bench) == 1
    bench.ingest()
    assert bench.cursor("u/bad.jsonl")["error"] is None


def test_reprocessing_reads_everything_of_one_processor_anew(bench):
    writer = script()
    bench.write("alice/s.jsonl", *writer.turns(3))
    bench.ingest()
    before = bench.sessions()
    assert session_admin.reprocess(bench, "usage") == 1
    assert bench.scan().files == 1
    bench.ingest()
    assert bench.sessions() == before


def test_reprocessing_can_be_asked_for_one_file(bench):
    for name in ("s", "t"):
        bench.write(f"alice/{name}.jsonl", *script(1, name).turns(1))
    bench.ingest()
    assert session_admin.reprocess(bench, "usage", ["alice/t.jsonl"]) == 1
    assert bench.scan().files == 1


def test_reprocessing_an_unknown_processor_is_refused_by_name(bench):
    with pytest.raises(UnknownJobError, match="nope"):
        session_admin.reprocess(bench, "nope")


def test_a_batch_that_was_staged_before_reprocessing_is_dropped(bench):
    bench.write("alice/s.jsonl", *script().turns(1))
    bench.ingest()
    bench.append("alice/s.jsonl", *script(2).turns(1))
    (staged,) = bench.stage()
    session_admin.reprocess(bench, "usage")
    assert bench.commit(staged).moved == 1


def test_a_rebuild_of_an_untouched_warehouse_shows_no_difference(bench):
    writer = script()
    bench.write("alice/s.jsonl", *writer.turns(3))
    bench.ingest()
    bench.append("alice/s.jsonl", *writer.turns(3))
    bench.ingest()
    found = session_admin.verify(bench, "usage")
    assert (found.files, found.pending, found.differences) == (1, 0, ())
    assert found.lines > 0
    assert list((bench.folder / "staging").iterdir()) == []


@pytest.mark.parametrize(
    ("tampering", "missing", "extra"),
    [
        ("delete from usage_tool_calls where line = (select min(line) from usage_tool_calls)", 1, 0),
        (
            "insert into usage_tool_calls by name select * replace ('x' as tool_use_id) from usage_tool_calls limit 1",
            0,
            1,
        ),
    ],
)
def test_a_rebuild_finds_rows_that_are_missing_or_too_many(bench, tampering, missing, extra):
    bench.write("alice/s.jsonl", *script().turns(3))
    bench.ingest()
    with duckdb.connect(str(bench.folder / "warehouse.duckdb")) as connection:
        connection.execute(tampering)
    found = {each.relation: each for each in session_admin.verify(bench, "usage").differences}
    assert (found["usage_tools"].missing, found["usage_tools"].extra) == (missing, extra)
    assert found["usage_tools"].example


def test_files_that_changed_since_they_were_read_are_left_to_the_next_run(bench):
    bench.write("alice/s.jsonl", *script().turns(3))
    bench.write("alice/t.jsonl", *script(2, "t").turns(3))
    bench.ingest()
    bench.write("alice/s.jsonl", *script(3).turns(5))
    bench.append("alice/t.jsonl", *script(4, "t").turns(1))
    (bench.root / "alice" / "u.jsonl").touch()
    found = session_admin.verify(bench, "usage")
    assert (found.files, found.pending, found.differences) == (1, 1, ())


def test_what_is_committed_while_a_rebuild_is_on_is_pending_and_no_difference(bench, monkeypatch):
    bench.write("alice/s.jsonl", *script().turns(3))
    bench.write("bob/t.jsonl", *script(2, "t").turns(3))
    bench.ingest()
    compare = bench.warehouse.differences

    def compare_after_a_commit(*args):
        monkeypatch.undo()
        bench.append("alice/s.jsonl", *script(3).turns(1))
        bench.ingest()
        return compare(*args)

    monkeypatch.setattr(bench.warehouse, "differences", compare_after_a_commit)
    found = session_admin.verify(bench, "usage")
    assert (found.files, found.pending, found.differences) == (1, 1, ())


def test_looking_never_opens_the_warehouse_for_writing(bench):
    bench.write("alice/s.jsonl", *script().turns(3))
    status(bench)
    assert not (bench.folder / "warehouse.duckdb").exists()
    bench.ingest()
    before = (bench.folder / "warehouse.duckdb").stat()
    (bench.folder / "warehouse.duckdb").chmod(0o400)
    assert status(bench).overview.users[0].files == 1
    assert session_admin.verify(bench, "usage").files == 1
    assert (bench.folder / "warehouse.duckdb").stat().st_mtime_ns == before.st_mtime_ns


def test_pruning_forgets_old_files_and_does_not_read_them_again(bench):
    bench.write("alice/s.jsonl", *script().turns(3))
    bench.write("bob/t.jsonl", *script(2, "t").turns(3))
    bench.ingest()
    (bench.root / "bob" / "t.jsonl").unlink()
    pruned = session_admin.prune(bench, bench.clock.now + timedelta(days=365))
    assert pruned.files == 2
    assert bench.sessions() == {}
    assert bench.scan().unchanged == 1
    assert bench.rows("select path, pruned_at is not null from session_files") == [("alice/s.jsonl", True)]
    assert session_admin.prune(bench, bench.clock.now + timedelta(days=365)).files == 0


def test_pruning_leaves_what_is_younger(bench):
    bench.write("alice/s.jsonl", *script().turns(3))
    bench.ingest()
    before = bench.sessions()
    assert session_admin.prune(bench, bench.clock.now - timedelta(days=3650)).rows == 0
    assert bench.sessions() == before


def test_a_pruned_file_that_is_rewritten_counts_again(bench):
    bench.write("alice/s.jsonl", *script().turns(3))
    bench.ingest()
    session_admin.prune(bench, bench.clock.now + timedelta(days=365))
    bench.write("alice/s.jsonl", *script(5).turns(7))
    bench.ingest()
    assert bench.sessions()["alice", "s"]["messages"] > 0
    assert session_admin.verify(bench, "usage").files == 1


@pytest.mark.parametrize("seed", range(2))
def test_no_history_of_appends_cuts_rewrites_and_deaths_shows_a_difference(tmp_path, seed):
    """Every step may die between staging and commit, or commit twice, or commit late."""
    random, bench, late = Random(seed), Bench(tmp_path), []
    for serial in range(25):
        name = f"s{random.randrange(4)}"
        path, lines = f"u{name}/{name}.jsonl", b"".join(script(100 * seed + serial, name).turns(2))
        (bench.root / path).parent.mkdir(exist_ok=True)
        before = (bench.root / path).read_bytes() if (bench.root / path).exists() else b""
        content = random.choice(
            [before + lines, before + lines, before[: random.randint(0, len(before))], lines, before]
        )
        (bench.root / path).write_bytes(content[: len(content) - random.choice([0, 0, 1, 30])])
        if random.random() < 0.6:
            late += bench.stage()
            due = [staged for staged in late if random.random() < 0.8]
            for staged in due:
                bench.commit(staged)
            late = [staged for staged in late if staged not in due or random.random() < 0.2]
    bench.ingest()
    found = session_admin.verify(bench, "usage")
    assert (found.files, found.pending, found.differences) == (4, 0, ())


def test_messages_of_the_status_travel_as_json(bench):
    assert msgspec.json.encode(status(bench))


def test_a_sweep_removes_staged_rows_that_nobody_fetched_for_a_day(bench):
    bench.write("alice/s.jsonl", *script().turns(1))
    (staged,) = bench.stage()
    written = datetime.fromtimestamp((bench.folder / "staging" / staged.folder).stat().st_mtime, tz=UTC)
    assert session_admin.sweep(bench, written + timedelta(hours=23)) == 0
    assert session_admin.sweep(bench, written + timedelta(hours=25)) == 1
