"""`celery -A workers usage` on a real warehouse: tables, costs, a picture, and what is wrong in one line."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tests.integration.pipeline_bench import Bench
from workers.cli.usage import usage
from workers.demo.sessions import Script

PRICES = """
currency = "EUR"

[models."claude-sonnet-*"]
input = 3.0
output = 15.0
cache_read = 0.3
cache_creation = 3.75
"""
PNG = b"\x89PNG\r\n\x1a\n"


class Shell(Bench):
    """A warehouse, and the command as it runs in a shell with these settings."""

    prices = None

    def fill(self):
        scripts = [Script(seed=seed, session_id=f"s{seed}") for seed in range(3)]
        for number, script in enumerate(scripts):
            self.write(f"u{number % 2}/s{number}.jsonl", *script.turns(8))
        self.ingest()
        return scripts

    def call(self, *args):
        services = SimpleNamespace(warehouse=self.warehouse, clock=SimpleNamespace(now=self.clock))
        app = SimpleNamespace(services=services, settings=SimpleNamespace(usage_prices_file=self.prices))
        return CliRunner().invoke(usage, args, obj=SimpleNamespace(app=app))

    def json(self, *args):
        done = self.call(*args, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def models(self):
        return sorted({model for (model,) in self.rows("select model from usage_models where model <> ''")})


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture
def priced(shell, tmp_path):
    """Everything is read, and only the models of one family have a price."""
    shell.fill()
    shell.prices = tmp_path / "prices.toml"
    shell.prices.write_text(PRICES.replace("claude-sonnet-*", shell.models()[0]))
    return shell


def test_usage_is_told_by_day_unless_asked_otherwise(shell):
    scripts = shell.fill()
    table = shell.call()
    days = [row["day"] for row in shell.json()["rows"]]
    assert days == sorted(days)
    assert f"│ {days[0]} " in table.stdout
    rows = shell.json("--by", "user")["rows"]
    assert [row["user"] for row in rows] == ["u0", "u1"]
    assert sum(row["output_tokens"] for row in rows) == sum(script.figures.output_tokens for script in scripts)
    assert "cost" not in rows[0]


def test_models_without_a_price_are_listed_and_in_no_cost(priced):
    known, *unknown = priced.models()
    assert unknown
    found = priced.json("--by", "model")
    costs = {row["model"]: row["cost"] for row in found["rows"]}
    assert costs[known] > 0
    assert [costs[model] for model in unknown] == [None] * len(unknown)
    assert (found["currency"], found["unknown_models"]) == ("EUR", unknown)
    done = priced.call("--by", "user")
    assert "costs in EUR" in done.stdout
    assert f"without a price, in no cost: {', '.join(unknown)}" in done.stderr


def test_messages_without_a_time_are_told_without_a_day(shell):
    message = b'{"type":"assistant","message":{"id":"m","model":"a","usage":{"output_tokens":3}}}\n'
    shell.write("u/s.jsonl", message)
    shell.ingest()
    assert [(row["day"], row["output_tokens"]) for row in shell.json()["rows"]] == [(None, 3)]
    assert "│ 3 " in shell.call().stdout


def test_only_what_came_since_is_told(shell):
    shell.fill()
    assert shell.json("--by", "tool", "--since", "2026-11-20")["rows"] == []
    assert shell.json("--by", "tool", "--since", "2020-01-01")["rows"] == shell.json("--by", "tool")["rows"] != []


@pytest.mark.parametrize("by", ["day", "user", "model", "tool"])
def test_every_grouping_can_be_drawn(priced, tmp_path, by):
    assert priced.call("--by", by, "--plot", str(tmp_path / "out.png")).exit_code == 0
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "prices.toml can't be read: No such file or directory"),
        ("currency = ", "prices.toml is no price table: "),
        ('currency = "EUR"', "prices.toml is no price table: Object missing required field `models`"),
        (PRICES.replace("3.0", "-3.0"), "prices.toml has negative prices: claude-sonnet-*"),
    ],
)
def test_a_price_table_that_can_not_be_used_is_one_line_with_its_variable(shell, tmp_path, text, problem):
    shell.fill()
    shell.prices = tmp_path / "prices.toml"
    if text is not None:
        shell.prices.write_text(text)
    done = shell.call()
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: USAGE_PRICES_FILE={tmp_path}")
    assert problem in line


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--by", "week"), "'week' is not one of 'day', 'user', 'model', 'tool'"),
        (("--since", "never"), "'never' is no moment; accepted are"),
        (("--plot", "/nowhere/out.png"), "can't be written: No such file or directory"),
    ],
)
def test_a_mistake_is_named(shell, args, problem):
    shell.fill()
    done = shell.call(*args)
    assert done.exit_code != 0
    assert problem in done.stderr


def test_before_anything_was_read_there_is_nothing_to_tell(shell):
    done = shell.call()
    assert done.exit_code == 1
    assert "there is no warehouse yet" in done.stderr
