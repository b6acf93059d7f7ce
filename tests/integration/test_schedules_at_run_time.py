"""`celery -A workers schedule …` on a real Redis, a real beat and a real worker."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from tasks.domain.claims import LedgerEntry, Terms
from tasks.domain.outcomes import Launch, Outcome, Run, Source
from tasks.domain.schedules import ScheduleState
from tasks.domain.slots import slot_text
from tasks.ports import Services
from tests.conftest import StartProcess, eventually
from workers.beat_history import HistoryWriter
from workers.beat_work import Hands, open_work
from workers.cli.audit import audit
from workers.cli.schedule import schedule
from workers.schedule_restore import restore
from workers.services import make_services
from workers.settings import Settings
from workers.upkeep import Drain

PAST = timedelta(seconds=30)


@dataclass(kw_only=True)
class World:
    services: Services

    def run(self, *words: str) -> Result:
        settings = SimpleNamespace(ledger_retention=timedelta(days=90))
        app = SimpleNamespace(services=self.services, settings=settings)
        return CliRunner().invoke(schedule, words, obj=SimpleNamespace(app=app, no_color=True))

    def good(self, *words: str) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *words: str) -> str:
        result = self.run(*words)
        assert result.exit_code == 1, result.output
        return result.output

    def row(self, job: str) -> dict[str, Any]:
        return next(row for row in json.loads(self.good("list", "--json")) if row["job"] == job)

    def runs(self, job: str) -> list[Run]:
        entries = self.services.ledger.read("0", 10_000)
        return [each.run for each in entries if isinstance(each, LedgerEntry) and each.run.job == job]

    def under_way(self, job: str) -> list[str]:
        """Return the slots of one job that are dispatched or running; other jobs may have no worker here."""
        return [each for each in self.services.records.hot_slots.under_way() if each.startswith(f"{job}/")]

    def outcomes(self, job: str) -> list[Outcome]:
        return [run.outcome for run in self.runs(job)]


@pytest.fixture
def world(redis_url: str, tmp_path: Path) -> World:
    settings = Settings.read(None, redis_url=redis_url, data_dir=tmp_path / "data", session_data_dir=tmp_path)
    services = make_services(settings)
    services.claims.open()
    restore(services)
    return World(services=services)


def test_a_schedule_is_made_listed_changed_and_deleted(world: World) -> None:
    world.good("add", "mine", "every 15m", "--path", "/api/x", "--body", '{"a": 1}', "--repeat", "3")
    assert (world.row("mine")["cadence"], world.row("mine")["left"]) == ("every 15m", 3)
    world.good("change", "mine", "--schedule", "weekdays at 09:30", "--timezone", "Europe/Prague")
    assert (world.row("mine")["timezone"], world.row("mine")["left"]) == ("Europe/Prague", 3)
    assert world.services.job("mine").action.body.content == '{"a": 1}'
    world.good("delete", "mine")
    assert "mine" not in world.good("list")
    assert "no schedule 'mine'" in world.refused("change", "mine", "--timeout", "5")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("add", "mine", "30m", "--path", "/"), "every 30m"),
        (("add", "mine", "0 0 31 2 *", "--path", "/"), "0 0 31 2 *"),
        (("add", "mine", "every 5m"), "exactly one"),
        (("add", "mine", "every 5m", "--path", "/", "--timezone", "Europe/Prag"), "Europe/Prague"),
        (("add", "health-check", "every 5m", "--path", "/"), "the job table has 'health-check' already"),
        (("add", "mine", "every 5m", "--path", "/", "--header", "X-Key=NOT_THERE"), "NOT_THERE is not set"),
        (("add", "session-processor:x", "every 5m", "--processor", "x"), "there are: usage, verification"),
        (("change", "health-check", "--timeout", "5"), "is in the job table"),
        (("delete", "health-check"), "is in the job table"),
        (("resume", "health-check"), "is not paused"),
        (("pause", "nonsense"), "no job is named 'nonsense'"),
        (("run-now", "nonsense"), "no job is named 'nonsense'"),
    ],
)
def test_what_can_t_be_done_is_refused_with_the_reason(world: World, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in world.refused(*words)
    assert "mine" not in world.good("list")


def test_a_schedule_in_words_counts_from_when_it_was_made(world: World) -> None:
    world.good("add", "mine", "in 30m", "--path", "/")
    assert world.row("mine")["cadence"].startswith("at 20")
    assert str(world.services.job("mine").cadence) == world.row("mine")["cadence"]


def test_a_paused_job_says_why(world: World) -> None:
    world.good("pause", "health-check", "--reason", "deploy")
    assert (world.row("health-check")["state"], world.row("health-check")["remark"]) == ("paused", "deploy")
    world.good("resume", "health-check")
    assert world.row("health-check")["state"] == "active"


def test_slots_that_no_beat_took_before_the_change_are_missed(world: World) -> None:
    world.good("add", "mine", "every 1s", "--path", "/")
    client = world.services.store._redis
    since = int((datetime.now(UTC) - PAST).timestamp() * 1_000_000)
    client.hset("escapement:sinces", "mine", since)
    client.set("escapement:epoch", since // 1000 - 1000)
    world.good("pause", "mine")
    assert PAST.total_seconds() <= len(world.outcomes("mine")) <= PAST.total_seconds() + 10
    assert set(world.outcomes("mine")) == {Outcome.MISSED}


def test_an_entry_that_can_t_be_decoded_is_listed_with_its_error(world: World) -> None:
    world.good("add", "mine", "every 5m", "--path", "/")
    world.services.store._redis.hset("escapement:schedules", "mine", "{nonsense")
    row = world.row("mine")
    assert row["state"] == "broken"
    assert "no JSON" in row["remark"]
    assert world.row("health-check")["state"] == "active"


def test_a_job_is_not_run_by_hand_while_it_runs(world: World) -> None:
    slot = datetime.now(UTC) + timedelta(seconds=60)
    launch = Launch(job="health-check", key=slot_text(slot), slot=slot, source=Source.BEAT, run_id="x")
    world.services.claims.claim(launch, Terms(), worker="a")
    assert f"is running: {launch.identity}" in world.refused("run-now", "health-check")


def test_schedules_and_pauses_come_back_after_redis_lost_its_data(world: World) -> None:
    world.good("add", "mine", "every 15m", "--path", "/api/x", "--repeat", "3")
    world.good("add", "gone", "every 15m", "--path", "/api/x")
    world.good("delete", "gone")
    world.good("pause", "data-refresh", "--reason", "deploy")
    Drain(world.services).run()
    before = world.row("mine")
    world.services.store._redis.flushall()
    assert "2 schedule(s) came back" in world.good("restore")
    assert "nothing to restore" in world.good("restore")
    assert world.row("mine") == before
    assert world.row("data-refresh")["remark"] == "deploy"
    assert "gone" not in world.good("list")


def test_a_beat_that_meets_an_emptied_redis_has_them_back_before_its_first_slot(world: World) -> None:
    world.good("add", "mine", "every 15m", "--path", "/api/x")
    world.good("pause", "data-refresh", "--reason", "deploy")
    Drain(world.services).run()
    world.services.store._redis.flushall()
    hands = Hands(send=lambda _: None, history=HistoryWriter(), stopping=lambda: False)
    work = open_work(world.services, now := datetime.now(UTC), begin=now, node="one", hands=hands)
    jobs = set(work.dispatcher.timetable.jobs)
    assert jobs == {*world.services.jobs, "mine"} - {"data-refresh"}


def test_slots_from_before_redis_lost_its_data_are_missed_with_that_reason(world: World) -> None:
    world.good("add", "mine", "every 1s", "--path", "/api/x")
    Drain(world.services).run()
    time.sleep(2.1)
    world.services.store._redis.flushall()
    hands = Hands(send=lambda _: None, history=HistoryWriter(), stopping=lambda: False)
    work = open_work(world.services, now := datetime.now(UTC), begin=now, node="one", hands=hands)
    hands.history.start()
    work.tick(datetime.now(UTC))
    missed = eventually(lambda: found if len(found := world.runs("mine")) >= 2 else [])
    assert {run.outcome for run in missed} == {Outcome.MISSED}
    assert all("Redis lost its data" in str(run.error) for run in missed)


def test_nothing_is_changed_before_the_store_is_there(redis_url: str, tmp_path: Path) -> None:
    settings = Settings.read(None, redis_url=redis_url, data_dir=tmp_path / "data", session_data_dir=tmp_path)
    assert "schedule restore" in World(services=make_services(settings)).refused("pause", "health-check")


class Api(ThreadingHTTPServer):
    """Remembers the key of every call; `/slow` hangs until it is released."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: list[str] = []
        self.released = Event()

    def of(self, job: str) -> list[str]:
        """Return the calls of one job; those of the job table come when their time comes."""
        return [key for key in self.keys if key.startswith(f"{job}/")]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Api)
        self.server.keys.append(self.headers["Idempotency-Key"])
        if self.path == "/slow":
            self.server.released.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


