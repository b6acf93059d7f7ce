"""Beat's own row in Flower: the events that a worker would send."""

import os
from typing import Any

from celery import Celery
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

IDENTITY = {"sw_ident": "escapement-beat", "sw_sys": "Linux"}
CONNECTION_ERRORS = (OperationalError, RedisError, OSError)

logger = get_logger(__name__)


class BeatEvents:
    """Sends `worker-online`, `worker-heartbeat` and `worker-offline` under the node name of a beat.

    The heartbeats are sent by the tick itself, so that a stalled loop shows as offline after two missed ones.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._dispatcher: Any = None

    def beat(self, node: str, *, interval: float, fires: int) -> None:
        """Send one heartbeat; `interval` is the longest time to the next one, in seconds. Never raises."""
        try:
            if self._dispatcher is None:
                self._dispatcher = self._app.events.Dispatcher(self._app.connection_for_write(), hostname=node)
                self._send("worker-online", interval, fires)
            self._send("worker-heartbeat", interval, fires)
        except CONNECTION_ERRORS as error:
            logger.debug("beat has no row in Flower for now: %s", error)
            self._forget()

    def offline(self, node: str, *, fires: int) -> None:
        """Say goodbye, when there is anybody to say it to."""
        if self._dispatcher is not None:
            self.beat(node, interval=1, fires=fires)
        if self._dispatcher is not None:
            self._send("worker-offline", 1, fires)
            self._forget()

    def _send(self, kind: str, interval: float, fires: int) -> None:
        self._dispatcher.send(
            kind,
            freq=interval,
            active=0,
            processed=fires,
            loadavg=[round(each, 2) for each in os.getloadavg()],
            sw_ver="",
            **IDENTITY,
        )

    def _forget(self) -> None:
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.close()
            dispatcher.connection.release()
