"""`celery -A workers query "select …"`: ask the warehouse."""

import click
from celery.bin.base import CeleryCommand

from workers.cli.ledger import explained_errors
from workers.cli.tables import print_table


@click.command(cls=CeleryCommand)
@click.argument("sql")
@click.pass_context
def query(ctx: click.Context, sql: str) -> None:
    """Print the answer of the warehouse to one SQL question, read-only.

    Waits while a commit is on.
    """
    with explained_errors():
        columns, rows = ctx.obj.app.services.warehouse.query(sql)
    print_table(columns, rows)
