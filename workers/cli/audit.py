"""`celery -A workers audit`: prove that no slot vanished."""

import click
from celery.bin.base import CeleryCommand

from tasks.domain.audit import Audit
from tasks.domain.audit import audit as compare
from tasks.domain.schedules import periods_of
from tasks.domain.wording import instant_text
from workers.cli.ledger import explained_errors, moment_of
from workers.cli.tables import print_table


@click.command(cls=CeleryCommand)
@click.option("--since", default="24h", show_default=True, help="An age such as 2h, or a moment in UTC.")
@click.pass_context
def audit(ctx: click.Context, since: str) -> None:
    """Compare the slots that schedules expected with the slots that are recorded.

    Exits with 1 and lists them when slots are neither recorded nor under way. A slot is expected as soon as its window
    has closed.
    """
    app = ctx.obj.app
    records, now = app.services.records, app.services.clock.now()
    start = max(moment_of(since, now, "--since").start, now - app.settings.ledger_retention)
    with explained_errors():
        # What is under way is read first: whatever ends from now on is recorded before the records are read.
        under_way = records.hot_slots.under_way()
        periods = periods_of(records.view.schedule_changes())
        outcomes, rows = records.view.outcomes(start), records.view.rows_of_missed()
        found = compare(periods, outcomes, under_way, since=start, now=now, rows=rows)
    click.echo(summary(found, jobs=len(periods)))
    if found.vanished:
        _print_vanished(found)
        ctx.exit(1)


def summary(found: Audit, *, jobs: int) -> str:
    """Say in one line how many slots were expected, recorded (by outcome), under way, and gone."""
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
    when = f"{instant_text(found.since)} to {instant_text(found.until)}"
    recorded = f"{found.recorded} recorded" + (f" ({outcomes})" if outcomes else "")
    gone = len(found.vanished)
    return (
        f"{when}, {_counted(jobs, 'job')}: {_counted(found.expected, 'slot')} expected, {recorded}, "
        f"{found.open} under way, {gone} vanished."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_vanished(found: Audit) -> None:
    print_table(("job", "slot"), [(each.job, instant_text(each.slot)) for each in found.vanished])
