"""What the commands that read the ledger share: errors without tracebacks, moments, the nearest name of a job."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from typing import TypeVar

import click

from tasks.domain.cadence import CadenceError
from tasks.domain.moments import Moment, parse_moment
from tasks.errors import EscapementError, RedisUnavailableError
from tasks.ledger_ports import LedgerView

T = TypeVar("T")

NO_WAREHOUSE = "there is no warehouse on this machine yet: only what Redis still holds"


@contextmanager
def explained_errors() -> Iterator[None]:
    """Turn what can go wrong on the way into one line for the user."""
    try:
        yield
    except (EscapementError, CadenceError) as error:
        raise click.ClickException(str(error)) from None


def ask_as_much_as_there_is(view: LedgerView, ask: Callable[[LedgerView], T]) -> T:
    """Ask the whole ledger; when Redis is away the warehouse alone, and say so on stderr."""
    if not view.has_warehouse:
        warn(NO_WAREHOUSE)
    try:
        return ask(view)
    except RedisUnavailableError as error:
        warn(f"{error}; only what the warehouse holds")
        return ask(view.without_stream())


def warn(text: str) -> None:
    """Say something on stderr, so that a pipe gets the answer alone."""
    click.secho(text, err=True, fg="yellow")


def moment_of(text: str, now: datetime, parameter: str) -> Moment:
    """Read a moment; click.BadParameter that says what is accepted."""
    try:
        return parse_moment(text, now)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=parameter) from None


def check_job(job: str, names: Iterable[str]) -> None:
    """Refuse a job that nobody knows, with a near match and the names there are; click.BadParameter."""
    known = sorted(set(names))
    if job in known:
        return
    near = get_close_matches(job, known, n=1)
    hint = f"; did you mean {near[0]}? There" if near else "; there"
    raise click.BadParameter(f"no job is named {job!r}{hint} are: {', '.join(known)}", param_hint="JOB")
