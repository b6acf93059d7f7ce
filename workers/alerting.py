"""Hands queued alerts to the hook, in a thread of its own: a hook that hangs holds up nothing."""

import threading
from collections import deque
from collections.abc import Sequence
from queue import SimpleQueue

from celery.utils.log import get_logger

from tasks.domain.streaks import Alert, Delivery
from tasks.ledger_ports import AlertHook
from tasks.ports import Services

AT_ONCE = 20

logger = get_logger(__name__)


class Alerting:
    """Takes alerts from the books while the sender has nothing to do, and writes back what became of them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        hook = services.records.hook
        self._sender = None if hook is None else Sender(hook)
        self._begun = False
        self._may_be_queued = True

    def look(self) -> None:
        """Note that alerts were queued."""
        self._may_be_queued = True

    def run(self) -> None:
        """Go one step; never waits for the hook."""
        if self._sender is None:
            return
        books, now = self._services.records.books, self._services.clock.now()
        if not self._begun:
            books.forget_taken(now)
            self._sender.start()
            self._begun = True
        if deliveries := self._sender.delivered():
            books.end_alerts(deliveries, now)
        if self._sender.is_idle and self._may_be_queued:
            alerts = books.take_alerts(AT_ONCE)
            self._may_be_queued = len(alerts) == AT_ONCE
            self._sender.send(alerts)

    def stop(self) -> None:
        """Let the sender end after what it has begun; it is a daemon and holds up nobody."""
        if self._sender is not None:
            self._sender.send([None])


class Sender(threading.Thread):
    """Sends alerts one after the other."""

    def __init__(self, hook: AlertHook) -> None:
        super().__init__(name="alerts", daemon=True)
        self._hook = hook
        self._waiting: SimpleQueue[Alert | None] = SimpleQueue()
        self._done: deque[Delivery] = deque()
        self._out = 0

    @property
    def is_idle(self) -> bool:
        """Whether everything that was given to it has been delivered and asked for."""
        return self._out == 0

    def send(self, alerts: Sequence[Alert | None]) -> None:
        """Take alerts; None ends the thread."""
        self._out += len(alerts)
        for each in alerts:
            self._waiting.put(each)

    def delivered(self) -> list[Delivery]:
        """Return what has ended since this was asked for last."""
        found = [self._done.popleft() for _ in range(len(self._done))]
        self._out -= len(found)
        return found

    def run(self) -> None:
        while (alert := self._waiting.get()) is not None:
            self._done.append(self._deliver(alert))

    def _deliver(self, alert: Alert) -> Delivery:
        try:
            delivery = self._hook.send(alert)
        except Exception as error:
            logger.exception("the alert hook raised")
            return Delivery(id=alert.id, attempts=1, error=type(error).__name__)
        if delivery.error is not None:
            logger.warning("alert %s was not taken by its hook: %s", alert.id, delivery.error)
        return delivery
