"""Tables on the terminal: text of others is shown as it is."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_COLUMNS = 10_000


def plain(value: object) -> Text:
    """Show text of others as it is: no markup, no control characters; None is empty."""
    text = "" if value is None else str(value)
    return Text("".join(each if each.isprintable() else "�" for each in text))


def terminal() -> Console:
    """Return a console as wide as the terminal, or as wide as its text needs when it goes into a pipe."""
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as a table; a cell that is a rich Text keeps its style."""
    table = Table(*headings)
    for row in rows:
        table.add_row(*(each if isinstance(each, Text) else plain(each) for each in row))
    terminal().print(table)
