"""`celery -A workers why JOB [TIME]`: why a job ran, or did not."""

from dataclasses import replace
from datetime import datetime

import click
from celery.bin.base import CeleryCommand

from tasks.domain.explain import Facts, explain, locate
from tasks.domain.moments import ACCEPTED, parse_moment
from tasks.domain.outcomes import Run
from tasks.domain.schedules import periods_of
from tasks.domain.slots import slot_text
from tasks.errors import RedisUnavailableError
from tasks.ledger_ports import HotSlots, LedgerView
from tasks.ports import Services
from workers.cli.ledger import ask_as_much_as_there_is, check_job, explained_errors
from workers.cli.tables import plain


@click.command(cls=CeleryCommand)
@click.argument("job")
@click.argument("time", required=False)
@click.pass_context
def why(ctx: click.Context, job: str, time: str | None) -> None:
    """Explain in one paragraph what became of JOB at TIME, or of its newest slot.

    TIME is an age (2h), a time of day (21:45), a moment (2026-11-20T21:45), all in UTC, or the key of a run.
    """
    services: Services = ctx.obj.app.services
    with explained_errors():
        facts = ask_as_much_as_there_is(services.records.view, lambda view: _facts(services, view, job, time))
    click.echo(plain(explain(facts)))


def _facts(services: Services, view: LedgerView, job: str, time: str | None) -> Facts:
    periods = periods_of(view.schedule_changes())
    check_job(job, {*services.jobs, *periods})
    facts = _asked(Facts(job=job, now=services.clock.now(), periods=periods.get(job, ())), view, time)
    slot = facts.slot or facts.before
    if slot is not None:
        facts = replace(facts, run=view.run(job, slot_text(slot)) or _row_with(view, job, slot))
    return _with_redis(replace(facts, streak=view.streak(job)), services.records.hot_slots)


def _asked(facts: Facts, view: LedgerView, time: str | None) -> Facts:
    """Find the slot or the run that is meant."""
    if time is None:
        return locate(facts)
    try:
        located = locate(replace(facts, moment=parse_moment(time, facts.now)))
    except ValueError:
        return replace(facts, run=_run_named(facts.job, view, time))
    recorded = view.run(facts.job, str(located.moment)) if located.slot is None else None
    return located if recorded is None else replace(located, slot=recorded.slot, before=None)


def _row_with(view: LedgerView, job: str, slot: datetime) -> Run | None:
    """Return the entry of a row of missed slots that has this one in it."""
    rows = view.rows_of_missed().get(job, ())
    first = next((first for first, last, _ in rows if first <= slot <= last), None)
    return None if first is None else view.run(job, slot_text(first))


def _run_named(job: str, view: LedgerView, key: str) -> Run:
    run = view.run(job, key)
    if run is None:
        raise click.BadParameter(
            f"{key!r} is no run of {job}, and no moment; accepted are {ACCEPTED}", param_hint="TIME"
        )
    return run


def _with_redis(facts: Facts, hot_slots: HotSlots) -> Facts:
    slot = facts.slot or facts.before
    named = slot_text(slot) if slot else ""
    key = facts.run.key if facts.run else named
    try:
        hot = hot_slots.slot(facts.job, key) if key else None
        return replace(facts, hot=hot, holder=hot_slots.holder(facts.job))
    except RedisUnavailableError:
        return replace(facts, redis_is_away=True)
