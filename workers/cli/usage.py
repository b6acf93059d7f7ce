"""`celery -A workers usage`: messages, tokens, tools and costs, by day, user, model or tool."""

from pathlib import Path

import click
from celery.bin.base import CeleryCommand

from tasks.domain.prices import Prices, parse_prices
from tasks.errors import ConfigurationError
from tasks.usage_report import Grouping, UsageReport, report
from workers.cli.ledger import explained_errors, moment_of, warn
from workers.cli.sessions_text import print_json
from workers.cli.tables import print_table

NO_MATPLOTLIB = "--plot needs matplotlib, which is not installed: pip install 'escapement[plot]'"


@click.command(cls=CeleryCommand)
@click.option(
    "--by", type=click.Choice([each.value for each in Grouping]), default=Grouping.DAY.value, show_default=True
)
@click.option("--since", help="An age such as 30d, or a moment such as 2026-11-20 (UTC).")
@click.option("--plot", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Draw it as a PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def usage(ctx: click.Context, by: str, since: str | None, plot: Path | None, *, as_json: bool) -> None:
    """Print what was used, as far as it is read: with its cost when USAGE_PRICES_FILE names a table of prices.

    Models without a price are listed, and in no cost.
    """
    app = ctx.obj.app
    start = None if since is None else moment_of(since, app.services.clock.now(), "--since").start
    with explained_errors():
        found = report(app.services.warehouse, Grouping(by), start, prices_of(app.settings.usage_prices_file))
    if plot is not None:
        _draw(plot, found)
    if as_json:
        print_json(as_objects(found))
        return
    print_table(found.columns, [[_cell(value) for value in row] for row in found.rows])
    if found.currency is not None:
        click.echo(f"costs in {found.currency}")
    if found.unknown_models:
        warn(f"without a price, in no cost: {', '.join(found.unknown_models)}")


def prices_of(path: Path | None) -> Prices | None:
    """Read a table of prices; raises ConfigurationError that names the variable and the file."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"USAGE_PRICES_FILE={path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"USAGE_PRICES_FILE={path} is no UTF-8 text") from None
    return parse_prices(text, f"USAGE_PRICES_FILE={path}")


def as_objects(found: UsageReport) -> dict[str, object]:
    """Return the report as JSON has it: one object for each row."""
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return {"rows": rows, "currency": found.currency, "unknown_models": found.unknown_models}


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:,.4g}" if value < 1 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else value


def _draw(path: Path, found: UsageReport) -> None:
    if not found.rows:
        raise click.ClickException("--plot: there is nothing to draw yet")
    try:
        from workers.cli.usage_png import draw  # noqa: PLC0415 - matplotlib is an extra
    except ModuleNotFoundError:
        raise click.ClickException(NO_MATPLOTLIB) from None
    try:
        draw(path, found)
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from None
