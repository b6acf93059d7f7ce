"""Carries due slots from the timetable to the queues: mark, send, note as sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from uuid import NAMESPACE_URL, uuid5

from tasks.domain.claims import Dispatch
from tasks.domain.jobs import Job
from tasks.domain.lateness import PUNCTUAL, grace
from tasks.domain.outcomes import Launch, Source
from tasks.domain.slots import slot_text
from tasks.domain.timetable import DueJob, Timetable
from tasks.errors import RedisUnavailableError
from tasks.ports import Dispatches

RECHECK = timedelta(seconds=2)
MISSED_AT_ONCE = 1_000
DOWNTIME = "nothing ran while it was due"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fire:
    """One slot on its way to a queue; nobody may run it after `window_end`."""

    job: Job
    launch: Launch
    window_end: datetime


@dataclass(kw_only=True)
class Dispatcher:
    """One beat's share of the work; any number of them may run on one Redis.

    `send` puts a message into its queue. Every method raises RedisUnavailableError when Redis can't be reached; then
    the slots stay due.
    """

    timetable: Timetable
    dispatches: Dispatches
    send: Callable[[Fire], None]
    beat: str
    fires: int = 0
    _others: list[tuple[datetime, Fire]] = field(default_factory=list)

    def run(self, now: datetime) -> None:
        """Dispatch everything that is due at `now`."""
        self._take_over(now)
        taken = self.timetable.take_due(now)
        try:
            self._note_missed(taken, now)
            fires = [fire_of(each.job, each.due.run, now) for each in taken if each.due.run is not None]
            self._dispatch(fires, now)
        except RedisUnavailableError:
            self.timetable.put_back(taken)
            raise

    def seconds_to_next(self, now: datetime) -> float | None:
        """Return the seconds to the next slot, or to the next look at a slot that another beat was about to send."""
        looks = [(at - now).total_seconds() for at, _ in self._others]
        following = self.timetable.seconds_to_next(now)
        return min(looks if following is None else [following, *looks], default=None)

    def _take_over(self, now: datetime) -> None:
        due = [fire for at, fire in self._others if at <= now]
        self._dispatch(due, now)
        self._others = [each for each in self._others if each[1] not in due]

    def _dispatch(self, fires: Sequence[Fire], now: datetime) -> None:
        if not fires:
            return
        marks = self.dispatches.dispatch([(each.launch, each.window_end) for each in fires], beat=self.beat)
        answers = list(zip(marks, fires, strict=True))
        ours = [fire for mark, fire in answers if mark is Dispatch.YOURS]
        for fire in ours:
            self.send(fire)
        self.dispatches.sent([fire.launch for fire in ours], beat=self.beat)
        self.fires += len(ours)
        self._others += [(now + RECHECK, fire) for mark, fire in answers if mark is Dispatch.THEIRS]

    def _note_missed(self, taken: Sequence[DueJob], now: datetime) -> None:
        missed = (launch_of(each.job, slot, now) for each in taken for slot in each.due.missed)
        while some := list(islice(missed, MISSED_AT_ONCE)):
            self.dispatches.miss(some, DOWNTIME)


def fire_of(job: Job, slot: datetime, now: datetime) -> Fire:
    """Return the fire of one slot; its window ends with the job's grace, but leaves room for a take-over."""
    window_end = slot + grace(job.cadence, slot, job.catch_up)
    return Fire(job=job, launch=launch_of(job, slot, now), window_end=max(window_end, now + 2 * RECHECK))


def launch_of(job: Job, slot: datetime, now: datetime) -> Launch:
    """Return the launch of a slot: the same identity and task id in every beat."""
    text = slot_text(slot)
    return Launch(
        job=job.name,
        key=text,
        slot=slot,
        source=Source.BEAT if now - slot <= PUNCTUAL else Source.CATCH_UP,
        run_id=str(uuid5(NAMESPACE_URL, f"escapement:{job.name}|{text}")),
        dispatched_at=now,
    )
