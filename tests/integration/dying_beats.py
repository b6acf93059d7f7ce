"""Several beats that kill themselves: `python -m tests.integration.dying_beats BEATS KILLS SEED [STEP]`.

Each beat is a process of its own, forked from this one so that a new one is there at once. It ends by SIGKILL at one of
the steps of a slot's way to the queue; another takes its place. After the last kill beats live on until SIGTERM. With a
STEP (its number) all beats but one die there, and nobody takes their place.
"""

import dataclasses
import os
import random
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from celery.beat import Service

from tasks.domain.claims import Dispatch
from tasks.domain.outcomes import Launch

STEPS = ("before the mark", "after the mark", "after the send", "after it was noted as sent")


class DyingDispatches:
    """Real dispatches of a beat that dies when it comes to a step for the n-th time."""

    def __init__(self, inner: Any, step: str, times: int) -> None:
        self._inner, self._step, self._times = inner, step, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def dispatch(self, launches: Sequence[tuple[Launch, datetime]], *, beat: str) -> list[Dispatch]:
        self._reach("before the mark")
        marks: list[Dispatch] = self._inner.dispatch(launches, beat=beat)
        if Dispatch.YOURS in marks:
            self._reach("after the mark")
        return marks

    def sent(self, launches: Sequence[Launch], **rest: Any) -> None:
        if launches:
            self._reach("after the send")
        self._inner.sent(launches, **rest)
        self._reach("after it was noted as sent")

    def _reach(self, step: str) -> None:
        if step == self._step:
            self._times -= 1
            if self._times == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def run_beat(number: int, step: str | None, times: int) -> None:
    from workers import celery as app  # noqa: PLC0415 - the app is made from the environment

    if step is not None:
        services = dataclasses.replace(app.services, dispatches=DyingDispatches(app.services.dispatches, step, times))
        app._services = (os.getpid(), services)
    Service(
        app, scheduler_cls="workers.beat:SlotScheduler", hostname=f"beat{number}@test", remote_control=False
    ).start()


def main(beats: int, kills: int, seed: int, only: int = -1) -> None:
    from workers import celery as app  # noqa: PLC0415 - the app is made from the environment

    app.loader.import_default_modules()
    chance, alive, killed = random.Random(seed), dict[int, int](), 0
    signal.signal(signal.SIGTERM, lambda *_: stop(alive))
    if only >= 0:
        alive |= {
            fork(number, STEPS[only] if number else None, chance.randint(1, 8)): number for number in range(beats)
        }
    while True:
        for number in set(range(beats)) - set(alive.values()) if only < 0 else ():
            step = STEPS[(killed + number) % len(STEPS)] if killed < kills else None
            alive[fork(number, step, chance.randint(1, 8))] = number
        pid, status = os.wait()
        alive.pop(pid, None)
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write(f"killed {killed}\n")
        sys.stdout.flush()


def fork(number: int, step: str | None, times: int) -> int:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            run_beat(number, step, times)
        finally:
            os._exit(1)
    return pid


def stop(alive: dict[int, int]) -> None:
    for pid in list(alive):
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
