"""The ledger from the stream into DuckDB and back to whoever asks, on a real Redis and a real file."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import redis

from tasks.adapters.warehouse import DuckWarehouse
from tasks.domain.cadence import Interval
from tasks.domain.history import Wanted
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.domain.slots import slot_text
from tasks.domain.streaks import Alert, Delivery, Event
from tasks.errors import WarehouseBusyError
from tests.ledger_services import LedgerServices
from workers.upkeep import ENTRIES_KEPT, Drain, Prune

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


class SilentHook:
    """Makes alerts wanted; nobody calls it here."""

    def send(self, alert: Alert) -> Delivery:
        raise AssertionError(alert)


@dataclass
class World:
    """The services of a warehouse worker, and runs that end."""

    services: LedgerServices
    client: "redis.Redis[str]"
    file: Path

    def end(self, outcome: str = "ok", *, minute: int = 0, job: str = "ping", **more: object) -> None:
        self.client.xadd("escapement:ledger", entry(outcome, minute=minute, job=job, **more))

    def drain(self) -> int:
        return Drain(self.services).run()

    def rows(self, sql: str) -> list[tuple]:
        return self.services.warehouse.query(sql)[1]

    def listed(self, **wanted: object) -> list[tuple[str, Outcome]]:
        return [(run.key[11:16], run.outcome) for run in self.services.records.view.runs(Wanted(**wanted))]


def entry(outcome, *, minute, job, error="", finished=None, **more):
    slot = NOON + minute * MINUTE
    run = Run(
        **{
            "job": job, "key": slot_text(slot), "slot": slot, "source": Source.BEAT, "outcome": Outcome.UNKNOWN,
            "run_id": f"id-{minute}", "claimed_at": slot, "finished_at": finished or slot, **more,
        }
    )  # fmt: skip
    return {"run": msgspec.json.encode(run).decode(), "outcome": outcome, "error": error, "at_us": "1"}


@pytest.fixture
def world(redis_url, tmp_path):
    file = tmp_path / "warehouse.duckdb"
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield World(LedgerServices(client=client, file=file, hook=SilentHook()), client, file)


@pytest.fixture
def lock(world) -> Callable[[], subprocess.Popen]:
    """Another process that has the warehouse open."""
    held = []

    def hold():
        world.drain()
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(world.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        held.append(holder)
        assert holder.stdout.readline() == "held\n"
        return holder

    yield hold
    for each in held:
        each.communicate()


def table(minutes=15):
    return {"ping": Job(name="ping", cadence=Interval(every=minutes * MINUTE), action=HttpCall(
        method=Method.GET, url="/", timeout=1))}  # fmt: skip


def test_schedules_and_runs_share_the_stream_and_end_in_tables_of_their_own(world):
    world.services.records.schedules.publish(table(), NOON, by="one")
    world.end("ok", minute=15)
    assert world.drain() == 2
    assert world.rows("select job, cadence, since, author from schedules") == [("ping", "every 15m", NOON, "one")]
    assert world.rows("select job, outcome from runs") == [("ping", "ok")]


def test_draining_again_from_the_start_changes_nothing(world):
    world.services.records.schedules.publish(table(), NOON, by="one")
    world.end("failed")
    world.drain()
    before = [world.rows(f"select * from {each} order by 1") for each in ("schedules", "runs", "streaks", "alerts")]
    again = Drain(world.services)
    again._after = "0"
    assert again.run() == 2
    after = [world.rows(f"select * from {each} order by 1") for each in ("schedules", "runs", "streaks", "alerts")]
    assert before == after


def test_the_schedule_history_is_read_before_it_is_drained_and_after(world):
    schedules, view = world.services.records.schedules, world.services.records.view
    schedules.publish(table(), NOON, by="one")
    assert [each.schedule.cadence for each in view.schedule_changes()] == ["every 15m"]
    world.drain()
    schedules.publish(table(20), NOON + MINUTE, by="one")
    assert [(each.schedule.cadence, each.since) for each in view.schedule_changes()] == [
        ("every 15m", NOON),
        ("every 20m", NOON),
    ]


def test_runs_are_listed_whether_drained_or_not_the_newest_first(world):
    world.end("ok", minute=1)
    world.drain()
    world.end("failed", minute=2)
    assert world.listed() == [("12:02", Outcome.FAILED), ("12:01", Outcome.OK)]
    assert world.listed(outcome=Outcome.OK) == [("12:01", Outcome.OK)]
    assert world.listed(since=NOON + 2 * MINUTE) == [("12:02", Outcome.FAILED)]
    assert world.listed(most=1) == [("12:02", Outcome.FAILED)]
    assert world.listed(job="pong") == []


def test_a_run_comes_out_of_the_warehouse_as_it_went_in(world):
    world.end("ok", detail={"status": 200}, error="", token=7, dispatched_at=NOON, lateness_s=0.25, worker="box:1")
    (from_stream,) = world.services.records.view.runs(Wanted())
    world.drain()
    assert world.services.records.view.without_stream().runs(Wanted()) == [from_stream]


def test_an_outcome_in_the_stream_replaces_the_one_in_the_warehouse(world):
    world.end("unknown", minute=1)
    world.drain()
    world.end("fenced", minute=1)
    assert world.listed() == [("12:01", Outcome.FENCED)]
    assert world.listed(outcome=Outcome.UNKNOWN) == []
    assert world.services.records.view.outcomes(NOON) == {"ping": {"2026-11-20T12:01:00Z": Outcome.FENCED}}
    assert world.services.records.view.run("ping", "id-1").outcome is Outcome.FENCED


def test_nothing_is_listed_before_anything_ran(world):
    assert world.listed() == []
    assert world.services.records.view.schedule_changes() == []
    assert world.services.records.view.streak("ping") is None


def test_streaks_are_counted_over_drains_and_restarts_and_each_event_is_queued_once(world):
    for minute, outcome in enumerate(("failed", "failed", "failed", "ok", "ok")):
        world.end(outcome, minute=minute)
        world.drain()
    events = [event for (event,) in world.rows("select event from alerts order by id")]
    assert sorted(events) == [Event.FAILING, Event.RECOVERED]


def test_a_crash_between_a_run_and_its_streak_loses_no_alert(world):
    world.end("ok")
    world.drain()
    world.end("failed", minute=1)
    entries = world.services.ledger.read("0", 10)
    world.services.warehouse.append_runs([(each.stream_id, each.run) for each in entries])
    assert world.services.records.view.streak("ping").failures == 0
    world.drain()
    assert world.services.records.view.streak("ping").failures == 1
    assert world.rows("select event, state from alerts") == [("failing", "queued")]


def test_without_a_hook_streaks_are_counted_and_no_alert_is_kept(world):
    world.services = replace(world.services, hook=None)
    world.end("failed")
    world.drain()
    assert world.services.records.view.streak("ping").failures == 1
    assert world.rows("select * from alerts") == []


def test_an_alert_is_taken_once_and_what_became_of_it_is_kept(world):
    books = world.services.records.books
    world.end("failed")
    world.end("failed", job="pong")
    world.drain()
    first, second = books.take_alerts(10)
    assert books.take_alerts(10) == []
    books.end_alerts([Delivery(id=first.id, attempts=2), Delivery(id=second.id, attempts=4, error="HTTP 500")], NOON)
    assert sorted(world.rows("select state, attempts, error from alerts")) == [
        ("failed", 4, "HTTP 500"),
        ("sent", 2, None),
    ]


def test_an_alert_whose_sender_died_is_not_sent_again(world):
    world.end("failed")
    world.drain()
    world.services.records.books.take_alerts(10)
    world.services.records.books.forget_taken(NOON)
    assert world.services.records.books.take_alerts(10) == []
    assert world.rows("select state from alerts") == [("unknown",)]


def test_runs_are_kept_for_the_retention_and_no_longer(world):
    world.end("ok", minute=0)
    world.end("unknown", minute=60 * 24)
    world.drain()
    prune = Prune(world.services, timedelta(days=90))
    prune.run(NOON + timedelta(days=90, minutes=1))
    assert [key for (key,) in world.rows("select key from runs")] == ["2026-11-21T12:00:00Z"]
    prune.run(NOON + timedelta(days=91, minutes=-1))
    assert len(world.rows("select key from runs")) == 1
    prune.run(NOON + timedelta(days=92))
    assert world.rows("select key from runs") == []


def test_old_runs_are_looked_for_once_an_hour(world):
    prune = Prune(world.services, timedelta(days=1))
    prune.run(NOON + timedelta(days=1))
    world.end("ok", minute=-1)
    world.drain()
    prune.run(NOON + timedelta(days=1, minutes=59))
    assert len(world.rows("select key from runs")) == 1
    prune.run(NOON + timedelta(days=1, minutes=60))
    assert world.rows("select key from runs") == []


def test_the_stream_is_capped_but_never_loses_what_is_not_in_the_warehouse(world, lock):
    holder = lock()
    many = ENTRIES_KEPT + 50
    with world.client.pipeline(transaction=False) as pipeline:
        for minute in range(many):
            pipeline.xadd("escapement:ledger", entry("ok", minute=minute, job="ping"))
        pipeline.execute()
    impatient = replace(world.services)
    impatient.warehouse = DuckWarehouse(world.file, {}, clock=world.services.clock.now, patience_s=0.2)
    with pytest.raises(WarehouseBusyError):
        Drain(impatient).run()
    assert world.client.xlen("escapement:ledger") == many
    holder.communicate()
    assert world.drain() == many
    assert world.client.xlen("escapement:ledger") == ENTRIES_KEPT
    assert world.rows("select count(*) from runs") == [(many,)]
