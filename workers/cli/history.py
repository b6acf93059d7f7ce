"""`celery -A workers history [JOB]`: what became of the newest slots."""

from collections.abc import Iterable, Sequence

import click
import msgspec
from celery.bin.base import CeleryCommand
from rich.text import Text

from tasks.domain.history import DEFAULT_MOST, Wanted, time_of
from tasks.domain.outcomes import Outcome, Run
from tasks.domain.schedules import periods_of
from tasks.domain.wording import instant_text, seconds_text
from tasks.ledger_ports import LedgerView
from workers.cli.ledger import ask_as_much_as_there_is, check_job, explained_errors, moment_of
from workers.cli.tables import print_table

COLOURS = {
    Outcome.OK: "green",
    Outcome.FAILED: "red",
    Outcome.UNKNOWN: "red",
    Outcome.MISSED: "yellow",
    Outcome.FENCED: "yellow",
    Outcome.SKIPPED: "cyan",
    Outcome.CANCELLED: "cyan",
}
HEADINGS = ("when (UTC)", "job", "outcome", "late", "took", "source", "worker", "error or figures")


@click.command(cls=CeleryCommand)
@click.argument("job", required=False)
@click.option("--since", help="An age such as 2h, or a moment such as 2026-11-20T21:45 (UTC).")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="Only runs that ended so.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=DEFAULT_MOST, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a table.")
@click.pass_context
def history(  # noqa: PLR0913 - click hands over each option by its name
    ctx: click.Context, job: str | None, *, since: str | None, outcome: str | None, limit: int, as_json: bool
) -> None:
    """List what became of slots, the newest first: of JOB, or of every job.

    Reads the warehouse, and what is still on its way there.
    """
    services = ctx.obj.app.services
    start = None if since is None else moment_of(since, services.clock.now(), "--since").start
    wanted = Wanted(job=job, since=start, outcome=None if outcome is None else Outcome(outcome), most=limit)
    with explained_errors():
        runs = ask_as_much_as_there_is(services.records.view, lambda view: _runs(view, wanted, services.jobs))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(runs), indent=2))
    else:
        print_runs(runs)


def _runs(view: LedgerView, wanted: Wanted, jobs: Iterable[str]) -> Sequence[Run]:
    runs = view.runs(wanted)
    if wanted.job is not None and not runs:
        check_job(wanted.job, {*jobs, *periods_of(view.schedule_changes())})
    return runs


def print_runs(runs: Sequence[Run]) -> None:
    """Print runs as a table."""
    print_table(HEADINGS, [_cells(run) for run in runs])


def _cells(run: Run) -> tuple[object, ...]:
    when = time_of(run)
    return (
        instant_text(when) if when else None,
        run.job,
        Text(run.outcome, style=COLOURS[run.outcome]),
        None if run.lateness_s is None else seconds_text(run.lateness_s),
        None if run.duration_s is None else seconds_text(run.duration_s),
        run.source,
        run.worker,
        run.error or " ".join(f"{name}={value}" for name, value in run.detail.items()),
    )
