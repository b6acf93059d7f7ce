"""Liveness without the broker: a file that a process touches as long as its own loop turns.

A probe that asks over the broker calls every process dead when only Redis is.
"""

from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

from celery import Celery, bootsteps

TOUCH_SECONDS = 5.0
STALLED_SECONDS = 30.0


def touch(file: Path | None) -> None:
    """Say that this process is alive; does nothing when no file is configured."""
    if file is not None:
        file.touch()


class Pulse(bootsteps.StartStopStep):
    """Touches the file while the worker's event loop turns, or waits for a broker to turn it for."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.file: Path | None = worker.app.settings.alive_file
        self._turned = monotonic()
        self._stopped = Event()

    def include_if(self, worker: Any) -> bool:
        return worker.app.settings.alive_file is not None

    def start(self, worker: Any) -> None:
        self._turn()
        worker.timer.call_repeatedly(TOUCH_SECONDS, self._turn)
        Thread(target=self._watch, args=(worker,), name="pulse", daemon=True).start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002 - the same for every worker
        self._stopped.set()

    def terminate(self, worker: Any) -> None:
        self.stop(worker)

    def _turn(self) -> None:
        self._turned = monotonic()

    def _watch(self, worker: Any) -> None:
        while not self._stopped.is_set():
            if _waits_for_broker(worker) or monotonic() - self._turned < STALLED_SECONDS:
                touch(self.file)
            self._stopped.wait(TOUCH_SECONDS)


def _waits_for_broker(worker: Any) -> bool:
    return getattr(worker.consumer, "connection", None) is None


def watch_workers(app: Celery) -> None:
    """Let every worker of the app touch the file that its settings name."""
    app.steps["worker"].add(Pulse)
