"""Beat: a Celery scheduler that sends each time slot once, however many beats run."""

from datetime import UTC, datetime, timedelta
from typing import Any

from celery.beat import Scheduler, Service
from celery.beat import beat_nodename as node_name  # type: ignore[attr-defined]
from celery.signals import beat_init
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from tasks import call_endpoint, process_sessions
from tasks.domain.jobs import HttpCall
from tasks.domain.slots import slot_text
from tasks.domain.timetable import Timetable
from tasks.errors import RedisUnavailableError
from tasks.ports import Services
from workers.beat_events import BeatEvents
from workers.beat_inspect import handlers
from workers.dispatcher import Dispatcher, Fire
from workers.liveness import touch

AWAY_SECONDS = 1.0

logger = get_logger(__name__)


class SlotScheduler(Scheduler):
    """Sends every slot of the job table. Keeps no file: slots are a function of the clock alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.node: str = node_name(None)
        self._dispatcher: Dispatcher | None = None
        self._away = False
        self._service: Any = None
        super().__init__(*args, **kwargs)
        escapement: Any = self.app
        self._services: Services = escapement.services
        self._longest_sleep = float(self.max_interval or escapement.conf.beat_max_loop_interval)
        self._events = BeatEvents(self.app)
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
        return self._dispatcher.fires if self._dispatcher else 0

    def tick(self) -> float:  # type: ignore[override]
        """Dispatch what is due; return the seconds to sleep."""
        now = datetime.now(UTC)
        try:
            seconds = self._tick(now)
            self._say_back()
        except RedisUnavailableError as error:
            seconds = self._say_away(error)
        self._events.beat(self.node, interval=self._longest_sleep, fires=self.fires)
        self._answer_more()
        touch(self._alive_file)
        return seconds

    def close(self) -> None:
        self._events.offline(self.node, fires=self.fires)
        super().close()

    def _tick(self, now: datetime) -> float:
        if self._dispatcher is None:
            self._dispatcher = self._open(now)
        if now < self._silent_until:
            return min((self._silent_until - now).total_seconds(), self._longest_sleep)
        self._dispatcher.run(now)
        following = self._dispatcher.seconds_to_next(datetime.now(UTC))
        return self._longest_sleep if following is None else min(max(following, 0), self._longest_sleep)

    def _open(self, now: datetime) -> Dispatcher:
        services = self._services
        services.claims.open()
        schedules = services.records.schedules
        schedules.publish(services.jobs, now, by=self.node)
        timetable = Timetable.start(services.jobs, schedules.taken_care_of(), now)
        return Dispatcher(timetable=timetable, dispatches=services.dispatches, send=self._send, beat=self.node)

    def _send(self, fire: Fire) -> None:
        launch = fire.launch
        headers = {
            "job": launch.job,
            "slot": launch.key,
            "source": launch.source,
            "dispatched_at": slot_text(launch.dispatched_at or fire.window_end),
            "window_end": slot_text(fire.window_end),
        }
        task, argument = _task_of(fire)
        try:
            task.apply_async(
                (argument,), task_id=launch.run_id, headers=headers, expires=fire.window_end, producer=self.producer
            )
        except OperationalError as error:
            raise RedisUnavailableError(f"the queue can't be reached: {error}") from error
        logger.info("%s: slot %s sent (%s)", launch.job, launch.key, launch.source)

    def _answer_more(self) -> None:
        """Celery's beat answers `ping` alone; its node exists from the first tick on."""
        service, self._service = self._service, None
        if service is not None and service._pidbox is not None:  # noqa: SLF001 - Celery has no public way to it
            service._pidbox.node.handlers.update(handlers(self.app, lambda: self.fires))  # noqa: SLF001

    def _say_away(self, error: Exception) -> float:
        if not self._away:
            logger.error("Redis is away, beat keeps ticking and will catch up: %s", error)
        self._away = True
        return AWAY_SECONDS

    def _say_back(self) -> None:
        if self._away:
            logger.warning("Redis is back")
        self._away = False


def _task_of(fire: Fire) -> tuple[Any, str]:
    action = fire.job.action
    if isinstance(action, HttpCall):
        return call_endpoint, fire.job.name
    return process_sessions, action.processor


@beat_init.connect
def _meet_the_service(sender: Service, **_: Any) -> None:
    if isinstance(sender.scheduler, SlotScheduler):
        sender.scheduler.serve(sender)
