"""Beat: a Celery scheduler that sends each time slot once, however many beats run."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from celery.beat import Scheduler, Service
from celery.beat import beat_nodename as node_name  # type: ignore[attr-defined]
from celery.signals import beat_init
from celery.utils.log import get_logger

from tasks.errors import RedisUnavailableError
from tasks.ports import Services
from workers.beat_events import BeatEvents
from workers.beat_history import HistoryWriter
from workers.beat_inspect import handlers
from workers.beat_names import give_up_name, keep_name, own_name
from workers.beat_work import BeatWork, Hands, open_work
from workers.dispatcher import Fire
from workers.liveness import touch
from workers.triggers.host import TriggerHost
from workers.triggers.message import send

AWAY_SECONDS = 1.0
HEARTBEAT_SECONDS = 1.0
NAME_SECONDS = 3.0

logger = get_logger(__name__)


class SlotScheduler(Scheduler):
    """Sends every slot of the job table. Keeps no file: slots are a function of the clock alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.node: str = node_name(None)
        self._work: BeatWork | None = None
        self._trigger: TriggerHost | None = None
        self._away_since: datetime | None = None
        self._last_away = ""
        self._service: Any = None
        self._closed = False
        self._next_heartbeat = self._next_name = 0.0
        super().__init__(*args, **kwargs)
        escapement: Any = self.app
        self._services: Services = escapement.services
        self._longest_sleep = float(self.max_interval or escapement.conf.beat_max_loop_interval)
        self._events = BeatEvents(self.app)
        self._history = HistoryWriter()
        self._alive_file = escapement.settings.alive_file
        grace = timedelta(seconds=escapement.settings.scheduler_startup_grace_seconds)
        self._silent_until = datetime.now(UTC) + grace

    def setup_schedule(self) -> None:
        """Keep Celery from looking for entries: the timetable is made when Redis is there."""

    def serve(self, service: Any) -> None:
        """Take the node name of the service, and answer for it once its remote control is there."""
        self.node = node_name(service.hostname)
        self._service = service

    @property
    def fires(self) -> int:
        """How many slots this beat has sent since it started."""
        return self._work.dispatcher.fires if self._work else 0

    def tick(self) -> float:  # type: ignore[override]
        """Dispatch what is due; return the seconds to sleep.

        A signal that came while a message was sent may have closed beat, and been lost among the errors of that send.
        """
        if self._closed:
            raise SystemExit
        now = datetime.now(UTC)
        try:
            seconds = self._tick(now)
            self._say_back()
        except RedisUnavailableError as error:
            seconds = self._say_away(error, now)
        if monotonic() >= self._next_heartbeat:
            self._next_heartbeat = monotonic() + HEARTBEAT_SECONDS
            self._events.beat(self.node, interval=self._longest_sleep, fires=self.fires)
            touch(self._alive_file)
        self._answer_more()
        return min(seconds, self._longest_sleep)

    def close(self) -> None:
        self._closed = True
        gc.unfreeze()
        self._history.stop()
        if self._trigger is not None:
            self._trigger.stop()
        self._events.offline(self.node, fires=self.fires)
        if self._work is not None:
            try:
                give_up_name(self._services.dispatches, self.node)
            except RedisUnavailableError as error:
                logger.debug("the name is given up in a while: %s", error)
        super().close()

    def _tick(self, now: datetime) -> float:
        if self._work is None:
            self._work = self._open(now)
        if monotonic() >= self._next_name:
            self._next_name = monotonic() + NAME_SECONDS
            keep_name(self._services.dispatches, self.node)
        if now < self._silent_until:
            return min((self._silent_until - now).total_seconds(), HEARTBEAT_SECONDS)
        return self._work.tick(now)

    def _open(self, now: datetime) -> BeatWork:
        self.node = own_name(self._services.dispatches, self.node)
        hands = Hands(send=self._send, history=self._history, stopping=lambda: self._closed)
        with _no_search_for_garbage():
            work = open_work(self._services, now, begin=self._silent_until, node=self.node, hands=hands)
        if self._history.ident is None:
            self._history.start()
        self._trigger = self._start_trigger(work)
        return work

    def _start_trigger(self, work: BeatWork) -> TriggerHost:
        """Let somebody else call the slots if that is wanted; this beat then comes after, and sends what was not."""
        escapement: Any = self.app
        trigger = TriggerHost(escapement.settings, self._services, work.dispatcher.timetable, node=self.node)
        work.dispatcher.hold = trigger.hold
        work.watch.changed = trigger.jobs_changed
        return trigger

    def _send(self, fire: Fire) -> None:
        send(fire, producer=self.producer)

    def _state(self) -> dict[str, Any]:
        """Say what is to be said of this beat when somebody asks."""
        work = self._work
        return {
            "total": {"slots sent": self.fires},
            "jobs": len(work.dispatcher.timetable.jobs) if work else 0,
            "errors": dict(work.errors) if work else {},
            "redis": f"away since {self._away_since:%H:%M:%S} UTC" if self._away_since else "there",
            "redis was last away": self._last_away,
            "trigger": self._trigger.status if self._trigger else "",
        }

    def _answer_more(self) -> None:
        """Celery's beat answers `ping` alone; its node exists from the first tick on."""
        service = self._service
        if service is None or service._pidbox is None or self._work is None:  # noqa: SLF001 - Celery has no public way
            return
        self._service = None
        node = service._pidbox.node  # noqa: SLF001
        node.hostname = self.node
        node.handlers.update(handlers(self.app, self._state))

    def _say_away(self, error: Exception, now: datetime) -> float:
        if self._away_since is None:
            logger.error("Redis is away, beat keeps ticking and will catch up: %s", error)
            self._away_since = now
        return AWAY_SECONDS

    def _say_back(self) -> None:
        if self._away_since is None:
            return
        until = datetime.now(UTC)
        self._last_away = f"{self._away_since:%Y-%m-%d %H:%M:%S} to {until:%H:%M:%S} UTC"
        self._away_since = None
        logger.warning("Redis is back")


@contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Make what stays: looking through a large table for garbage again and again makes a start and slots late."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@beat_init.connect
def _meet_the_service(sender: Service, **_: Any) -> None:
    if isinstance(sender.scheduler, SlotScheduler):
        sender.scheduler.serve(sender)
