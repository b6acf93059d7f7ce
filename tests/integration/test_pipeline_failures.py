"""Failures: of one processor on one file, of a commit, of a worker; and who waits for whom."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import pytest

from tasks import pipeline
from tasks.domain.batches import Budget, Fence
from tasks.errors import FencedError, UnknownJobError
from tests.integration.pipeline_bench import NOW, Bench

DDL = "create table if not exists {0}_lines (file bigint, line bigint, kind text);"


@dataclass
class Shaky:
    """A processor that fails as it is told to on files whose path says so."""

    name: str = "shaky"
    version: int = 1
    answer: object = None
    fails: bool = True
    calls: Counter = field(default_factory=Counter)

    @property
    def ddl(self):
        return DDL.format(self.name)

    @property
    def tables(self):
        return (f"{self.name}_lines",)

    compared = ()

    def extract(self, lines, context):
        self.calls[context.path] += len(lines)
        if self.fails and "bad" in context.path:
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer(context) if callable(self.answer) else self.answer
        numbered = enumerate(lines, context.first_line)
        return {f"{self.name}_lines": [(context.file, number, line.type) for number, line in numbered]}


def make(tmp_path, *processors):
    bench = Bench(tmp_path, processors={processor.name: processor for processor in processors})
    bench.write("u/bad.jsonl", b'{"type":"user"}\n')
    bench.write("u/good.jsonl", b'{"type":"user"}\n', b'{"type":"system"}\n')
    return bench


WRONG = {
    "a list": [],
    "None": None,
    "an unknown table": {"elsewhere": []},
    "rows that are no tuples": {"shaky_lines": [[1, 2, "x"]]},
    "rows of another file": {"shaky_lines": [(1, 2, "x")]},
    "too few values": lambda context: {"shaky_lines": [(context.file, 1)]},
    "a value of another type": lambda context: {"shaky_lines": [(context.file, "first", "x")]},
    "a value no database knows": lambda context: {"shaky_lines": [(context.file, 1, object())]},
    "an exception": ValueError("no"),
    "an exit": SystemExit(3),
    "too deep": RecursionError("deep"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_processor_that_breaks_its_contract_fails_on_that_file_only_and_by_name(tmp_path, kind):
    bench = make(tmp_path, Shaky(answer=WRONG[kind]))
    (committed,) = bench.ingest()
    assert (committed.files, committed.failed) == (1, 1)
    assert "shaky" in bench.cursor("u/bad.jsonl")["error"]
    assert bench.rows("select count(*) from shaky_lines") == [(2,)]


def test_a_processor_that_fails_leaves_the_others_their_rows_of_the_same_file(tmp_path):
    bench = make(tmp_path, Shaky(answer=ValueError("no")), Shaky(name="steady", fails=False))
    bench.ingest()
    assert bench.rows("select count(*) from steady_lines") == [(3,)]
    assert bench.rows("select count(*) from shaky_lines") == [(2,)]


def test_a_failed_file_is_tried_again_with_growing_delay_and_then_quarantined(tmp_path):
    bench = make(tmp_path, Shaky(answer=ValueError("no")))
    waits = []
    for _ in range(5):
        assert bench.ingest()[0].failed == 1
        assert bench.scan().batches == ()
        cursor = bench.cursor("u/bad.jsonl")
        waits.append((cursor["next_retry_at"] - bench.clock.now) / timedelta(minutes=1))
        bench.clock.now = cursor["next_retry_at"]
    assert waits[:4] == [1, 5, 25, 125]
    assert bench.cursor("u/bad.jsonl")["quarantined_at"] is not None
    bench.clock.forward(days=365)
    assert (bench.scan().batches, bench.scan().quarantined) == ((), 1)


def quarantined(tmp_path):
    shaky = Shaky(answer=ValueError("no"))
    bench = make(tmp_path, shaky)
    for _ in range(5):
        bench.ingest()
        bench.clock.forward(days=1)
    return bench, shaky


def test_a_quarantined_file_is_tried_again_when_it_changes(tmp_path):
    bench, shaky = quarantined(tmp_path)
    shaky.fails = False
    bench.append("u/bad.jsonl", b'{"type":"user"}\n')
    bench.ingest()
    cursor = bench.cursor("u/bad.jsonl")
    assert (cursor["error"], cursor["attempts"], cursor["quarantined_at"], cursor["lines"]) == (None, 0, None, 2)


def test_a_quarantined_file_is_tried_again_by_a_new_version_of_the_processor(tmp_path):
    bench, shaky = quarantined(tmp_path)
    shaky.fails, shaky.version = False, 2
    bench.ingest()
    assert bench.rows("select count(*) from shaky_lines") == [(3,)]


def test_a_file_that_fails_after_a_good_read_keeps_its_rows_and_goes_on_from_there(tmp_path):
    shaky = Shaky(fails=False)
    bench = make(tmp_path, shaky)
    bench.ingest()
    bench.append("u/bad.jsonl", b'{"type":"summary"}\n')
    shaky.fails, shaky.answer = True, ValueError("no")
    bench.ingest()
    assert bench.rows("select count(*) from shaky_lines") == [(3,)]
    shaky.fails = False
    shaky.calls.clear()
    bench.clock.forward(minutes=1)
    bench.ingest()
    assert shaky.calls == {"u/bad.jsonl": 1}
    assert bench.rows("select count(*) from shaky_lines") == [(4,)]


def test_a_new_version_reads_everything_anew_once_and_replaces_the_rows(tmp_path):
    shaky = Shaky(fails=False)
    bench = make(tmp_path, shaky, Shaky(name="steady", fails=False))
    bench.ingest()
    shaky.version = 2
    assert {p.processor for b in bench.scan().batches for w in b.works for p in w.positions} == {"shaky"}
    bench.ingest()
    assert bench.rows("select count(*), count(distinct (file, line)) from shaky_lines") == [(3, 3)]
    assert bench.scan().batches == ()


def test_a_processor_that_comes_later_reads_what_the_others_have_read_already(tmp_path):
    early = Shaky(fails=False)
    bench = make(tmp_path, early)
    bench.ingest()
    bench.append("u/good.jsonl", b'{"type":"user"}\n')
    late = Shaky(name="late", fails=False)
    both = Bench(tmp_path, processors={"shaky": early, "late": late})
    early.calls.clear()
    both.ingest()
    assert early.calls == {"u/good.jsonl": 1}
    assert both.rows("select count(*) from late_lines") == [(4,)]
    assert both.rows("select line from shaky_lines order by file, line") == both.rows(
        "select line from late_lines order by file, line"
    )


def test_of_two_runs_that_read_the_same_lines_one_counts(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    (first,), (second,) = bench.stage(), bench.stage()
    assert bench.commit(first).files == 2
    assert (bench.commit(second).rows, bench.commit(second).moved) == (0, 2)
    assert bench.rows("select count(*) from shaky_lines") == [(3,)]


def test_a_moved_cursor_drops_only_its_file(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    (staged,) = bench.stage()
    (batch,) = bench.scan().batches
    bench.commit(bench.process(msgspec.structs.replace(batch, works=batch.works[:1])))
    committed = bench.commit(staged)
    assert (committed.files, committed.moved) == (1, 1)
    assert bench.rows("select count(*) from shaky_lines") == [(3,)]


def test_a_commit_with_an_older_token_is_refused_and_leaves_nothing(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    (old,) = bench.stage()
    bench.token = 7
    bench.commit(bench.process(bench.scan().batches[0]))
    bench.token = 6
    with pytest.raises(FencedError, match="token 6 is older than 7"):
        bench.commit(old)
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_batch_whose_staged_rows_are_gone_commits_nothing_and_is_planned_again(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    (staged,) = bench.stage()
    assert bench.staging.sweep(datetime.now(NOW.tzinfo) + timedelta(hours=1)) == 1
    committed = bench.commit(staged)
    assert (committed.lost, committed.files) == (True, 0)
    assert bench.scan().files == 2


def test_a_sweep_leaves_what_is_younger(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    (staged,) = bench.stage()
    assert bench.staging.sweep(datetime.now(NOW.tzinfo) - timedelta(hours=1)) == 0
    assert bench.commit(staged).files == 2


def test_a_worker_that_dies_while_it_stages_leaves_no_folder_behind(tmp_path):
    bench = make(tmp_path, Shaky(answer=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        bench.stage()
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_budget_takes_the_oldest_first_and_counts_what_is_left(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    for number in range(5):
        bench.write(f"v/{number}.jsonl", b'{"type":"user"}\n' * 10)
    plan = bench.scan(bytes=250)
    mtimes = [work.seen.mtime_ns for batch in plan.batches for work in batch.works]
    assert mtimes == sorted(mtimes)
    assert (plan.files, plan.left_over) == (3, 4)
    assert plan.bytes <= 250


def test_a_file_larger_than_the_budget_goes_alone(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    assert bench.scan(bytes=1).files == 1


def test_batches_travel_in_small_messages(tmp_path):
    bench = Bench(tmp_path, processors={"steady": Shaky(name="steady", fails=False)})
    for number in range(2000):
        bench.write(f"user-with-a-name/project-of-some-length/{number:036}.jsonl", b'{"type":"user"}\n')
    for batch in bench.scan().batches:
        assert len(msgspec.json.encode(batch)) < 200_000
        assert len(msgspec.json.encode(bench.process(batch))) < 200_000


def test_messages_say_the_same_after_their_way_through_json(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    (batch,) = bench.scan().batches
    batch = msgspec.convert(msgspec.json.decode(msgspec.json.encode(batch)), type(batch))
    staged = bench.process(batch)
    staged = msgspec.convert(msgspec.json.decode(msgspec.json.encode(staged)), type(staged))
    assert bench.commit(staged).files == 2


def test_an_unknown_processor_is_named_with_those_that_exist(tmp_path):
    bench = make(tmp_path, Shaky())
    with pytest.raises(UnknownJobError, match="'nope'; there are: shaky"):
        pipeline.scan(bench, ("nope",), Budget())


def test_files_of_a_batch_whose_worker_died_are_tried_again_each_alone(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    (batch,) = bench.scan().batches
    failed = pipeline.fail(bench, batch, "the worker was lost", Fence(name="test", token=1))
    assert failed.failed == 2
    assert [len(batch.works) for batch in bench.scan().batches] == [1, 1]
    bench.ingest()
    assert bench.rows("select count(*) from shaky_lines") == [(3,)]


def test_a_file_whose_reader_dies_again_waits_like_any_other_that_failed(tmp_path):
    bench = make(tmp_path, Shaky(fails=False))
    fence = Fence(name="test", token=1)
    pipeline.fail(bench, bench.scan().batches[0], "the worker was lost", fence)
    pipeline.fail(bench, bench.scan().batches[0], "the worker was lost", fence)
    again = bench.scan()
    assert (len(again.batches), again.waiting) == (1, 1)
