"""`celery -A workers cancel JOB [SLOT]` and `celery -A workers resolve JOB SLOT ok|failed`."""

import getpass
import socket

import click
from celery.bin.base import CeleryCommand

from tasks.domain.outcomes import Launch, Outcome, Source
from tasks.domain.slots import parse_slot, slot_text
from tasks.ports import Services
from workers.cli.ledger import check_job, explained_errors


@click.command(cls=CeleryCommand)
@click.argument("job")
@click.argument("slot")
@click.pass_context
def cancel(ctx: click.Context, job: str, slot: str) -> None:
    """Stop one run of JOB, or see to it that its SLOT never runs.

    SLOT is an instant such as 2026-11-20T21:45:00Z, or the key of a manual run as `history` shows it. The ledger keeps
    who asked.
    """
    app = ctx.obj.app
    launch = _launch(app.services, job, slot)
    with explained_errors():
        answer = app.services.claims.cancel(launch, _who())
    if answer == "stopping":
        app.control.broadcast("look_now", arguments={"identity": launch.identity})
        click.echo(f"{launch.identity} is running and was asked to stop")
    elif answer == Outcome.CANCELLED:
        click.echo(f"{launch.identity} is cancelled")
    else:
        raise click.ClickException(f"{launch.identity} has ended already: {answer}")


@click.command(cls=CeleryCommand)
@click.argument("job")
@click.argument("slot")
@click.argument("outcome", type=click.Choice([Outcome.OK.value, Outcome.FAILED.value]))
@click.pass_context
def resolve(ctx: click.Context, job: str, slot: str, outcome: str) -> None:
    """Say what became of a run whose outcome is unknown, because you know.

    Only `unknown` can be replaced; the ledger keeps who said so.
    """
    services: Services = ctx.obj.app.services
    launch = _launch(services, job, slot)
    with explained_errors():
        before = services.claims.resolve(launch.identity, Outcome(outcome), _who())
    if not before:
        raise click.ClickException(f"nothing is remembered of {launch.identity}; see `history {job}`")
    if before != Outcome.UNKNOWN:
        raise click.ClickException(f"{launch.identity} is {before}, and only an unknown outcome can be resolved")
    click.echo(f"{launch.identity}: unknown is now {outcome}")


def _launch(services: Services, job: str, slot: str) -> Launch:
    if job not in services.jobs:
        check_job(job, {*services.jobs, *services.stored_jobs.names()})
    if slot.startswith("manual-"):
        return Launch(job=job, key=slot, slot=None, source=Source.MANUAL, run_id=slot.removeprefix("manual-"))
    try:
        instant = parse_slot(slot)
    except ValueError as error:
        raise click.ClickException(f"no such slot: {error}") from None
    return Launch(job=job, key=slot_text(instant), slot=instant, source=Source.MANUAL, run_id="")


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
