"""`celery -A workers query "select …"`: ask the warehouse."""

import sys
from collections.abc import Sequence

import click
from celery.bin.base import CeleryCommand
from rich.console import Console
from rich.table import Table

from tasks.errors import EscapementError


@click.command(cls=CeleryCommand)
@click.argument("sql")
@click.pass_context
def query(ctx: click.Context, sql: str) -> None:
    """Print the answer of the warehouse to one SQL question, read-only.

    Waits while a commit is on.
    """
    try:
        columns, rows = ctx.obj.app.services.warehouse.query(sql)
    except EscapementError as error:
        raise click.ClickException(str(error)) from None
    print_table(columns, rows)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as a table: as wide as the terminal, or as wide as it needs when it goes into a pipe."""
    table = Table(*columns)
    for row in rows:
        table.add_row(*("" if each is None else str(each) for each in row))
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, soft_wrap=True, highlight=False).print(table)
