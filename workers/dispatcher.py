"""Carries due slots from the timetable to the queues: mark, send, note as sent."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from tasks.domain.backlog import Backlog, backlog_of
from tasks.domain.claims import Dispatch
from tasks.domain.jobs import Job
from tasks.domain.lateness import PUNCTUAL, grace
from tasks.domain.outcomes import Launch, Source
from tasks.domain.slots import slot_text
from tasks.domain.timetable import DueJob, Timetable
from tasks.errors import RedisUnavailableError
from tasks.ports import Dispatches
from tasks.run_once import describe

RECHECK = timedelta(seconds=2)
CLOCK_SET_BACK = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fire:
    """One slot on its way to a queue; nobody may run it after `window_end`."""

    job: Job
    launch: Launch
    window_end: datetime


@dataclass(kw_only=True)
class Dispatcher:
    """One beat's share of the work; any number of them may run on one Redis.

    `send` puts a message into its queue, `record` sees to the history of what was missed. Every method raises
    RedisUnavailableError when Redis can't be reached; then the slots stay due. `unsendable` says of jobs why their
    messages could not be made. Slots are left to somebody else until they are `hold` late.
    """

    timetable: Timetable
    dispatches: Dispatches
    send: Callable[[Fire], None]
    record: Callable[[Sequence[Backlog]], None]
    beat: str
    hold: timedelta = timedelta(0)
    fires: int = 0
    unsendable: dict[str, str] = field(default_factory=dict)
    _others: list[tuple[datetime, Fire]] = field(default_factory=list)
    _latest: datetime | None = None

    def run(self, now: datetime) -> None:
        """Dispatch everything that is due at `now`."""
        if self._latest is not None and now < self._latest - CLOCK_SET_BACK:
            self.timetable.step_back(now)
        self._latest = now
        self._take_over(now)
        self._carry(self.timetable.take_due(now - self.hold), now)

    def run_one(self, name: str, until: datetime, now: datetime) -> None:
        """Dispatch what is due of one job up to `until`: what comes after it is due by another definition."""
        self._carry(self.timetable.take(name, until), now)

    def seconds_to_next(self, now: datetime) -> float | None:
        """Return the seconds to the next slot, or to the next look at a slot that another beat was about to send."""
        looks = [(at - now).total_seconds() for at, _ in self._others]
        following = self.timetable.seconds_to_next(now - self.hold)
        return min(looks if following is None else [following, *looks], default=None)

    def _carry(self, taken: Sequence[DueJob], now: datetime) -> None:
        """Dispatch what was taken: the history of older slots is kept first and written last."""
        if not taken:
            return
        backlogs = [backlog_of(each.job, each.due.missed) for each in taken if each.has_missed]
        try:
            if backlogs:
                self.dispatches.owe(backlogs)
            self._dispatch(list(fires_of(taken, now)), now)
        except RedisUnavailableError:
            self.timetable.put_back(taken)
            raise
        if backlogs:
            self.record(backlogs)

    def _take_over(self, now: datetime) -> None:
        due = [fire for at, fire in self._others if at <= now]
        self._dispatch(due, now)
        if due:
            self._others = [each for each in self._others if each[1] not in due]

    def _dispatch(self, fires: Sequence[Fire], now: datetime) -> None:
        if not fires:
            return
        marks = self.dispatches.dispatch([(each.launch, each.window_end) for each in fires], beat=self.beat)
        answers = list(zip(marks, fires, strict=True))
        ours = [fire for mark, fire in answers if mark is Dispatch.YOURS]
        sent = [fire for fire in ours if self._is_sent(fire)]
        # What somebody else has fired is taken care of too; only this walk, which is in order, can say up to where.
        gone = [fire for mark, fire in answers if mark is Dispatch.GONE]
        self.dispatches.sent([fire.launch for fire in (*sent, *gone)], beat=self.beat)
        self.fires += len(sent)
        self._others += [(now + RECHECK, fire) for mark, fire in answers if mark is Dispatch.THEIRS]

    def _is_sent(self, fire: Fire) -> bool:
        """Send one message; a job whose message can't be made stops no other, and its slot is missed in time."""
        try:
            self.send(fire)
        except RedisUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of one job
            self.unsendable[fire.job.name] = describe(error)
            return False
        if self.unsendable:
            self.unsendable.pop(fire.job.name, None)
        return True


def fires_of(taken: Iterable[DueJob], now: datetime) -> Iterable[Fire]:
    """Return the fires of what was taken; a window ends with the job's grace, but leaves room for a take-over."""
    for each in taken:
        if each.due.run is not None and each.window_end is not None:
            window_end = max(each.window_end, now + 2 * RECHECK)
            yield Fire(job=each.job, launch=launch_of(each.job, each.due.run, now), window_end=window_end)


def fire_of(job: Job, slot: datetime, now: datetime) -> Fire:
    """Return the fire of one slot of a job."""
    window_end = max(slot + grace(job.cadence, slot, job.catch_up), now + 2 * RECHECK)
    return Fire(job=job, launch=launch_of(job, slot, now), window_end=window_end)


def launch_of(job: Job, slot: datetime, now: datetime) -> Launch:
    """Return the launch of a slot: the same identity and task id in every beat."""
    return launch_named(job.name, slot, now)


def launch_named(job: str, slot: datetime, now: datetime) -> Launch:
    """Return the launch of a slot of the job with this name."""
    text = slot_text(slot)
    return Launch(
        job=job,
        key=text,
        slot=slot,
        source=Source.BEAT if now - slot <= PUNCTUAL else Source.CATCH_UP,
        run_id=str(uuid5(NAMESPACE_URL, f"escapement:{job}|{text}")),
        dispatched_at=now,
    )
