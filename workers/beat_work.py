"""The work of one beat, once Redis is there: follow the store, dispatch what is due, write history beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep

from celery.utils.log import get_logger

from tasks.domain.backlog import Backlog
from tasks.domain.timetable import Timetable
from tasks.errors import WarehouseBusyError
from tasks.ports import Services
from workers.beat_changes import ErrorLog, ScheduleWatch
from workers.beat_clock import SharedClock
from workers.beat_history import REST_SECONDS, BacklogRecorder, HistoryWriter
from workers.dispatcher import Dispatcher, Fire
from workers.schedule_restore import restore

POLL_SECONDS = 0.5
PUBLISHED_AT_ONCE = 2_000

logger = get_logger(__name__)


@dataclass(kw_only=True)
class BeatWork:
    """Everything that one beat does in a tick; raises RedisUnavailableError, then nothing is lost."""

    dispatcher: Dispatcher
    watch: ScheduleWatch
    clock: SharedClock
    _polled: float = field(default_factory=monotonic)
    _log: ErrorLog = field(default_factory=ErrorLog)

    @property
    def errors(self) -> Mapping[str, str]:
        """What is wrong with single jobs."""
        return self.dispatcher.timetable.broken | self.watch.broken | self.dispatcher.unsendable

    def tick(self, now: datetime) -> float:
        """Follow the store, dispatch what is due; returns the seconds to the next slot or look, at most 0.5."""
        if monotonic() - self._polled >= POLL_SECONDS:
            self.poll(now)
        now = self.clock.read(now)
        self.dispatcher.run(now)
        self._log.say(self.errors)
        following = self.dispatcher.seconds_to_next(self.clock.read(datetime.now(UTC)))
        look = self._polled + POLL_SECONDS - monotonic()
        return max(look if following is None else min(following, look), 0)

    def poll(self, now: datetime) -> None:
        """Look for changes, and at Redis' clock."""
        self.clock.meet(now, self.watch.poll())
        self._polled = monotonic()


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What a beat works with: its way to the queues, its writer of history, and whether it is told to stop."""

    send: Callable[[Fire], None]
    history: HistoryWriter
    stopping: Callable[[], bool]


def open_work(services: Services, now: datetime, *, begin: datetime, node: str, hands: Hands) -> BeatWork:
    """Begin where the beats before left off, with new jobs at `begin`; raises RedisUnavailableError.

    The history of a small table is written before the first slot, that of a large one beside the ticks.
    """
    services.claims.open()
    _restore_here(services)
    clock, changes = SharedClock(), services.store.changes(None)
    clock.meet(now, changes.now)
    start, care = max(clock.read(now), changes.now, begin), services.records.schedules.taken_care_of()
    timetable = Timetable.start(services.jobs, care, start)
    timetable.stopping = hands.stopping
    recorder = BacklogRecorder(dispatches=services.dispatches, clock=services.clock, rest=partial(sleep, REST_SECONDS))
    dispatcher = Dispatcher(
        timetable=timetable,
        dispatches=services.dispatches,
        send=hands.send,
        record=partial(_record_beside, hands.history, recorder),
        beat=node,
    )
    _publish(partial(services.records.schedules.publish, services.jobs, start, by=node, care=care), services, hands)
    _record_beside(hands.history, recorder, list(services.dispatches.owed()))
    watch = ScheduleWatch(services=services, dispatcher=dispatcher, care=care)
    watch.apply(changes)
    watch.care = {}
    return BeatWork(dispatcher=dispatcher, watch=watch, clock=clock)


def _publish(publish: Callable[[], object], services: Services, hands: Hands) -> None:
    if len(services.jobs) <= PUBLISHED_AT_ONCE:
        publish()
    else:
        hands.history.add("the history of schedules", publish)


def _record_beside(history: HistoryWriter, recorder: BacklogRecorder, backlogs: list[Backlog]) -> None:
    if backlogs:
        history.add("the history of a downtime", partial(recorder.record, backlogs))


def _restore_here(services: Services) -> None:
    """Bring paused and run-time schedules back before the first slot, where the warehouse is on this machine.

    Elsewhere the warehouse's own worker does it as soon as it runs.
    """
    if not services.records.view.has_warehouse:
        return
    try:
        restored = restore(services)
    except WarehouseBusyError as error:
        logger.warning("schedules made at run time come back with the warehouse's worker: %s", error)
    else:
        if restored:
            logger.warning("Redis had lost its data: %d schedule(s) came back from the warehouse", restored)
