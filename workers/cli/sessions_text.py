"""What the commands for session files print."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
import msgspec
from rich.text import Text

from tasks.domain.outcomes import Outcome, Run
from tasks.domain.session_state import Health, Lag, Level, Trouble, UserTotals, Verification
from tasks.domain.wording import instant_text, seconds_text
from tasks.session_admin import Status
from workers.cli.tables import print_table

COLOURS = {Level.OK: "green", Level.INFO: "cyan", Level.DEGRADED: "yellow"}
LINES_NAMED = 5
NOT_GOOD = {
    "bad_lines": "bad line(s)",
    "failed": "file(s) failed",
    "moved": "file(s) moved on meanwhile",
    "left_over": "file(s) left for the next run",
}
WITHOUT_BYTES = frozenset({"bytes", "planned_bytes", "planned_files"})


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How session files stand; `broken` names entry points that can't be used, with the reason."""

    status: Status
    not_configured: tuple[str, ...]
    broken: Mapping[str, str]


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def totals(run: Run) -> str:
    """Say in one line how a run ended and what it did."""
    took = "" if run.duration_s is None else f" in {seconds_text(run.duration_s)}"
    if run.outcome is not Outcome.OK and not run.detail:
        return f"{run.outcome}{took}: {run.error}"
    failed = "" if run.error is None else f" ({run.error})"
    return f"{run.outcome}{failed}: {_done(run)}{took}{_speed(run)}{''.join(_not_good(run.detail))}"


def _done(run: Run) -> str:
    figures = run.detail
    if "rows" in figures:
        return f"{figures['files']:,} files, {megabytes(figures['bytes'])}, {figures['lines']:,} lines"
    if not figures.get("files") and "unchanged" in figures:
        return f"nothing new in {figures['unchanged']:,} files"
    return ", ".join(f"{name} {value}" for name, value in figures.items() if name not in WITHOUT_BYTES)


def _speed(run: Run) -> str:
    size = run.detail.get("bytes")
    return f" ({megabytes(float(size) / run.duration_s)}/s)" if size and run.duration_s else ""


def _not_good(figures: Mapping[str, Any]) -> Iterable[str]:
    return (f"; {figures[name]:,} {words}" for name, words in NOT_GOOD.items() if figures.get(name))


def megabytes(size: float | str) -> str:
    """Spell a number of bytes in MB."""
    return f"{float(size) / 1e6:,.1f} MB"


def print_standing(standing: Standing) -> None:
    """Print how session files stand, as tables; those without rows are left out."""
    found, overview = standing.status, standing.status.overview
    click.echo(f"{found.seen:,} session file(s)")
    rows = [_processor(name, found.health[name], lag) for name, lag in found.lags.items()]
    print_table(("processor", "health", "waiting", "size", "oldest", "unchanged since", "why"), rows)
    _table(
        ("processor", "user", "files", "size", "lines", "bad", "failed", "quarantined", "last"), overview.users, _user
    )
    _table(("processor", "file", "state", "tries", "bad", "error or bad lines"), overview.troubles, _trouble)
    for name in standing.not_configured:
        click.echo(f"{name} is not configured")
    for path in found.refused:
        click.echo(f"not followed: {path}")
    for name, problem in standing.broken.items():
        click.echo(f"processor {name} can't be used: {problem}")


def _table(headings: Sequence[str], values: Sequence[Any], cells: Any) -> None:
    if values:
        print_table(headings, [cells(value) for value in values])


def _processor(name: str, health: Health, lag: Lag) -> tuple[object, ...]:
    since = None if lag.oldest_since is None else instant_text(lag.oldest_since)
    return (
        name, Text(health.level, style=COLOURS[health.level]), f"{lag.files:,}", megabytes(lag.bytes), lag.oldest,
        since, health.reason,
    )  # fmt: skip


def _user(each: UserTotals) -> tuple[object, ...]:
    return (
        each.processor, each.username, f"{each.files:,}", megabytes(each.bytes), f"{each.lines:,}", each.bad_lines,
        each.failed, each.quarantined, instant_text(each.committed_at),
    )  # fmt: skip


def _trouble(each: Trouble) -> tuple[object, ...]:
    lines = ", ".join(map(str, each.bad_line_numbers[:LINES_NAMED]))
    more = ", …" if each.bad_lines > LINES_NAMED else ""
    why = each.error if each.error is not None else f"lines {lines}{more}"
    return each.processor, each.path, _state(each), each.attempts, each.bad_lines, why


def _state(each: Trouble) -> str:
    if each.quarantined_at is not None:
        return f"quarantined since {instant_text(each.quarantined_at)}"
    return "read" if each.next_retry_at is None else f"next try {instant_text(each.next_retry_at)}"


def print_rebuilt(rebuilt: Mapping[str, Verification]) -> None:
    """Print what was compared with a rebuild, and every difference."""
    for name, found in rebuilt.items():
        what = f"{found.files:,} file(s), {megabytes(found.bytes)}, {found.lines:,} line(s) rebuilt"
        pending = f", {found.pending:,} pending" if found.pending else ""
        click.echo(f"{name}: {what}{pending}: {len(found.differences) or 'no'} difference(s)")
    different = [each for found in rebuilt.values() for each in found.differences]
    headings = ("processor", "table or view", "rows missing", "rows too many", "for example")
    _table(headings, different, lambda each: (each.processor, each.relation, each.missing, each.extra, each.example))
