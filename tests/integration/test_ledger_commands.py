"""`history`, `why` and `audit` on a real Redis and a real warehouse file."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import redis
from click.testing import CliRunner

from tasks.domain.cadence import Interval
from tasks.domain.claims import Terms
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.outcomes import Launch, Outcome, Run, Source
from tasks.domain.slots import slot_text
from tests.fakes import FakeClock
from tests.ledger_services import LedgerServices
from workers.cli.audit import audit
from workers.cli.history import history
from workers.cli.why import why
from workers.upkeep import Drain

MINUTE = timedelta(minutes=1)
PING = Job(name="ping", cadence=Interval(every=MINUTE), action=HttpCall(method=Method.GET, url="/", timeout=1))


def this_minute():
    """A clock that stands still at a slot: what is expected does not depend on when a test runs."""
    return FakeClock(at=datetime.now(UTC).replace(second=0, microsecond=0))


@dataclass
class World:
    services: LedgerServices
    retention: timedelta = timedelta(days=90)

    def __post_init__(self):
        self.now = self.services.clock.now()
        self.newest = self.slot(0)

    def slot(self, back):
        """The newest slot of ping, or one so many minutes before."""
        return PING.cadence.latest_at_or_before(self.now, floor=self.now - MINUTE) - back * MINUTE

    def schedule(self, back):
        self.services.records.schedules.publish({"ping": PING}, self.slot(back), by="celerybeat@box")

    def launch(self, back):
        slot = self.slot(back)
        return Launch(
            job="ping", key=slot_text(slot), slot=slot, source=Source.BEAT, run_id=f"id-{back}",
            dispatched_at=slot + timedelta(milliseconds=5),
        )  # fmt: skip

    def dispatch(self, back):
        window_end = self.now + 10 * MINUTE
        self.services.dispatches.dispatch([(self.launch(back), window_end)], beat="celerybeat@box")
        self.services.dispatches.sent([self.launch(back)], beat="celerybeat@box")

    def claim(self, back):
        return self.services.claims.claim(self.launch(back), Terms(), worker="box:7")

    def end(self, back, outcome=Outcome.OK, error=None, **more):
        lease = self.claim(back)
        launch = lease.launch
        run = Run(
            job="ping", key=launch.key, slot=launch.slot, source=launch.source, run_id=launch.run_id, outcome=outcome,
            error=error, dispatched_at=launch.dispatched_at, claimed_at=lease.claimed_at,
            finished_at=lease.claimed_at, worker="box:7", **more,
        )  # fmt: skip
        self.services.claims.record(lease, run)

    def drain(self):
        Drain(self.services).run()

    def call(self, command, *args):
        settings = SimpleNamespace(ledger_retention=self.retention)
        app = SimpleNamespace(services=self.services, settings=settings)
        return CliRunner().invoke(command, args, obj=SimpleNamespace(app=app))


@pytest.fixture
def world(redis_url, tmp_path):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.set("escapement:epoch", 0)
        yield World(LedgerServices(client=client, file=tmp_path / "warehouse.duckdb", clock=this_minute()))


@pytest.fixture
def lonely(tmp_path, free_port):
    """The same, but Redis is away."""
    client = redis.Redis.from_url(f"redis://127.0.0.1:{free_port}", decode_responses=True)
    return World(LedgerServices(client=client, file=tmp_path / "warehouse.duckdb", clock=this_minute()))


def test_history_lists_what_is_drained_and_what_is_not(world):
    world.end(3)
    world.drain()
    world.end(2, Outcome.FAILED, error="HTTP 500: [red]no markup[/]\x1b[2J")
    listed = world.call(history)
    assert listed.exit_code == 0
    assert listed.output.index("│ failed") < listed.output.index("│ ok")
    assert "HTTP 500: [red]no markup[/]" in listed.output
    assert "\x1b" not in listed.output


def test_history_as_json_is_one_array_of_runs(world):
    world.end(3, detail={"status": 200})
    world.end(2, Outcome.FAILED, error="HTTP 500")
    newest, oldest = json.loads(world.call(history, "ping", "--json").stdout)
    assert (newest["outcome"], newest["error"]) == ("failed", "HTTP 500")
    assert (oldest["key"], oldest["detail"]) == (slot_text(world.slot(3)), {"status": 200})


def test_history_takes_less_of_it(world):
    for back in (30, 2, 1):
        world.end(back, Outcome.FAILED if back == 2 else Outcome.OK)
    assert len(json.loads(world.call(history, "--json").stdout)) == 3
    assert len(json.loads(world.call(history, "--json", "--since", "10m").stdout)) == 2
    assert len(json.loads(world.call(history, "--json", "--limit", "1").stdout)) == 1
    (failed,) = json.loads(world.call(history, "--json", "--outcome", "failed").stdout)
    assert failed["key"] == slot_text(world.slot(2))


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        (history, ["pong"], "no job is named 'pong'; did you mean ping? There are: ping"),
        (why, ["pong"], "no job is named 'pong'; did you mean ping? There are: ping"),
        (history, ["--since", "soon"], "'soon' is no moment; accepted are 2h (ago)"),
        (audit, ["--since", "soon"], "'soon' is no moment"),
        (why, ["ping", "soon"], "'soon' is no run of ping, and no moment"),
        (history, ["--outcome", "great"], "'great' is not one of"),
    ],
)
def test_a_mistake_of_the_user_is_answered_with_what_is_accepted(world, command, args, said):
    world.schedule(3)
    answer = world.call(command, *args)
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())
    assert "Traceback" not in answer.output


def test_history_without_redis_gives_what_the_warehouse_holds_and_says_so(world, lonely):
    world.end(3)
    world.drain()
    answer = lonely.call(history, "--json")
    assert len(json.loads(answer.stdout)) == 1
    assert "Redis can't be reached" in answer.stderr


def test_why_tells_a_run_from_the_ledger_and_the_name_of_its_beat_from_redis(world):
    world.schedule(3)
    world.dispatch(1)
    world.end(1, Outcome.FAILED, error="HTTP 500")
    told = world.call(why, "ping", slot_text(world.slot(1))).stdout
    assert f"ping was due at {slot_text(world.slot(1))} (every 1m). celerybeat@box dispatched it" in told
    assert "box:7 claimed it at" in told
    assert "It failed: HTTP 500." in told


def test_why_tells_a_slot_in_the_queue_one_that_runs_and_who_stands_in_the_way(world):
    world.schedule(5)
    world.claim(2)
    world.dispatch(1)
    running = world.call(why, "ping", slot_text(world.slot(2))).stdout
    waiting = world.call(why, "ping", slot_text(world.slot(1))).stdout
    assert "box:7 runs it since" in running
    assert "no worker has claimed it yet" in waiting
    assert f"The job is busy: ping/{slot_text(world.slot(2))} is still running." in waiting


def test_why_tells_a_run_by_hand_by_its_id(world):
    world.schedule(5)
    launch = Launch(job="ping", key="manual-7", slot=None, source=Source.MANUAL, run_id="7")
    lease = world.services.claims.claim(launch, Terms(), worker="box:7")
    run = Run(job="ping", key="manual-7", source=Source.MANUAL, run_id="7", outcome=Outcome.OK, token=lease.token)
    world.services.claims.record(lease, run)
    for name in ("7", "manual-7"):
        assert "Run manual-7 of ping. Somebody started it by hand." in world.call(why, "ping", name).stdout


def test_why_explains_a_run_that_no_known_schedule_asked_for(world):
    world.end(9)
    world.schedule(3)
    told = world.call(why, "ping", slot_text(world.slot(9))).stdout
    assert "It ended ok" in told


def test_why_without_redis_concludes_nothing_from_silence(world, lonely):
    world.schedule(9)
    world.drain()
    answer = lonely.call(why, "ping", slot_text(lonely.slot(8)))
    assert "Redis, which knows what is under way, can't be reached" in answer.stdout


def test_an_audit_finds_nothing_where_every_slot_is_recorded_or_under_way(world):
    world.schedule(10)
    for back in (9, 8, 7, 6):
        world.end(back, Outcome.SKIPPED if back == 8 else Outcome.OK)
    world.drain()
    world.claim(5)
    world.services.dispatches.miss([world.launch(4)], "nothing ran")
    world.dispatch(3)
    answer = world.call(audit)
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert "7 slots expected, 5 recorded (1 missed, 3 ok, 1 skipped), 2 under way, 0 vanished." in answer.stdout


def test_an_audit_lists_each_slot_that_vanished_and_exits_with_1(world):
    world.schedule(10)
    for back in (9, 7, 6, 5, 4, 3):
        world.end(back)
    answer = world.call(audit)
    assert answer.exit_code == 1
    assert "1 vanished" in answer.stdout
    assert slot_text(world.slot(8)) in answer.stdout
    assert slot_text(world.slot(7)) not in answer.stdout


def test_an_audit_asks_for_no_slot_that_may_have_been_forgotten(world):
    world.schedule(60)
    world.retention = timedelta(0)
    assert "0 slots expected" in world.call(audit).stdout


def test_an_audit_without_redis_proves_nothing_and_fails(lonely):
    answer = lonely.call(audit)
    assert answer.exit_code == 1
    assert "Redis can't be reached" in answer.output
    assert "Traceback" not in answer.output


def test_slots_on_their_way_when_redis_lost_its_data_are_listed(world):
    world.schedule(10)
    for back in (9, 8):
        world.end(back)
    world.drain()
    world.dispatch(7)
    world.services.client.flushall()
    world.schedule(6)
    world.services.dispatches.miss([world.launch(back) for back in (5, 4, 3)], "nothing ran")
    world.drain()
    answer = world.call(audit)
    assert answer.exit_code == 1
    assert "7 slots expected, 5 recorded (3 missed, 2 ok), 0 under way, 2 vanished." in answer.stdout
    for lost in (7, 6):
        assert slot_text(world.slot(lost)) in answer.stdout


def test_a_job_that_left_the_table_can_still_be_asked_about(world):
    world.schedule(10)
    world.end(9)
    world.services.dispatches.miss([world.launch(8)], "nothing ran")
    world.services.records.schedules.publish({}, world.slot(5), by="celerybeat@box")
    told = world.call(why, "ping").stdout
    assert f"ping was due at {slot_text(world.slot(8))}" in told
    assert "No slot follows: the job is removed since" in told
    assert world.call(audit).exit_code == 0
