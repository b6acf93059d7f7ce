"""Reports out of the warehouse."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.prices import Price, Prices
from tasks.usage_report import Grouping, report
from tests.integration.pipeline_bench import Bench
from tests.integration.test_usage_sessions import answered, called
from workers.demo.sessions import Script

PRICES = Prices(currency="EUR", models={"claude-*": Price(input=1, output=1, cache_read=1, cache_creation=1)})


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("by", [Grouping.DAY, Grouping.USER, Grouping.MODEL])
def test_every_grouping_adds_up_to_the_same(bench, by):
    scripts = [Script(seed=seed, session_id=f"s{seed}") for seed in range(3)]
    for number, script in enumerate(scripts):
        bench.write(f"u{number % 2}/s{number}.jsonl", *script.turns(5))
    bench.ingest()
    found = report(bench.warehouse, by, None, PRICES)
    assert sum(row[found.columns.index("messages")] for row in found.rows) == sum(s.figures.messages for s in scripts)
    output = sum(row[found.columns.index("output_tokens")] for row in found.rows)
    assert output == sum(script.figures.output_tokens for script in scripts)
    assert sum(row[-1] for row in found.rows) > 0
    assert found.unknown_models == ()


def test_only_what_came_since_an_instant_is_told(bench):
    bench.write("u/s.jsonl", called("t1", at="2026-01-05T10:00:00Z"), called("t2", at="2026-01-06T10:00:00Z"))
    bench.ingest()
    since = datetime(2026, 1, 6, tzinfo=UTC)
    assert [row[1] for row in report(bench.warehouse, Grouping.DAY, since, None).rows] == [1]
    assert report(bench.warehouse, Grouping.TOOL, since, None).rows[0][2] == 1
    assert report(bench.warehouse, Grouping.TOOL, since + timedelta(days=1), None).rows == ()


def test_tools_are_told_with_error_rates_and_durations(bench):
    for number in range(10):
        bench.write(
            f"u/s{number}.jsonl",
            called(f"t{number}", at="2026-01-05T10:00:00Z"),
            answered(f"t{number}", is_error=number == 0, at=f"2026-01-05T10:00:{number + 1:02}Z"),
            called(f"x{number}", "Read"),
        )
    bench.ingest()
    found = report(bench.warehouse, Grouping.TOOL, None, None)
    tools = {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}
    assert (tools["Bash"]["calls"], tools["Bash"]["errors"], tools["Bash"]["error_rate"]) == (10, 1, 0.1)
    assert (tools["Bash"]["p50_s"], tools["Bash"]["p95_s"]) == (5.5, pytest.approx(9.55))
    assert (tools["Read"]["error_rate"], tools["Read"]["p95_s"]) == (None, None)
    assert bench.rows("select calls from usage_tools_by_day order by tool") == [(10,), (10,)]
