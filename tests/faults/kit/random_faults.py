"""A seeded stream of faults against a running system."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from signal import SIGCONT, SIGSTOP

from tests.faults.kit.disk import locked
from tests.faults.kit.points import Deed
from tests.faults.kit.proxy import Loss
from tests.faults.kit.scripts import on_the_wire
from tests.faults.kit.system import System
from tests.faults.kit.target import Behaviour

STEPS = (
    *(f"http.{step}" for step in ("claims.claim", "web.call", "claims.record")),
    *(f"beat.dispatches.{step}" for step in ("dispatch", "sent")),
    *(f"warehouse.{step}" for step in ("claims.claim", "claims.record", "claims.reap", "claims.hand_over")),
    *(f"warehouse.{step}" for step in ("claims.part_done", "ledger.read", "ledger.trim", "staging.remove")),
    *(f"warehouse.warehouse.{step}" for step in ("append_runs", "commit", "compare")),
    "sessions.staging.writer",
)
LOST = (*(on_the_wire(each) for each in ("claim", "record", "dispatch", "sent", "reap", "part", "renew")), b"LPUSH")
DEED_WEIGHTS = {Deed.KILL: 3, Deed.PAUSE: 2, Deed.FAIL: 2, Deed.LOSE: 3}
LONGEST_PAUSE = 5.0


@dataclass(kw_only=True)
class Faults:
    """Does one fault after the other; `done` counts them by kind."""

    system: System
    random: Random
    done: Counter[str] = field(default_factory=Counter)
    _timers: list[threading.Timer] = field(default_factory=list)

    def one(self) -> str:
        """Do one fault, of a kind chosen by weight; returns what it was."""
        kinds: Mapping[Callable[[], str], int] = {
            self.step: 30, self.answer: 20, self.lose: 20, self.drop: 5, self.slow: 4, self.refuse: 3,
            self.kill: 4, self.stop: 4, self.kill_redis: 2, self.duplicate: 8, self.lock: 3, self.kill_target: 1,
        }  # fmt: skip
        (kind,) = self.random.choices(list(kinds), list(kinds.values()))
        said = kind()
        self.done[kind.__name__] += 1
        return f"{kind.__name__} {said}"

    def end(self) -> None:
        """Let everything that was paused or slow go on."""
        for timer in self._timers:
            timer.join()

    def step(self) -> str:
        step = f"{self.random.choice(STEPS)}.{self.random.choice(('before', 'after'))}"
        (deed,) = self.random.choices(list(DEED_WEIGHTS), list(DEED_WEIGHTS.values()))
        self.system.points.arm(step, deed)
        return f"{step} {deed}"

    def answer(self) -> str:
        behaviour = self.random.choice([each for each in Behaviour if each is not Behaviour.OK])
        self.system.target.behave(behaviour)
        return str(behaviour)

    def lose(self) -> str:
        pattern, loss = self.random.choice(LOST), self.random.choice(list(Loss))
        self.system.proxy.lose(pattern, loss)
        return f"{loss} {pattern.decode()[:8]}"

    def drop(self) -> str:
        self.system.proxy.drop_all()
        return ""

    def slow(self) -> str:
        self.system.proxy.delay = self.random.uniform(0.02, 0.2)
        self._later(1, lambda: setattr(self.system.proxy, "delay", 0.0))
        return f"{self.system.proxy.delay:.2f} s"

    def refuse(self) -> str:
        self.system.proxy.refusing = True
        self.system.proxy.drop_all()
        self._later(self.random.uniform(0.1, 3), lambda: setattr(self.system.proxy, "refusing", False))
        return ""

    def kill(self) -> str:
        process = self.random.choice(list(self.system.roles.values()))
        process.kill()
        return process.name

    def stop(self) -> str:
        process = self.random.choice(list(self.system.roles.values()))
        seconds = self.random.uniform(0.2, LONGEST_PAUSE)
        process.signal(SIGSTOP)
        self._later(seconds, lambda: process.signal(SIGCONT))
        return f"{process.name} for {seconds:.1f} s"

    def kill_redis(self) -> str:
        away = self.random.uniform(0, 2)
        self.system.redis.restart(away=away)
        return f"away {away:.1f} s"

    def duplicate(self) -> str:
        return f"{self.system.duplicate_messages()} messages"

    def lock(self) -> str:
        seconds = self.random.uniform(0.2, 2)
        with locked(self.system.warehouse_file):
            threading.Event().wait(seconds)
        return f"{seconds:.1f} s"

    def kill_target(self) -> str:
        self.system.target_process.kill()
        return ""

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        timer.start()
        self._timers.append(timer)
