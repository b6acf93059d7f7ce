"""The undertaker: a small shell that outlives a killed supervisor just long enough to end its children."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

SCRIPT = Path(__file__).with_name("undertaker.sh")


class Undertaker:
    """Knows the process groups of the supervisor; ends them when the supervisor dies without saying goodbye.

    The kernel's parent-death signal would reach the children only, not the pool processes that these have forked.
    """

    def __init__(self, lock: IO[str]) -> None:
        """`lock` stays locked until the undertaker has ended, so that a new supervisor never meets old children."""
        self._process = subprocess.Popen(  # noqa: S603 - nothing from outside is in it
            ["/bin/sh", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )

    def told(self, groups: Iterable[int]) -> None:
        """Tell which process groups are alive now."""
        stdin = self._process.stdin
        if stdin is not None and self._process.poll() is None:
            stdin.write(" ".join(map(str, groups)) + "\n")
            stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the pipe, so that it ends what it was last told of, and wait for it."""
        self._process.communicate()
