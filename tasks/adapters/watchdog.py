"""One thread for each process that renews the leases of its runs and passes on when they have to stop."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from time import monotonic

from tasks.domain.claims import Hold, Lease, refuse_stopped
from tasks.errors import RedisUnavailableError
from tasks.ports import Claims

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Watched:
    """A lease under watch, and what to call when its work has to stop."""

    lease: Lease
    due: float
    hold: Hold = Hold.HELD
    callbacks: list[Callable[[], object]] = field(default_factory=list)

    def check(self) -> None:
        refuse_stopped(self.lease, self.hold)

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        self.callbacks.append(callback)
        try:
            if self.hold is not Hold.HELD:
                callback()
            yield
        finally:
            self.callbacks.remove(callback)

    def stop(self, hold: Hold) -> None:
        self.hold = hold
        for callback in tuple(self.callbacks):
            callback()


class LeaseWatchdog:
    """Renews each watched lease at a third of its life.

    The thread starts with the first lease and ends with the process. While Redis is away it tries again; the lease
    lives on in Redis' own clock until somebody else finds that it has run out.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._watched: dict[int, Watched] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes_at = inf

    @contextmanager
    def renewing(self, lease: Lease) -> Iterator[Watched]:
        """Renew the lease until the block ends."""
        watched = Watched(lease=lease, due=monotonic() + _third(lease))
        with self._changed:
            self._watched[id(watched)] = watched
            self._ensure_thread()
            if watched.due < self._wakes_at:
                self._changed.notify()
        try:
            yield watched
        finally:
            with self._changed:
                self._watched.pop(id(watched), None)

    def look_now(self, identity: str) -> bool:
        """Renew the lease of a run at once, if it is one of this process."""
        with self._changed:
            found = [each for each in self._watched.values() if each.lease.launch.identity == identity]
            for each in found:
                each.due = monotonic()
            self._changed.notify()
        return bool(found)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lease-watchdog", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            watched = self._next_due()
            try:
                self._look_after(watched)
            except Exception:
                logger.exception("the lease of %s could not be renewed", watched.lease.launch.identity)

    def _look_after(self, watched: Watched) -> None:
        hold = self._renewed(watched.lease)
        if hold is not Hold.HELD:
            self._drop(watched)
            watched.stop(hold)

    def _next_due(self) -> Watched:
        with self._changed:
            while True:
                first = min(self._watched.values(), key=lambda each: each.due, default=None)
                if first is not None and first.due <= monotonic():
                    first.due = monotonic() + _third(first.lease)
                    return first
                self._wakes_at = inf if first is None else first.due
                self._changed.wait(None if first is None else first.due - monotonic())

    def _renewed(self, lease: Lease) -> Hold:
        try:
            return self._claims.renew(lease)
        except RedisUnavailableError:
            return Hold.HELD

    def _drop(self, watched: Watched) -> None:
        with self._changed:
            self._watched.pop(id(watched), None)


def _third(lease: Lease) -> float:
    return lease.lease_ms / 3000