def test_a_running_beat_and_worker_follow_every_change(  # noqa: PLR0913, PLR0917 - each is a fixture
    world: World, api: Api, clean_env: dict[str, str], redis_url: str, start_process: StartProcess, tmp_path: Path
) -> None:
    env = clean_env | {
        "REDIS_URL": redis_url,
        "API_URL": f"http://127.0.0.1:{api.server_port}",
        "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
    }
    start_process("beat", "celery", "-A", "workers", "beat", "-l", "info", env=env)
    worker = ("celery", "-A", "workers", "worker", "-l", "info", "-Q", "http", "-P", "threads", "-c", "4")
    start_process("http", *worker, env=env)
    assert eventually(lambda: "ready." in (tmp_path / "http.log").read_text(), 30)
    with redis.Redis.from_url(redis_url) as client:
        assert eventually(lambda: client.keys("escapement:beat:*"), 30)

    world.good("add", "mine", "every 1s", "--path", "/quick", "--repeat", "2")
    assert eventually(lambda: world.row("mine")["left"] == 0, 30)
    assert eventually(lambda: world.outcomes("mine") == [Outcome.OK, Outcome.OK], 30), world.outcomes("mine")
    assert world.services.store.find("mine").schedule.state is ScheduleState.PAUSED

    world.good("change", "mine", "--repeat", "0")
    world.good("resume", "mine")
    assert eventually(lambda: len(api.of("mine")) > 3, 30)
    world.good("pause", "mine", "--reason", "enough")
    assert eventually(lambda: not world.under_way("mine"), 30)
    done = len(api.of("mine"))
    assert not eventually(lambda: len(api.of("mine")) > done, 3)

    world.good("change", "mine", "--path", "/slow")
    command = ("celery", "-A", "workers", "schedule", "run-now", "mine")
    key = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True).stdout.split()[-1]
    assert eventually(lambda: f"mine/{key}" in api.keys, 30)
    assert "is running" in world.refused("run-now", "mine")
    api.released.set()
    assert eventually(lambda: not world.under_way("mine"), 30)


def test_the_audit_stays_empty_through_a_pause(world: World) -> None:
    world.good("pause", "health-check")
    settings = SimpleNamespace(ledger_retention=timedelta(days=90))
    app = SimpleNamespace(services=world.services, settings=settings)
    result = CliRunner().invoke(audit, [], obj=SimpleNamespace(app=app, no_color=True))
    assert (result.exit_code, "0 vanished" in result.output) == (0, True)


def test_a_job_that_no_beat_knew_begins_after_the_startup_grace(world: World) -> None:
    hands = Hands(send=lambda _: None, history=HistoryWriter(), stopping=lambda: False)
    now = datetime.now(UTC)
    work = open_work(world.services, now, begin=now + timedelta(days=2), node="one", hands=hands)
    assert work.dispatcher.timetable.take_due(now + timedelta(days=1)) == []
