"""What happens between us and Redis: lost requests, lost replies, kills, restarts, lost data, doubled messages."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.faults.kit.look import look, violations
from tests.faults.kit.points import PAUSE_SECONDS, Deed
from tests.faults.kit.proxy import Loss
from tests.faults.kit.scripts import on_the_wire
from tests.faults.kit.system import System, system
from tests.faults.kit.target import Behaviour

OPTIONS = {"skipping": 0, "http_jobs": 8, "http_every_s": 4, "sessions_every_s": 0, "window_s": 20}
ROLES = ("beat", "http", "warehouse")
SCRIPTS = ("claim", "record", "dispatch", "sent", "reap")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system for the faults after which it must be as good as new."""
    with system(tmp_path_factory.mktemp("redis"), roles=ROLES, options=OPTIONS) as running:
        running.wait_for(lambda: len(running.target.calls()) > OPTIONS["http_jobs"], 30, "not every job was called")
        yield running


def goes_on(running: System, seconds: float = 30) -> None:
    """Wait until the target has been called for slots that come due only now."""
    now = datetime.now(UTC)

    def called() -> bool:
        slots = [datetime.fromisoformat(key.rpartition("/")[2]) for key in running.target.calls() if key]
        return sum(slot > now for slot in slots) >= OPTIONS["http_jobs"]

    running.wait_for(called, seconds, "the target was not called again")


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_whose_request_or_reply_is_lost_is_repeated_without_harm(
    shared: System, script: str, loss: Loss
) -> None:
    hits = len(shared.proxy.hits)
    shared.proxy.lose(on_the_wire(script), loss)
    shared.wait_for(lambda: len(shared.proxy.hits) > hits, 20, f"{script} was never sent")


@pytest.mark.parametrize("loss", [Loss.CUT_REQUEST, Loss.CUT_REPLY, Loss.SWALLOW_REPLY])
def test_a_message_that_is_lost_on_its_way_to_the_queue_is_sent_again(shared: System, loss: Loss) -> None:
    hits = len(shared.proxy.hits)
    shared.proxy.lose(b"LPUSH\r\n$4\r\nhttp", loss)
    shared.wait_for(lambda: len(shared.proxy.hits) > hits, 20, "beat sent nothing")
    goes_on(shared, 60)


def test_every_connection_may_break_at_once(shared: System) -> None:
    shared.proxy.drop_all()
    goes_on(shared)


def test_a_slow_network_is_only_slow(shared: System) -> None:
    shared.proxy.delay = 0.2
    goes_on(shared)
    shared.proxy.delay = 0.0


def test_beat_that_loses_redis_between_mark_and_message_sends_the_message_later(shared: System) -> None:
    strike = shared.strike("beat.dispatches.dispatch.after", Deed.PAUSE)
    shared.proxy.refusing = True
    shared.proxy.drop_all()
    time.sleep(PAUSE_SECONDS + 0.5)
    shared.proxy.refusing = False
    shared.wait_for(lambda: shared.ended(strike.identity), 40, f"{strike.identity} did not end")
    assert shared.target.calls()[strike.identity] == 1


def test_messages_that_are_delivered_twice_run_once(shared: System) -> None:
    """The second delivery comes while the target works on the first."""
    slow = shared.target.behaviours()["slow"]
    shared.target.behave(Behaviour.SLOW)
    shared.wait_for(lambda: shared.target.behaviours()["slow"] > slow, 20, "nothing was called")
    assert shared.duplicate_messages() > 0
    goes_on(shared)


@pytest.mark.parametrize("away", [0.0, 3.0])
def test_redis_that_is_killed_comes_back_with_everything(shared: System, away: float) -> None:
    shared.redis.restart(away=away)
    goes_on(shared, 60)


def test_after_all_of_it_every_slot_has_one_outcome_that_is_true(shared: System) -> None:
    shared.settle()
    assert violations(shared) == {}


def test_redis_that_loses_its_data_makes_nothing_run_twice(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Slots that were due before the loss may have run: they are never run again."""
    with system(tmp_path_factory.mktemp("loss"), roles=(*ROLES, "beat-2"), options=OPTIONS) as running:
        goes_on(running)
        for _ in range(3):
            running.points.arm("http.web.call.after", Deed.PAUSE)
            running.redis.restart(lose_data=True)
            goes_on(running, 60)
        running.settle()
        assert look(running).run_twice() == []
