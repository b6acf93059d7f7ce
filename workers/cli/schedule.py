"""`celery -A workers schedule …`: schedules that are made, changed, paused and deleted while everything runs."""

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from celery.bin.base import CeleryCommand

from tasks.domain.jobs import Method
from tasks.domain.policies import Overlap
from workers.cli.ledger import explained_errors
from workers.cli.tables import print_table
from workers.schedule_desk import ScheduleDesk
from workers.schedule_list import HEADINGS, listed
from workers.schedule_restore import restore as restored_schedules

Command = Callable[..., Any]


@click.group()
def schedule() -> None:
    """Make, change, pause and delete schedules; every beat follows within a second."""


def job_options(command: Command) -> Command:
    """Give a command the keys of a job, as a jobs file has them."""
    options = (
        click.option("--timezone", help="An IANA name; the cadence is read on its clocks."),
        click.option("--method", type=click.Choice(list(Method))),
        click.option("--path", help="A path below API_URL, such as /api/health."),
        click.option("--url", help="An http:// or https:// address, in place of a path."),
        click.option("--timeout", type=float, help="Seconds."),
        click.option("--body", help="JSON; anything else is sent as text."),
        click.option("--header", "headers", multiple=True, metavar="NAME=VARIABLE", help="May be repeated."),
        click.option("--overlap", type=click.Choice(list(Overlap))),
        click.option("--catch-up", help="late, skip, or a duration such as 30m."),
        click.option("--group", help="A group of jobs."),
        click.option("--phase", type=float, help="Seconds after each multiple of an interval."),
        click.option("--processor", help="A session processor in place of an HTTP call."),
        click.option("--honours-key/--no-honours-key", default=None, help="The server takes each key once."),
        click.option("--expect-body/--no-expect-body", default=None, help="Good answers have a body."),
        click.option("--repeat", type=click.IntRange(min=0), help="Run so often and no more; 0 = without end."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@schedule.command(cls=CeleryCommand)
@click.argument("name")
@click.argument("cadence")
@job_options
@click.pass_context
def add(ctx: click.Context, /, name: str, cadence: str, repeat: int | None, **keys: Any) -> None:
    """Make a schedule NAME, due by CADENCE such as "every 15m"."""
    with _desk(ctx) as desk:
        made = desk.add({"name": name, "schedule": cadence} | _entry(keys), times=repeat)
    click.echo(f"{name} is scheduled: {made.cadence}, {made.timezone}")


@schedule.command(cls=CeleryCommand)
@click.argument("name")
@click.option("--schedule", "cadence", help='Another cadence, such as "every 15m".')
@job_options
@click.pass_context
def change(ctx: click.Context, /, name: str, cadence: str | None, repeat: int | None, **keys: Any) -> None:
    """Change a schedule that was made at run time; what is not given stays."""
    wanted = _entry(keys) | ({} if cadence is None else {"schedule": cadence})
    with _desk(ctx) as desk:
        now = desk.change(name, wanted, times=repeat)
    click.echo(f"{name} is changed: {now.cadence}, {now.timezone}")


@schedule.command(cls=CeleryCommand)
@click.argument("name")
@click.option("--reason", default="", help="Why; shown wherever the job is.")
@click.pass_context
def pause(ctx: click.Context, name: str, reason: str) -> None:
    """Let nothing of a job start any more, of the job table too; what runs goes on."""
    with _desk(ctx) as desk:
        desk.pause(name, reason)
    click.echo(f"{name} is paused")


@schedule.command(cls=CeleryCommand)
@click.argument("name")
@click.pass_context
def resume(ctx: click.Context, name: str) -> None:
    """Let a paused job run again from its next slot on."""
    with _desk(ctx) as desk:
        desk.resume(name)
    click.echo(f"{name} is active")


@schedule.command(cls=CeleryCommand)
@click.argument("name")
@click.pass_context
def delete(ctx: click.Context, name: str) -> None:
    """Forget a schedule that was made at run time."""
    with _desk(ctx) as desk:
        desk.delete(name)
    click.echo(f"{name} is deleted")


@schedule.command("run-now", cls=CeleryCommand)
@click.argument("name")
@click.pass_context
def run_now(ctx: click.Context, name: str) -> None:
    """Run a job once, now, whether it is paused or not; refused while it runs."""
    with _desk(ctx) as desk:
        key = desk.run_now(name)
    click.echo(f"{name} was sent; its run is {key}")


@schedule.command("list", cls=CeleryCommand)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_(ctx: click.Context, *, as_json: bool) -> None:
    """Show every schedule: of the job table, and made at run time."""
    services = ctx.obj.app.services
    with explained_errors():
        rows = listed(services, services.clock.now())
    if as_json:
        click.echo(json.dumps([row.as_json() for row in rows], indent=2, ensure_ascii=False))
        return
    print_table(HEADINGS, [row.cells() for row in rows])


@schedule.command(cls=CeleryCommand)
@click.pass_context
def restore(ctx: click.Context) -> None:
    """Bring schedules made at run time, and pauses, back from the warehouse after Redis was lost."""
    services = ctx.obj.app.services
    with explained_errors():
        count = restored_schedules(services)
    click.echo("nothing to restore: Redis has its schedules" if count is None else f"{count} schedule(s) came back")


@contextmanager
def _desk(ctx: click.Context) -> Iterator[ScheduleDesk]:
    services = ctx.obj.app.services
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    with explained_errors():
        yield ScheduleDesk(services=services, stored_jobs=services.stored_jobs, by=by)


def _entry(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that were given, as a jobs file would have them."""
    given = {name: value for name, value in keys.items() if value is not None and value != ()}
    if "body" in given:
        given["body"] = _body(given["body"])
    if "headers" in given:
        given["headers"] = dict(_header(each) for each in given["headers"])
    return given


def _body(text: str) -> Any:
    try:
        decoded = json.loads(text)
    except ValueError:
        return text
    return decoded if isinstance(decoded, (dict, list)) else text


def _header(text: str) -> tuple[str, dict[str, str]]:
    name, equals, variable = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VARIABLE", param_hint="--header")
    return name, {"env": variable}
