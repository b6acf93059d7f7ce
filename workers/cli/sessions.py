"""`celery -A workers sessions …`: how the session files stand, and what can be done about it."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import click
from celery.bin.base import CeleryCommand

from tasks import session_admin
from tasks.domain.jobs import Job, ProcessSessions
from tasks.domain.session_state import longest_gap
from tasks.ports import Services
from tasks.processors import registry
from tasks.processors.verification import NAME as VERIFICATION
from tasks.session_care import every_processor
from workers.cli.ledger import explained_errors
from workers.cli.sessions_care import prune, reprocess, retry, verify
from workers.cli.sessions_ingest import ingest
from workers.cli.sessions_text import Standing, print_json, print_standing


@click.group()
def sessions() -> None:
    """Read session files, and look after what was read."""


@sessions.command(cls=CeleryCommand)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; instants in UTC.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show what waits to be read, whether that is healthy, which files are in trouble, and totals by user.

    Reads the folder and the warehouse; needs neither Redis nor a worker.
    """
    with explained_errors():
        standing = standing_of(ctx.obj.app.services)
    print_json(standing) if as_json else print_standing(standing)


def standing_of(services: Services) -> Standing:
    """Return how session files stand for each processor that is configured."""
    now, configured = services.clock.now(), services.verification is not None and services.verification.model
    cadences = cadences_of(services.jobs, now)
    idle = () if configured else tuple(cadences.keys() & {VERIFICATION})
    found = session_admin.status(
        every_processor(services), {name: each for name, each in cadences.items() if name not in idle}, now
    )
    return Standing(status=found, not_configured=idle, broken=dict(registry().problems))


def cadences_of(jobs: Mapping[str, Job], now: datetime) -> dict[str, timedelta]:
    """Return the cadence of each session processor, of an uneven one the longest gap."""
    return {
        job.action.processor: longest_gap(job.cadence, now)
        for job in jobs.values()
        if isinstance(job.action, ProcessSessions)
    }


for command in (ingest, retry, reprocess, verify, prune):
    sessions.add_command(command)
