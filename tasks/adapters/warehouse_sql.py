"""Named SQL statements out of the .sql files beside this module."""

from functools import cache
from pathlib import Path

_HEADING = "-- name: "


@cache
def statements(file: str) -> dict[str, str]:
    """Return the statements of one file by the name in the heading line before each."""
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for part in text.split(_HEADING)[1:]:
        name, _, body = part.partition("\n")
        found[name.split()[0]] = body.strip()
    return found


def for_table(statement: str, table: str) -> str:
    """Return the statement with the placeholder `the_table` replaced by a quoted table name."""
    quoted = '"' + table.replace('"', '""') + '"'
    return statement.replace("the_table", quoted)


def for_file(statement: str, path: Path) -> str:
    """Return the statement with the placeholder `the_file` replaced by a quoted path."""
    return statement.replace("the_file", "'" + str(path).replace("'", "''") + "'")
