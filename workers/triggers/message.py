"""The message of a slot: the one shape in which every trigger puts a slot into its queue."""

from typing import Any

from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from tasks import call_endpoint, process_sessions
from tasks.domain.jobs import HttpCall
from tasks.domain.slots import slot_text
from tasks.errors import RedisUnavailableError
from workers.dispatcher import Fire

logger = get_logger(__name__)


def send(fire: Fire, *, producer: Any = None) -> None:
    """Put a slot into its queue, by a producer that is at hand or one of the pool.

    Raises RedisUnavailableError when the queue can't be reached.
    """
    launch = fire.launch
    headers = {
        "job": launch.job,
        "slot": launch.key,
        "source": launch.source,
        "dispatched_at": slot_text(launch.dispatched_at or fire.window_end),
        "window_end": slot_text(fire.window_end),
    }
    task, argument = _task_of(fire)
    try:
        task.apply_async(
            (argument,), task_id=launch.run_id, headers=headers, expires=fire.window_end, producer=producer
        )
    except OperationalError as error:
        raise RedisUnavailableError(f"the queue can't be reached: {error}") from error
    logger.info("%s: slot %s sent (%s)", launch.job, launch.key, launch.source)


def _task_of(fire: Fire) -> tuple[Any, str]:
    action = fire.job.action
    if isinstance(action, HttpCall):
        return call_endpoint, fire.job.name
    return process_sessions, action.processor
