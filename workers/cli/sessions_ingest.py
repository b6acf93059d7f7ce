"""`celery -A workers sessions ingest`: one run of a session processor, now, with its progress."""

import time
from collections.abc import Callable
from typing import Any

import click
from celery.bin.base import CeleryCommand

from tasks.domain.claims import Progress
from tasks.domain.jobs import ProcessSessions
from tasks.domain.outcomes import Outcome, Run
from tasks.domain.wording import instant_text
from tasks.errors import EscapementError
from tasks.job_task import ALONE, RunFailedError
from tasks.ports import Services
from tasks.sessions import process_sessions
from workers.cli.ledger import explained_errors, warn
from workers.cli.sessions_care import check_processor
from workers.cli.sessions_progress import progress_bar
from workers.cli.sessions_text import print_json, totals
from workers.cli.warehouse_worker import answer_of, patience_option, send

LOOK_EVERY_S = 0.1
UNDER_WAY, BUSY, STILL_RUNNING = "under way", "busy: ", "is still running"
INTERRUPTED = 130


@click.command(cls=CeleryCommand)
@click.option("--processor", default="usage", show_default=True, help="Which session processor runs.")
@click.option("--wait", is_flag=True, help="Show the progress, and wait until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of a sentence.")
@patience_option
@click.pass_context
def ingest(ctx: click.Context, processor: str, timeout: int, *, wait: bool, as_json: bool) -> None:
    """Start a run over everything that is new in the session files.

    Exits with 1 when it did not start or, with --wait, did not end well. Ctrl-C stops the waiting, not the run.
    """
    services: Services = ctx.obj.app.services
    known = [job.action.processor for job in services.jobs.values() if isinstance(job.action, ProcessSessions)]
    check_processor(processor, known)
    with explained_errors():
        sent = send(process_sessions, processor, timeout=timeout, headers={ALONE: "1"})
    job, key = f"session-processor:{processor}", f"manual-{sent.id}"
    try:
        with explained_errors():
            answer = _begun(services, job, lambda: str(answer_of(sent, timeout)))
            if answer == UNDER_WAY and not wait:
                _say_begun(job, key, as_json=as_json)
                return
            with progress_bar(shown=answer == UNDER_WAY and not as_json) as show:
                run = follow(services, job, key, show)
    except KeyboardInterrupt:
        warn(f"the run goes on; see `celery -A workers history {job}`")
        ctx.exit(INTERRUPTED)
    print_json(run) if as_json else click.echo(totals(run))
    if run.outcome is not Outcome.OK:
        ctx.exit(1)


def follow(services: Services, job: str, key: str, show: Callable[[Progress], Any]) -> Run:
    """Show how far a run is until it has ended; returns how it ended. Raises EscapementError when nobody knows."""
    identity, slots = f"{job}/{key}", services.records.hot_slots
    while (slot := slots.slot(job, key)) is not None:
        progress = services.claims.progress(identity)
        if progress is not None:
            show(progress)
        if slot.state == "done":
            break
        time.sleep(LOOK_EVERY_S)
    run = services.records.view.run(job, key)
    if run is None:
        raise EscapementError(f"nothing is known of {identity} any more: Redis has lost its data")
    return run


def _begun(services: Services, job: str, answer: Callable[[], str]) -> str:
    """Return what the task says of its run; click.ClickException when another run of the job is on."""
    try:
        said = answer()
    except RunFailedError as error:
        return str(error)
    if said.startswith(BUSY):
        raise click.ClickException(_busy(services, job, said))
    return said


def _busy(services: Services, job: str, said: str) -> str:
    hot_slots = services.records.hot_slots
    holder = hot_slots.holder(job)
    if holder is None or STILL_RUNNING not in said:
        return f"{job} can't run now: {said.removeprefix(BUSY)}"
    slot = hot_slots.slot(job, holder.removeprefix(f"{job}/"))
    since = "" if slot is None or slot.claimed_at is None else f" since {instant_text(slot.claimed_at)}"
    return f"already running{since}: {holder}"


def _say_begun(job: str, key: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": job, "key": key, "state": UNDER_WAY})
    else:
        click.echo(f"{job}/{key} is under way; see `celery -A workers history {job}`")
