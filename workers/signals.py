"""What a worker does when it starts and stops."""

import logging
import os
import signal
from typing import Any

from celery.apps.worker import Worker
from celery.signals import task_internal_error, worker_init, worker_ready, worker_shutdown
from celery.utils.log import get_logger
from celery.worker.control import control_command
from redis.exceptions import ResponseError

from tasks.errors import RedisUnavailableError
from workers.upkeep import Upkeep

WAREHOUSE = "warehouse"

logging.getLogger("httpx").setLevel(logging.WARNING)
logger = get_logger(__name__)
_upkeeps: dict[str, Upkeep] = {}


@worker_init.connect
def _begin(sender: Worker, **_: Any) -> None:
    if sender.app.settings.token is None and "http" in sender.app.amqp.queues:
        logger.warning("SCHEDULER_API_TOKEN is not set: HTTP jobs go out without an Authorization header")
    try:
        sender.app.services.claims.open()
    except RedisUnavailableError as error:
        logger.warning("%s; the worker waits for it", error)


@worker_ready.connect
def _start_upkeep(sender: Any, **_: Any) -> None:
    if WAREHOUSE in sender.app.amqp.queues.consume_from:
        upkeep = _upkeeps[sender.hostname] = Upkeep(sender.app.services, retention=sender.app.settings.ledger_retention)
        upkeep.start()


@control_command(args=[("identity", str)], signature="JOB/SLOT")
def look_now(state: Any, identity: str) -> dict[str, bool]:
    """Let the worker that runs this slot see at once that it is asked to stop."""
    return {"found": state.app.services.watchdog.look_now(identity)}


@task_internal_error.connect
def _start_afresh(exception: BaseException, **_: Any) -> None:
    """End a worker whose result Redis refused.

    The acknowledgement is refused as well then, and Celery counts the message as being worked on for ever: a worker
    that takes one at a time would never take another.
    """
    if isinstance(exception, ResponseError):
        logger.critical("Redis refuses writes (%s); this worker ends, to be started again", exception)
        os.kill(os.getpid(), signal.SIGTERM)


@worker_shutdown.connect
def _stop_upkeep(**_: Any) -> None:
    for upkeep in _upkeeps.values():
        upkeep.stop()
