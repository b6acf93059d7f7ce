"""Beat's side of a provider: one is chosen and started, kept in line by a thread, and never in beat's way."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from celery.utils.log import get_logger

from tasks.domain.timetable import Timetable
from tasks.errors import EscapementError
from tasks.ports import Services
from workers.triggers.base import Desk, RemoteService, TriggerProvider
from workers.triggers.beat import BeatTrigger
from workers.triggers.choose import start_provider
from workers.triggers.fields import TriggerFields
from workers.triggers.firing import Firing, due_slot, is_due
from workers.triggers.message import send

EVERY_SECONDS: Final = 15.0
LAST_SECONDS: Final = 3.0

logger = get_logger(__name__)


class TriggerHost:
    """The provider of one beat; nothing that a provider raises gets out of here."""

    def __init__(self, settings: TriggerFields, services: Services, timetable: Timetable, *, node: str) -> None:
        self._timetable = timetable
        self._firing = Firing(dispatches=services.dispatches, send=send, who=node)
        self._desk = Desk(
            jobs=lambda: dict(timetable.jobs), fire=self._fire, now=services.clock.now, remote=remote_of(settings)
        )
        self._wanted = settings.scheduler_trigger
        self._provider = start_provider(self._wanted, self._desk)
        self._reconciler = Reconciler(self._provider)
        self._reconciler.start()

    @property
    def hold(self) -> timedelta:
        """How long beat leaves a due slot to the provider."""
        return self._provider.hold

    @property
    def status(self) -> str:
        """Name the provider, and say what is wrong with it."""
        if self._wanted != BeatTrigger.name and isinstance(self._provider, BeatTrigger):
            return f"{BeatTrigger.name}: {self._wanted} can't be used"
        failing = self._reconciler.failing
        return f"{self._wanted}: {failing}" if failing else self._wanted

    def jobs_changed(self) -> None:
        """Tell the provider, and bring what it has armed in line."""
        self._guarded(self._provider.on_jobs_changed)
        self._reconciler.look()

    def stop(self) -> None:
        """End the provider; waits for what it is doing for three seconds at most."""
        self._reconciler.stop()
        self._guarded(self._provider.stop)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except (Exception, SystemExit):
            logger.exception("the trigger %s failed; beat fires what it leaves undone", self._provider.name)

    def _fire(self, name: str, slot: datetime | None) -> bool:
        now, job = self._desk.now(), self._timetable.jobs.get(name)
        if job is None:
            return False
        due = due_slot(job, self._timetable.handled.get(name, now), now) if slot is None else slot
        return due is not None and is_due(job, due, now) and self._firing.fire(job, due, now)


class Reconciler(threading.Thread):
    """Lets a provider reconcile at its start, after every change, and every 15 seconds.

    A failure is logged once, and stands in `failing` while it lasts.
    """

    def __init__(self, provider: TriggerProvider) -> None:
        super().__init__(name="trigger", daemon=True)
        self._provider = provider
        self._wake = threading.Event()
        self._stopped = False
        self.failing = ""

    def run(self) -> None:
        if type(self._provider).reconcile is TriggerProvider.reconcile:
            return
        while not self._stopped:
            self._wake.clear()
            self._turn()
            self._wake.wait(EVERY_SECONDS)

    def look(self) -> None:
        """Reconcile as soon as possible."""
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()
        self.join(timeout=LAST_SECONDS)

    def _turn(self) -> None:
        try:
            self._provider.reconcile()
        except EscapementError as error:
            self._say_once(str(error))
        except (Exception, SystemExit) as error:
            logger.debug("trigger", exc_info=True)
            self._say_once(f"{type(error).__name__}: {error}")
        else:
            if self.failing:
                logger.warning("the trigger %s works again", self._provider.name)
            self.failing = ""

    def _say_once(self, problem: str) -> None:
        if problem != self.failing:
            logger.warning("the trigger %s: %s; beat fires what is not called", self._provider.name, problem)
        self.failing = problem


def remote_of(settings: TriggerFields) -> RemoteService:
    """Return what the settings say about the remote service, and what they leave out."""
    needed = [f"scheduler_trigger_{each}" for each in ("url", "callback_url", "public_key", "audience", "issuer")]
    missing = [name.upper() for name in needed if getattr(settings, name) is None]
    key = settings.scheduler_trigger_api_key
    return RemoteService(
        url=str(settings.scheduler_trigger_url or ""),
        callback_url=str(settings.scheduler_trigger_callback_url or ""),
        api_key=None if key is None else key.get_secret_value(),
        problem=f"not set: {', '.join(missing)}" if missing else "",
    )
