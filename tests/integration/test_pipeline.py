from dataclasses import asdict
from pathlib import Path

import pytest

from tests.integration.pipeline_bench import Bench
from workers.demo.sessions import Script

SHARED = Path(__file__).parents[2].parent / "shared" / "sessions"
ALICE = ("alice", "c45af7b1-cb7c-4e51-93db-8cbb250a877a")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real transcripts are not part of this tree")
def test_a_real_transcript_gives_the_figures_counted_by_hand(tmp_path):
    bench = Bench(tmp_path, root=SHARED)
    bench.ingest()
    alice = bench.sessions()[ALICE]
    assert (alice["messages"], alice["tool_calls"]) == (12, 10)
    assert (alice["input_tokens"], alice["output_tokens"]) == (132, 1480)
    assert (alice["cache_read_tokens"], alice["cache_creation_tokens"]) == (223265, 8467)
    assert bench.cursor(f"alice/{ALICE[1]}.jsonl")["lines"] == 63
    by_tool = bench.rows("select name, count(*) from usage_tools where username = 'alice' group by 1 order by 1")
    assert by_tool == [("Bash", 5), ("Read", 2), ("Write", 3)]
    assert bench.sessions()["bob", ALICE[1]]["messages"] == 1


def test_a_generated_transcript_gives_the_figures_it_was_written_with(bench):
    script = Script(seed=7, session_id="s7")
    bench.write("alice/project/s7.jsonl", *script.turns(30))
    bench.ingest()
    assert asdict(script.figures).items() <= bench.sessions()["alice", "s7"].items()
    assert script.figures.tool_errors > 0 < script.figures.mcp_calls


def test_what_was_read_is_not_read_again(bench):
    bench.write("alice/s.jsonl", *Script(seed=1, session_id="s").turns(3))
    bench.ingest()
    plan = bench.scan()
    assert (plan.batches, plan.unchanged, plan.seen) == ((), 1, 1)


def test_committing_the_same_batch_twice_changes_nothing(bench):
    bench.write("alice/s.jsonl", *Script(seed=1, session_id="s").turns(3))
    (staged,) = bench.stage()
    first = bench.commit(staged)
    before = bench.sessions()
    again = bench.commit(staged)
    assert (first.files, first.moved) == (1, 0)
    assert (again.files, again.rows, again.moved) == (0, 0, 1)
    assert bench.sessions() == before
