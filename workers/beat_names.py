"""Node names of beats: two beats never share a row in Flower, whatever they are called."""

import os
import socket

from celery.utils.log import get_logger

from tasks.ports import Dispatches

logger = get_logger(__name__)


def own_name(dispatches: Dispatches, node: str) -> str:
    """Return the node name of this beat: the wanted one, or one with the process id when another beat has it.

    Raises RedisUnavailableError.
    """
    us = _holder()
    holder = dispatches.hold_name(node, us)
    if holder == us:
        return node
    if _is_dead(holder):
        dispatches.release_name(node, holder)
        holder = dispatches.hold_name(node, us)
    return node if holder == us else _other_name(dispatches, node)


def keep_name(dispatches: Dispatches, node: str) -> None:
    """Say that this beat still has its name. Raises RedisUnavailableError."""
    dispatches.hold_name(node, _holder())


def give_up_name(dispatches: Dispatches, node: str) -> None:
    """Let the next beat have the name at once. Raises RedisUnavailableError."""
    dispatches.release_name(node, _holder())


def _other_name(dispatches: Dispatches, node: str) -> str:
    name, _, host = node.partition("@")
    other = f"{name}.{os.getpid()}@{host}"
    logger.warning("another beat is called %s: this one is %s; give each its own name with -n beat1@%%h", node, other)
    dispatches.hold_name(other, _holder())
    return other


def _holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine that is gone; of other machines nothing is known."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
