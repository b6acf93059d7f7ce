"""The supervisor: one foreground process that starts, restarts and ends all the others, and prints their lines."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

from honcho.colour import get_colours
from honcho.printer import Message, Printer
from honcho.process import Process

from workers.processes import next_pause
from workers.undertaker import Undertaker

OWN_NAME = "escapement"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLITE_SECONDS = 7.0
KILLED_SECONDS = 1.0
TURN_SECONDS = 0.1


@dataclass(kw_only=True, slots=True)
class Child:
    """One supervised process and where it stands; `active` from its start until all of its output has been read."""

    name: str
    command: str
    colour: str
    pid: int | None = None
    active: bool = False
    started_at: float = 0.0
    pause: float = 0.0
    restart_at: float | None = None


class Supervisor:
    """Runs children until it is told to stop; one that dies is started again.

    Every child leads a session of its own, so Ctrl-C in the terminal reaches the supervisor alone.
    """

    def __init__(self, *, env: Mapping[str, str], output: IO[str], undertaker: Undertaker) -> None:
        self.stop_asked = False
        self._env = dict(env)
        self._undertaker = undertaker
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._children: dict[str, Child] = {}
        self._colours = get_colours()
        self._printer = Printer(output, width=len(OWN_NAME))

    def stop_on_signals(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to stop; main thread only."""
        for each in STOP_SIGNALS:
            signal.signal(each, lambda number, _: self.post("signal", signal.Signals(number).name))

    def start(self, name: str, command: str) -> None:
        """Start a child by its shell command; use `exec` in it so that no shell stays in between."""
        self._children[name] = Child(name=name, command=command, colour=next(self._colours))
        self._spawn(self._children[name])

    def run_until(self, done: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Print, restart and bury until `done()`, a wish to stop or `seconds`; says whether it was done."""
        give_up = time.monotonic() + seconds
        while not (finished := done()) and not self.stop_asked and time.monotonic() < give_up:
            self._turn()
        return finished

    def stop(self, *, last: str) -> None:
        """End all children, the one called `last` after the others: SIGTERM, then SIGKILL to their process groups."""
        self.stop_asked = True
        self._end([each for each in self._children.values() if each.name != last])
        self._end([each for each in self._children.values() if each.name == last])

    def say(self, text: str) -> None:
        """Print lines of the supervisor's own."""
        self._print(Message("line", text, datetime.now(), OWN_NAME, None))  # noqa: DTZ005 - shown as local time

    def post(self, kind: str, data: object) -> None:
        """Hand an event to the loop; from any thread or signal handler. `say` prints, `signal` stops."""
        self._events.put(Message(kind, data, None, None, None))

    def alive(self, name: str) -> bool:
        """Say whether this child runs."""
        return self._children[name].active

    def _turn(self) -> None:
        with suppress(Empty):
            self._handle(self._events.get(timeout=TURN_SECONDS))
        for child in self._children.values():
            self._bury_group_of_dead(child)
            if child.restart_at is not None and time.monotonic() >= child.restart_at and not self.stop_asked:
                self._spawn(child)

    def _handle(self, message: Any) -> None:
        match message.type:
            case "line":
                self._print(message)
            case "start":
                self._started(self._children[message.name], message.data["pid"])
            case "stop":
                self._stopped(self._children[message.name], message.data["returncode"])
            case "say":
                self.say(message.data)
            case "signal":
                self.say(f"{message.data}: stopping everything")
                self.stop_asked = True

    def _spawn(self, child: Child) -> None:
        child.active, child.restart_at, child.started_at = True, None, time.monotonic()
        Thread(target=self._run, args=(child,), daemon=True).start()

    def _run(self, child: Child) -> None:
        """Read the child's output in a thread: honcho's own way, a process each, would double the memory."""
        try:
            Process(child.command, name=child.name, colour=child.colour, env=self._env).run(self._events)
        except OSError as error:
            self._events.put(Message("stop", {"returncode": error.strerror}, None, child.name, None))

    def _started(self, child: Child, pid: int) -> None:
        child.pid = pid
        self._tell_undertaker()
        self.say(f"{child.name} started (pid {pid})")
        if self.stop_asked:
            self._signal(child, signal.SIGTERM)

    def _stopped(self, child: Child, status: object) -> None:
        child.active, child.pid = False, None
        self._tell_undertaker()
        if self.stop_asked:
            self.say(f"{child.name} ended")
            return
        child.pause = next_pause(child.pause, time.monotonic() - child.started_at)
        child.restart_at = time.monotonic() + child.pause
        self.say(f"{child.name} died (status {status}): starts again in {child.pause:g} s")

    def _end(self, children: list[Child]) -> None:
        for child in children:
            self._signal(child, signal.SIGTERM)
        self._drain(children, POLITE_SECONDS)
        for child in (each for each in children if each.active):
            self.say(f"{child.name} does not end: killed")
            self._kill_group(child)
        self._drain(children, KILLED_SECONDS)

    def _drain(self, children: Iterable[Child], seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while any(child.active for child in children) and time.monotonic() < give_up:
            self._turn()

    def _bury_group_of_dead(self, child: Child) -> None:
        """Kill what a dead child has forked: it would hold the output open, and the end would never be noticed."""
        with suppress(ChildProcessError):
            if child.pid and os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._kill_group(child)

    def _kill_group(self, child: Child) -> None:
        if child.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)

    def _signal(self, child: Child, number: signal.Signals) -> None:
        if child.pid:
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def _tell_undertaker(self) -> None:
        self._undertaker.told(child.pid for child in self._children.values() if child.pid)

    def _print(self, message: Any) -> None:
        """Print, and take a reader that went away as the wish to stop."""
        try:
            self._printer.write(message)
        except OSError:
            self._printer.output = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until the end
            self.stop_asked = True
