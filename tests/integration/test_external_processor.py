"""A processor of another package, found by its entry point, beside the one of the house."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points

import duckdb
import pytest

from tasks import pipeline
from tasks.domain.batches import Budget, Fence
from tasks.processors import GROUP, load
from tests.integration.pipeline_bench import Bench

MODULE = """
class LineCounter:
    name = "counter"
    version = 3
    ddl = "create table if not exists counter_lines (file bigint, line bigint, kind text);"
    tables = ("counter_lines",)
    compared = ("counter_lines",)

    def extract(self, lines, context):
        numbered = enumerate(lines, context.first_line)
        return {"counter_lines": [(context.file, number, line.type) for number, line in numbered]}


class NoProcessor:
    pass


class Broken(LineCounter):
    name = "broken"
    ddl = "create table broken_lines (file bigint); create sundial;"
    tables = ("broken_lines",)


class Namesake(LineCounter):
    name = "usage"


class Verifier(LineCounter):
    name = "verification"


class Shouting(LineCounter):
    name = "Lines/All"
"""
POINTS = """[escapement.processors]
counter = foreign_processors:LineCounter
absent = nowhere_to_be_found:Thing
broken = foreign_processors:Broken
odd = foreign_processors:NoProcessor
namesake = foreign_processors:Namesake
verifier = foreign_processors:Verifier
shouting = foreign_processors:Shouting
"""


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """An installed package with entry points, of which one is good."""
    site = tmp_path / "site"
    info = site / "foreign_processors-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "foreign_processors.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-processors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(site)
    return load(tuple(entry_points(group=GROUP)))


def test_a_good_one_is_found_and_the_others_are_named_with_their_reason(foreign):
    assert {"usage", "counter"} <= set(foreign.processors)
    assert "No module named" in foreign.problems["absent"]
    assert "is no Processor" in foreign.problems["odd"]
    assert "is taken" in foreign.problems["namesake"]
    assert "is taken" in foreign.problems["verifier"]
    assert "'Lines/All' can't be used; accepted: up to 60 of a-z" in foreign.problems["shouting"]
    assert foreign.processors.keys() == {"usage", "counter", "broken"}


def test_it_sees_the_lines_of_every_file_decoded_once_for_all(foreign, tmp_path):
    bench = Bench(tmp_path, processors={name: foreign.processors[name] for name in ("counter", "usage")})
    bench.write("u/s.jsonl", b'{"type":"user","timestamp":"2026-01-05T10:00:00Z"}\n', b'{"type":"system"}\n')
    bench.ingest()
    assert bench.rows("select line, kind from counter_lines order by line") == [(1, "user"), (2, "system")]
    assert bench.rows("select processor, version, lines from session_files order by 1") == [
        ("counter", 3, 2),
        ("usage", 1, 2),
    ]
    assert len(bench.sessions()) == 1


def test_tables_that_can_not_be_made_are_nobody_elses_problem(foreign, tmp_path):
    bench = Bench(tmp_path, processors=foreign.processors)
    path = bench.write("u/s.jsonl", b'{"type":"user"}\n')
    fence = Fence(name="test", token=1)

    def ingest(name):
        for batch in pipeline.scan(bench, (name,), Budget()).batches:
            pipeline.commit(bench, pipeline.process(bench, batch), fence)

    ingest("counter")
    with pytest.raises(duckdb.Error, match="sundial"):
        ingest("broken")
    path.write_bytes(b'{"type":"system"}\n')
    ingest("counter")
    assert bench.rows("select kind from counter_lines") == [("system",)]
    assert bench.warehouse.prune_sessions(datetime.now(UTC) + timedelta(days=1), []).rows == 1
