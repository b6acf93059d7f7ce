"""The progress of a run in parts, as a bar on stderr: files, MB/s, ETA."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.domain.claims import Progress
from tasks.session_runs import PLANNED_BYTES, PLANNED_FILES


@contextmanager
def progress_bar(*, shown: bool = True) -> Iterator[Callable[[Progress], None]]:
    """Give a function that shows how far a run is; the bar stays where it was when the block ends."""
    from rich.console import Console  # noqa: PLC0415 - every worker loads the commands, and none of them draws
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as above
    from rich.progress import Progress as Bar  # noqa: PLC0415 - as above

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task, began = bar.add_task("looking for what is new", total=None), time.monotonic()

        def show(progress: Progress) -> None:
            done, total = done_of(progress)
            speed = f"{done / 1e6 / (time.monotonic() - began):.1f} MB/s"
            bar.update(task, completed=done, total=total, description=f"{files_of(progress)}, {speed}")

        yield show


def done_of(progress: Progress) -> tuple[int, int | None]:
    """Return how many bytes are done of how many; of a run that plans no bytes nothing is known but its files."""
    planned = progress.figures.get(PLANNED_BYTES)
    return (0, None) if planned is None else (progress.figures.get("bytes", 0), planned)


def files_of(progress: Progress) -> str:
    """Say how many files are done, and how many parts are left."""
    files, planned = progress.figures.get("files", 0), progress.figures.get(PLANNED_FILES)
    of_all = f"{files:,} files" if planned is None else f"{files:,} of {planned:,} files"
    return f"{of_all}, {progress.parts_left} part(s) left"
