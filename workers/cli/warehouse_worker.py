"""Asking the worker that owns the warehouse: only it writes, so a command that changes something waits for it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as NoAnswerError
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

from tasks.errors import RedisUnavailableError

PATIENCE_S = 30
WORK_S = 3600
GIVEN_UP = "Retry limit exceeded"
NOT_TAKEN = frozenset({"PENDING", "REVOKED"})
Command = TypeVar("Command", bound=Callable[..., Any])


def patience_option(command: Command) -> Command:
    """Give a command the option that says for how long it waits for a worker."""
    return click.option(
        "--timeout",
        type=click.IntRange(1, WORK_S),
        default=PATIENCE_S,
        show_default=True,
        metavar="SECONDS",
        help="How long a warehouse worker may take to begin; after that nothing is done.",
    )(command)


def ask(task: Any, *args: Any, timeout: int, headers: Mapping[str, str] | None = None) -> Any:
    """Have a task done by the warehouse worker and return its answer, or raise its error."""
    return answer_of(send(task, *args, timeout=timeout, headers=headers), timeout)


def send(task: Any, *args: Any, timeout: int, headers: Mapping[str, str] | None = None) -> AsyncResult[Any]:
    """Send a task that nobody begins after `timeout` seconds; raises RedisUnavailableError."""
    task.app.services.records.hot_slots.under_way()
    with _reachable():
        sent: AsyncResult[Any] = task.apply_async(args, expires=timeout, headers=headers)
        return sent


def answer_of(sent: AsyncResult[Any], timeout: int) -> Any:
    """Wait for the answer; click.ClickException when no worker has begun in time."""
    with _reachable():
        try:
            return sent.get(timeout=timeout)
        except (NoAnswerError, TaskRevokedError):
            if sent.state in NOT_TAKEN:
                raise click.ClickException(_nobody(timeout)) from None
        return sent.get(timeout=WORK_S)


@contextmanager
def _reachable() -> Iterator[None]:
    """Turn what Celery says of a Redis that is away into RedisUnavailableError."""
    try:
        yield
    except OperationalError as error:
        raise RedisUnavailableError(f"Redis can't be reached: {error}") from error
    except RuntimeError as error:
        if GIVEN_UP not in str(error):
            raise
        raise RedisUnavailableError("Redis can't be reached any more") from error


def _nobody(timeout: int) -> str:
    return (
        f"no warehouse worker took it within {timeout} s, so nothing is done; it runs with `make run`, or as "
        "`celery -A workers worker -Q warehouse -P threads -c 1 -n warehouse@%h`"
    )
