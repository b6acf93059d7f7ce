"""The upkeep of the worker that owns the warehouse: reap what nobody will end, drain the ledger, forget what is old."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from celery.utils.log import get_logger

from tasks.domain.claims import LedgerEntry
from tasks.domain.schedules import ScheduleEntry
from tasks.errors import EscapementError
from tasks.ports import Services
from tasks.session_admin import sweep
from workers.alerting import Alerting
from workers.schedule_restore import restore

EVERY_SECONDS = 1.0
ENTRIES_AT_ONCE = 5_000
ENTRIES_KEPT = 10_000
OLDEST = "0"
PRUNE_EVERY = timedelta(hours=1)
RETENTION = timedelta(days=90)

logger = get_logger(__name__)


class Upkeep(threading.Thread):
    """A thread that keeps the ledger moving until it is stopped; a failure is logged once and tried again.

    Runs are kept for `retention` after they ended.
    """

    def __init__(self, services: Services, *, retention: timedelta = RETENTION) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._services = services
        self._alerting = Alerting(services)
        self._drain = Drain(services, alerts_queued=self._alerting.look)
        self._prune = Prune(services, retention)
        self._stopped = threading.Event()
        self._failing = ""

    def run(self) -> None:
        while not self._stopped.wait(EVERY_SECONDS):
            self._turn()
        self._turn()

    def stop(self) -> None:
        """End the thread, and drain what is there once more."""
        self._stopped.set()
        self.join(timeout=EVERY_SECONDS * 3)
        self._alerting.stop()

    def _turn(self) -> None:
        try:
            self._restore()
            reap(self._services)
            self._drain.run()
            self._alerting.run()
            self._prune.run(self._services.clock.now())
        except EscapementError as error:
            self._say_once(str(error))
        except Exception:
            logger.exception("upkeep failed, next try in %g s", EVERY_SECONDS)
        else:
            self._failing = ""

    def _restore(self) -> None:
        restored = restore(self._services)
        if restored:
            logger.warning("Redis had lost its data: %d schedule(s) came back from the warehouse", restored)

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

    def __init__(self, services: Services, *, alerts_queued: Callable[[], object] = lambda: None) -> None:
        self._services = services
        self._alerts_queued = alerts_queued
        self._after: str | None = None

    def run(self) -> int:
        """Move everything there is; returns how many entries. Repeating it changes nothing.

        An entry leaves the stream only after everything made of it is in the warehouse.
        """
        moved = 0
        after = self._after or self._start()
        while entries := self._services.ledger.read(after, ENTRIES_AT_ONCE):
            self._keep(entries)
            self._after = after = entries[-1].stream_id
            self._services.ledger.trim(after, ENTRIES_KEPT)
            moved += len(entries)
        return moved

    def _start(self) -> str:
        """Begin after the last run of which the warehouse knows all: a crash may have come before its streak."""
        marks = (self._services.warehouse.last_stream_id(), self._services.records.books.streaks_up_to())
        known = [mark for mark in marks if mark is not None]
        return min(known, key=_order) if len(known) == len(marks) else OLDEST

    def _keep(self, entries: Sequence[LedgerEntry | ScheduleEntry]) -> None:
        services = self._services
        runs = [each for each in entries if isinstance(each, LedgerEntry)]
        services.warehouse.append_runs([(each.stream_id, each.run) for each in runs])
        books = services.records.books
        books.append_schedules([each for each in entries if isinstance(each, ScheduleEntry)])
        if books.advance_streaks(runs, now=services.clock.now(), alerting=services.records.hook is not None):
            self._alerts_queued()


class Prune:
    """Forgets, once an hour, runs that ended longer ago than they are kept for, and staged rows that nobody fetched."""

    def __init__(self, services: Services, retention: timedelta) -> None:
        self._services = services
        self._retention = retention
        self._next: datetime | None = None

    def run(self, now: datetime) -> None:
        """Forget what is too old if it is time to look."""
        if self._next is not None and now < self._next:
            return
        gone = self._services.warehouse.prune_runs(now - self._retention)
        self._services.records.books.prune_alerts(now - self._retention)
        sweep(self._services, now)
        self._next = now + PRUNE_EVERY
        if gone:
            logger.info("forgot %d runs that ended more than %d days ago", gone, self._retention.days)


def _order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence or 0)
