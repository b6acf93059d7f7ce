"""Fault points: named steps at which a process under test hurts itself, armed from outside by a file.

A file `<folder>/<step>` holds the deed. Whoever reaches the step first takes the file away, notes what it was about
(the identity of a slot, where there is one), and does the deed; so each armed fault strikes once, in one process.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tasks.errors import RedisUnavailableError


class Deed(StrEnum):
    KILL = "kill"
    STOP = "stop"
    PAUSE = "pause"
    FAIL = "fail"
    LOSE = "lose"


PAUSE_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A fault that happened: where, what, in which process, and to which slot."""

    step: str
    deed: Deed
    pid: int
    identity: str


@dataclass(frozen=True)
class Points:
    folder: Path

    def arm(self, step: str, deed: Deed) -> None:
        self._taken.mkdir(parents=True, exist_ok=True)
        draft = self._taken / f".{step}"
        draft.write_text(deed)
        draft.rename(self.folder / step)

    def disarm(self) -> None:
        for armed in self.folder.glob("*.*.*"):
            armed.unlink(missing_ok=True)

    def armed(self, step: str) -> bool:
        return (self.folder / step).exists()

    def strikes(self) -> list[Strike]:
        found = [json.loads(each.read_text()) for each in sorted(self._taken.glob("*.json"))]
        return [Strike(**{**each, "deed": Deed(each["deed"])}) for each in found]

    def reach(self, step: str, args: tuple[Any, ...] = ()) -> None:
        """Do what is armed for this step, if anything is."""
        mine = self._taken / f"{time.time_ns()}-{os.getpid()}"
        try:
            (self.folder / step).rename(mine)
        except FileNotFoundError:
            return
        deed = Deed(mine.read_text())
        note = {"step": step, "deed": deed, "pid": os.getpid(), "identity": identity_of(args)}
        mine.write_text(json.dumps(note))
        mine.rename(mine.with_suffix(".json"))
        DEEDS[deed]()

    @property
    def _taken(self) -> Path:
        return self.folder / "taken"


def identity_of(args: tuple[Any, ...]) -> str:
    """Find the slot that a call is about among its arguments."""
    for each in args:
        launch = getattr(each, "launch", each)
        if isinstance(each, list | tuple) and each:
            return identity_of(tuple(each))
        if hasattr(launch, "identity"):
            return str(launch.identity)
    return ""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fail() -> None:
    raise OSError(28, "No space left on device (injected)")


def _lose() -> None:
    raise RedisUnavailableError("Redis can't be reached (injected)")


DEEDS: dict[Deed, Callable[[], None]] = {
    Deed.KILL: _kill,
    Deed.STOP: _stop,
    Deed.PAUSE: lambda: time.sleep(PAUSE_SECONDS),
    Deed.FAIL: _fail,
    Deed.LOSE: _lose,
}
