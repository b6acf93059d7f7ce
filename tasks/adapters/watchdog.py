"""One thread for each process that renews the leases of its runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from tasks.domain.claims import Lease
from tasks.errors import RedisUnavailableError
from tasks.ports import Claims


class LeaseWatchdog:
    """Renews each watched lease at a third of its life.

    The thread starts with the first lease and ends with the process. A lease that can't be renewed is dropped: the
    ledger refuses the result of its run.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._due: dict[int, tuple[float, Lease]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def renewing(self, lease: Lease) -> Iterator[None]:
        """Renew the lease until the block ends."""
        with self._changed:
            self._due[lease.token] = (monotonic() + _third(lease), lease)
            self._ensure_thread()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(lease.token, None)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lease-watchdog", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            lease = self._next_due()
            if not self._renewed(lease):
                self._drop(lease)

    def _next_due(self) -> Lease:
        with self._changed:
            while True:
                at, lease = min(self._due.values(), key=lambda each: each[0], default=(None, None))
                if at is not None and lease is not None and at <= monotonic():
                    self._due[lease.token] = (monotonic() + _third(lease), lease)
                    return lease
                self._changed.wait(None if at is None else at - monotonic())

    def _renewed(self, lease: Lease) -> bool:
        try:
            return self._claims.renew(lease)
        except RedisUnavailableError:
            return True

    def _drop(self, lease: Lease) -> None:
        with self._changed:
            self._due.pop(lease.token, None)


def _third(lease: Lease) -> float:
    return lease.lease_ms / 3000
