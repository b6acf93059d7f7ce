"""What beat writes beside its tick: the history of schedules, and the slots of a downtime."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from queue import SimpleQueue

from celery.utils.log import get_logger

from tasks.domain.backlog import Backlog, Row, one_by_one, walk
from tasks.domain.slots import slot_text
from tasks.errors import EscapementError
from tasks.ports import Clock, Dispatches
from workers.dispatcher import launch_named

STEPS_AT_ONCE = 500
PAUSE_SECONDS = 1.0
REST_SECONDS = 0.005
DOWNTIME = "nothing ran while it was due"

logger = get_logger(__name__)


class HistoryWriter(threading.Thread):
    """A thread that does one piece of writing after the other; one that can't reach Redis is tried until it can.

    A failure is logged once for each piece and never reaches the tick.
    """

    def __init__(self) -> None:
        super().__init__(name="history", daemon=True)
        self._pieces: SimpleQueue[tuple[str, Callable[[], object]]] = SimpleQueue()
        self._stopped = threading.Event()

    def add(self, what: str, piece: Callable[[], object]) -> None:
        """Let a piece be written after those that are there; `what` names it in the log."""
        self._pieces.put((what, piece))

    def run(self) -> None:
        while not self._stopped.is_set():
            self._write(*self._pieces.get())

    def stop(self) -> None:
        """End the thread after the step it is at: what is owed is kept in Redis."""
        self._stopped.set()

    def _write(self, what: str, piece: Callable[[], object]) -> None:
        said = False
        while not self._stopped.is_set():
            try:
                piece()
            except EscapementError as error:
                if not said:
                    logger.warning("%s waits: %s", what, error)
                said = True
                self._stopped.wait(PAUSE_SECONDS)
            except Exception:
                logger.exception("%s failed", what)
                return
            else:
                return


@dataclass(frozen=True, kw_only=True)
class BacklogRecorder:
    """Records backlogs in small steps: the newest slots one by one, all older ones of a job as one entry."""

    dispatches: Dispatches
    clock: Clock
    rest: Callable[[], object] = lambda: None

    def record(self, backlogs: Sequence[Backlog]) -> None:
        """Record them all; repeating it changes nothing. Raises RedisUnavailableError."""
        most = one_by_one(len(backlogs))
        for backlog in backlogs:
            self._record(backlog, most)

    def _record(self, backlog: Backlog, most: int) -> None:
        steps = walk(backlog, most)
        while some := list(islice(steps, STEPS_AT_ONCE)):
            for row in some:
                if isinstance(row, Row):
                    error = f"{DOWNTIME}: {row.slots} slots up to {slot_text(row.last)}"
                    self.dispatches.miss_row(backlog, row, error)
            slots = [each for each in some if isinstance(each, datetime)]
            if slots:
                now = self.clock.now()
                self.dispatches.miss([launch_named(backlog.job, slot, now) for slot in slots], DOWNTIME)
            self.rest()
        self.dispatches.settled(backlog)
