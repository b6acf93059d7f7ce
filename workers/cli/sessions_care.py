"""`celery -A workers sessions retry | reprocess | verify | prune`."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from celery.bin.base import CeleryCommand

from tasks import session_admin
from tasks.domain.durations import parse_duration
from tasks.domain.wording import span_text
from tasks.ports import Services
from tasks.session_care import every_processor, prune_sessions, reprocess_sessions, retry_sessions
from workers.cli.ledger import explained_errors
from workers.cli.sessions_text import print_json, print_rebuilt
from workers.cli.warehouse_worker import ask, patience_option


@click.command(cls=CeleryCommand)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@patience_option
@click.pass_context
def retry(ctx: click.Context, files: tuple[str, ...], timeout: int) -> None:
    """Let the next run try failed and quarantined files again: these, or all.

    FILE is a path below the folder of sessions, as `sessions status` shows it.
    """
    app = ctx.obj.app
    with explained_errors():
        paths = _paths(app, files)
        troubles = app.services.warehouse.overview().troubles if paths else ()
        _refuse_others(paths, {each.path for each in troubles if each.error is not None}, "has not failed")
        count = ask(retry_sessions, paths, timeout=timeout)
    click.echo(f"{count} file(s) will be tried again by the next run")


@click.command(cls=CeleryCommand)
@click.option("--processor", required=True, help="Whose rows are made anew.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@patience_option
@click.pass_context
def reprocess(ctx: click.Context, processor: str, files: tuple[str, ...], timeout: int) -> None:
    """Let the next run of one processor read files from their beginning: these, or all."""
    app = ctx.obj.app
    with explained_errors():
        check_processor(processor, every_processor(app.services).processors)
        paths = _paths(app, files)
        if paths:
            known = {seen.path for seen in app.services.session_files.listing()[0]}
            _refuse_others(paths, known, "is no session file")
        count = ask(reprocess_sessions, processor, paths, timeout=timeout)
    click.echo(f"{count} file(s) will be read from their beginning by the next run of {processor}")


@click.command(cls=CeleryCommand)
@click.option("--processor", help="Only this one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(ctx: click.Context, processor: str | None, *, as_json: bool) -> None:
    """Rebuild everything from zero and compare it with the tables.

    Exits with 1 and the differences when there are any. Runs may go on meanwhile.
    """
    services: Services = ctx.obj.app.services
    with explained_errors():
        names = [processor] if processor else sorted(services.processors)
        for name in names:
            check_processor(name, services.processors)
        rebuilt = {name: session_admin.verify(services, name) for name in names}
    print_json(rebuilt) if as_json else print_rebuilt(rebuilt)
    if any(each.differences for each in rebuilt.values()):
        ctx.exit(1)


@click.command(cls=CeleryCommand)
@click.option("--older-than", "age", required=True, help="An age such as 90d; files changed since then stay.")
@patience_option
@click.pass_context
def prune(ctx: click.Context, age: str, timeout: int) -> None:
    """Forget the rows of files that were last changed longer ago than this.

    The files themselves stay, and are not read again unless they change.
    """
    now = ctx.obj.app.services.clock.now()
    span, older_than = _age(age, now)
    with explained_errors():
        pruned = ask(prune_sessions, older_than.isoformat(), timeout=timeout)
    click.echo(f"forgot {pruned['rows']} row(s) of {pruned['files']} file(s) unchanged for {span_text(span)}")


def check_processor(name: str, known: Iterable[str]) -> None:
    """Refuse a processor that nobody knows; click.BadParameter that lists those there are."""
    names = sorted(known)
    if name not in names:
        raise click.BadParameter(
            f"no session processor is named {name!r}; there are: {', '.join(names)}", param_hint="--processor"
        )


def _age(text: str, now: datetime) -> tuple[timedelta, datetime]:
    """Read an age, and the instant that it means."""
    span = parse_duration(text)
    try:
        if span:
            return span, now - span
    except OverflowError:
        pass
    raise click.BadParameter(f"{text!r} is no age; accepted are 90d, 12h, 30m", param_hint="--older-than")


def _paths(app: Any, files: Sequence[str]) -> list[str]:
    """Return files as the cursors name them: below the folder of sessions."""
    root = Path(app.settings.session_data_dir).resolve()
    whole = [Path(file).parent.resolve() / Path(file).name if Path(file).is_absolute() else None for file in files]
    return [
        str(path.relative_to(root)) if path is not None and path.is_relative_to(root) else file
        for file, path in zip(files, whole, strict=True)
    ]


def _refuse_others(paths: Iterable[str], known: Iterable[str], why: str) -> None:
    strangers = sorted(set(paths) - set(known))
    if strangers:
        raise click.BadParameter(f"{strangers[0]!r} {why}", param_hint="FILE")
