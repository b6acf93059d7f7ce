"""The upkeep of the worker that owns the warehouse: reap what nobody will end, drain the ledger into DuckDB."""

import threading

from celery.utils.log import get_logger

from tasks.errors import EscapementError
from tasks.ports import Services

EVERY_SECONDS = 1.0
ENTRIES_AT_ONCE = 5_000
ENTRIES_KEPT = 10_000
OLDEST = "0"

logger = get_logger(__name__)


class Upkeep(threading.Thread):
    """A thread that keeps the ledger moving until it is stopped; a failure is logged once and tried again."""

    def __init__(self, services: Services) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._services = services
        self._drain = Drain(services)
        self._stopped = threading.Event()
        self._failing = ""

    def run(self) -> None:
        while not self._stopped.wait(EVERY_SECONDS):
            try:
                reap(self._services)
                self._drain.run()
            except EscapementError as error:
                self._say_once(str(error))
            except Exception:
                logger.exception("upkeep failed, next try in %g s", EVERY_SECONDS)
            else:
                self._failing = ""

    def stop(self) -> None:
        """End the thread, and drain what is there once more."""
        self._stopped.set()
        self.join(timeout=EVERY_SECONDS * 3)

    def _say_once(self, problem: str) -> None:
        if problem != self._failing:
            logger.warning("upkeep waits: %s", problem)
        self._failing = problem


def reap(services: Services) -> int:
    """End runs whose lease ran out and slots whose window closed; returns how many."""
    ended = services.claims.reap()
    for identity in ended:
        logger.warning("%s ended without an outcome of its own", identity)
    return len(ended)


class Drain:
    """Moves the ledger stream into the warehouse, from where the warehouse says it ends."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._after: str | None = None

    def run(self) -> int:
        """Move everything there is; returns how many entries. Repeating it changes nothing."""
        moved = 0
        after = self._after or self._services.warehouse.last_stream_id() or OLDEST
        while entries := self._services.ledger.read(after, ENTRIES_AT_ONCE):
            self._services.warehouse.append_runs([(each.stream_id, each.run) for each in entries])
            self._after = after = entries[-1].stream_id
            self._services.ledger.trim(after, ENTRIES_KEPT)
            moved += len(entries)
        return moved
