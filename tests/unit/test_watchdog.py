"""The watchdog: one thread that renews every lease, and that nothing ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

import pytest

from tasks.adapters.watchdog import LeaseWatchdog
from tasks.domain.claims import Hold, Lease
from tasks.domain.outcomes import Launch, Source
from tasks.errors import LeaseLostError, RedisUnavailableError, RunCancelledError

SOON = 5.0


@dataclass
class Answers:
    """Claims of which only `renew` matters: gives or raises one answer after the other, the last one for ever."""

    answers: list[Hold | Exception]
    renewed: int = 0
    enough: Event = field(default_factory=Event)
    wanted: int = 1

    def renew(self, lease: Lease) -> Hold:
        answer = self.answers[min(self.renewed, len(self.answers) - 1)]
        self.renewed += 1
        if self.renewed >= self.wanted:
            self.enough.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


def lease(token: int = 1, milliseconds: int = 30) -> Lease:
    launch = Launch(job="ping", key=f"manual-{token}", slot=None, source=Source.MANUAL, run_id=str(token))
    return Lease(launch=launch, token=token, lease_ms=milliseconds, claimed_at=datetime(2026, 11, 20, tzinfo=UTC))


def watchdog(answers: Answers) -> LeaseWatchdog:
    return LeaseWatchdog(answers)  # type: ignore[arg-type]


@pytest.mark.parametrize("trouble", [RedisUnavailableError("away"), RuntimeError("no such thing")])
def test_a_lease_is_renewed_again_and_again_whatever_goes_wrong_in_between(trouble: Exception) -> None:
    answers = Answers([Hold.HELD, trouble, Hold.HELD], wanted=4)
    with watchdog(answers).renewing(lease()) as stop:
        assert answers.enough.wait(SOON)
        stop.check()


@pytest.mark.parametrize(("hold", "error"), [(Hold.LOST, LeaseLostError), (Hold.CANCELLED, RunCancelledError)])
def test_work_is_told_to_stop_when_its_lease_is_gone(hold: Hold, error: type[Exception]) -> None:
    told = Event()
    with watchdog(Answers([hold])).renewing(lease()) as stop, stop.calling(told.set):
        assert told.wait(SOON)
        with pytest.raises(error):
            stop.check()


def test_work_that_begins_when_its_lease_is_gone_is_told_at_once() -> None:
    answers = Answers([Hold.LOST])
    with watchdog(answers).renewing(lease()) as stop:
        wait_until(lambda: stop.hold is Hold.LOST)
        told = Event()
        with stop.calling(told.set):
            assert told.is_set()


def test_a_callback_that_raises_does_not_end_the_watch_over_the_others() -> None:
    answers = Answers([Hold.LOST, Hold.HELD], wanted=4)
    dog = watchdog(answers)
    with dog.renewing(lease(1)) as first, first.calling(lambda: 1 / 0), dog.renewing(lease(2)):
        assert answers.enough.wait(SOON)


def test_a_lease_is_left_alone_once_its_block_has_ended() -> None:
    answers = Answers([Hold.HELD])
    dog = watchdog(answers)
    with dog.renewing(lease(1, milliseconds=60_000)):
        assert dog.look_now("ping/manual-1")
    assert not dog.look_now("ping/manual-1")


def wait_until(condition: Callable[[], bool]) -> None:
    pause = Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in time")
