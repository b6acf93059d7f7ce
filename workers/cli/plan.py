"""`celery -A workers plan`: what the jobs will do, said before anything runs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from celery.bin.base import CeleryCommand

from beat_schedule import job_table, remarks
from tasks.domain.coprime_advice import shared_factors
from tasks.domain.jobs import Job
from tasks.domain.plan import plan_of
from workers.cli.plan_text import print_plan

NO_MATPLOTLIB = "--plot needs matplotlib, which is not installed: pip install 'escapement[plot]'"


@click.command(cls=CeleryCommand)
@click.option("--plot", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Draw the day as a PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times in seconds, instants in UTC.")
@click.pass_context
def plan(ctx: click.Context, plot: Path | None, *, as_json: bool) -> None:
    """Print each job's cadence, phase and next slots, and how the jobs of a group meet. Needs no Redis."""
    settings = ctx.obj.app.settings
    jobs = job_table(settings)
    start = datetime.now(UTC).replace(microsecond=0)
    planned = plan_of(jobs, start)
    if plot is not None:
        _draw(plot, jobs, start)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(planned), indent=2).decode())
        return
    print_plan(planned, [*remarks(settings), *map(str, shared_factors(jobs.values()))])


def _draw(path: Path, jobs: Mapping[str, Job], start: datetime) -> None:
    try:
        from workers.cli.plan_png import draw  # noqa: PLC0415 - matplotlib is an extra
    except ModuleNotFoundError:
        raise click.ClickException(NO_MATPLOTLIB) from None
    try:
        draw(path, jobs, start)
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from None
