"""Verification from beat to knowledge: real Redis, real beat and workers, a real endpoint that fails on demand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from tasks.adapters.claims import RedisLedger
from tasks.adapters.warehouse_open import opened
from tasks.domain.claims import LedgerEntry
from tasks.domain.outcomes import Outcome
from tests.conftest import StartProcess, end_process, eventually, unused_port
from tests.integration.verification_bench import JOB, line, says
from tests.model_server import ModelServer, model_server

KEY = "sk-very-secret-0123456789"
APRIL = "correction in finance: The fiscal year starts in April."
SOON = {"SCHEDULER_VERIFICATION_DETECTOR_INTERVAL": "2", "SCHEDULER_TICK_SECONDS": "1"}
NOT_NOW = {"SCHEDULER_STARTUP_GRACE_SECONDS": "0", "SCHEDULER_SCRIPT_RUN_INTERVAL": "86400"}


@dataclass(kw_only=True)
class World:
    """Beat runs from the start; workers are started and stopped by the test."""

    env: dict[str, str]
    folder: Path
    start: StartProcess
    ledger: RedisLedger
    endpoint: ModelServer
    workers: list = field(default_factory=list)

    def start_workers(self, **env: str) -> None:
        for queue, size in (("http", "8"), ("warehouse", "1")):
            name = f"{queue}-{len(self.workers)}"
            words = ("worker", "-Q", queue, "-P", "threads", "-c", size, "-n", f"{name}@%h", "-l", "info")
            self.workers.append(self.start(name, "celery", "-A", "workers", *words, env=self.env | env))

    def stop_workers(self) -> None:
        for worker in self.workers:
            end_process(worker)

    def configured(self, style: str = "openai") -> dict[str, str]:
        return {
            "VERIFICATION_LLM_URL": self.endpoint.urls[style],
            "VERIFICATION_LLM_MODEL": "m-1",
            "VERIFICATION_LLM_API_KEY": KEY,
            "VERIFICATION_LLM_STYLE": style,
        }

    def write(self, path: str, *lines: bytes) -> None:
        target = Path(self.env["DATA_DIR"]) / "sessions" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(lines))

    def runs(self, outcome: Outcome) -> list:
        entries = [each.run for each in self.ledger.read("0", 10_000) if isinstance(each, LedgerEntry)]
        return [run for run in entries if run.job == JOB and run.outcome is outcome]

    def sql(self, text: str, *, read_only: bool = True) -> list[tuple]:
        file = Path(self.env["DATA_DIR"]) / "warehouse.duckdb"
        if not file.exists():
            return []
        with opened(file, patience_s=20, read_only=read_only) as connection:
            return connection.execute(text).fetchall()

    def knowledge(self) -> list[tuple]:
        known = self.sql("select 1 from duckdb_views() where view_name = 'knowledge'")
        return known and self.sql("select content, evidence, verifiers from knowledge order by content")

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


@pytest.fixture
def world(clean_env, redis_url: str, start_process: StartProcess, tmp_path: Path) -> Iterator[World]:
    env = clean_env | SOON | NOT_NOW | {"REDIS_URL": redis_url, "API_URL": f"http://127.0.0.1:{unused_port()}"}
    start_process("beat", "celery", "-A", "workers", "beat", "-l", "info", env=env)
    with model_server(unused_port()) as endpoint, redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield World(env=env, folder=tmp_path, start=start_process, ledger=RedisLedger(client), endpoint=endpoint)


def test_it_says_that_it_is_not_configured_and_works_once_it_is_while_beat_goes_on(world):
    world.write("alice/s.jsonl", line("assistant", "It starts in January."), says(f"No. {APRIL}"))
    world.write("alice/s/subagents/agent-1.jsonl", says("correction in ops: Deploy on Friday."))
    world.start_workers()
    skipped = eventually(lambda: world.runs(Outcome.SKIPPED), 40)
    assert skipped, world.logs()
    assert "not configured: set VERIFICATION_LLM_URL" in skipped[0].error
    world.stop_workers()
    world.start_workers(**world.configured("anthropic"))
    assert eventually(world.knowledge, 40) == [("The fiscal year starts in April.", 1, 1)], world.logs()
    assert len(world.endpoint.requests()) == 1
    asked = [run for run in eventually(lambda: world.runs(Outcome.OK)) if run.detail.get("asked")]
    assert [(run.detail["files"], run.detail["knowledge"]) for run in asked] == [(2, 1)]


def test_an_outage_is_a_failed_run_after_which_every_session_is_done(world, redis_url):
    world.endpoint.behave("status:503")
    for number in range(8):
        world.write(f"user{number}/s{number}.jsonl", says(APRIL))
    world.start_workers(**world.configured())
    (failed, *_) = eventually(lambda: world.runs(Outcome.FAILED), 60)
    assert "HTTP 503" in failed.error
    assert failed.detail["files"] == 0
    assert world.knowledge() == []
    world.endpoint.behave("reset", "status:429/1", "raw:no JSON", "answer")
    eventually(lambda: world.runs(Outcome.OK), 60)
    world.sql("update session_files set next_retry_at = '2000-01-01' where error is not null", read_only=False)
    done = [("The fiscal year starts in April.", 8, 8)]
    assert eventually(lambda: world.knowledge() == done, 60), (world.knowledge(), world.logs())
    assert world.sql("select count(*) from session_files where error is not null") == [(0,)]
    assert not world.runs(Outcome.UNKNOWN) + world.runs(Outcome.FENCED)
    with redis.Redis.from_url(redis_url) as client:
        kept = b"".join(client.dump(key) or b"" for key in client.scan_iter())
    assert KEY not in world.logs()
    assert KEY.encode() not in kept
