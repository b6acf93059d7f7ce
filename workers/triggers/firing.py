"""Fires one slot from anywhere: mark it as dispatched, send it, note it as sent."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec

from tasks.domain.claims import Dispatch
from tasks.domain.jobs import Job
from tasks.domain.lateness import PUNCTUAL, grace
from tasks.domain.outcomes import Source
from tasks.domain.slots import EPOCH
from tasks.ports import Dispatches
from workers.dispatcher import Fire, fire_of

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """The way of a slot that somebody else than beat's timetable fires; `who` shows in the mark, `source` in the run.

    Each attempt marks under a name of its own: of two at the same moment one gets the slot. A mark whose message could
    not be sent is taken over by the next beat that looks.
    """

    dispatches: Dispatches
    send: Callable[[Fire], None]
    who: str
    source: Source | None = None

    def fire(self, job: Job, slot: datetime, now: datetime) -> bool:
        """Fire a slot of the job; true only for the one caller that got it.

        Raises RedisUnavailableError when Redis or the queue can't be reached.
        """
        owner = f"{self.who}/{uuid4().hex}"
        fire = self._fire_of(job, slot, now)
        (mark,) = self.dispatches.dispatch([(fire.launch, fire.window_end)], beat=owner)
        if mark is not Dispatch.YOURS:
            return False
        self.send(fire)
        before = job.cadence.latest_at_or_before(slot - INSTANT, floor=EPOCH)
        self.dispatches.sent([fire.launch], beat=owner, after=before)
        return True

    def _fire_of(self, job: Job, slot: datetime, now: datetime) -> Fire:
        fire = fire_of(job, slot, now)
        return replace(fire, launch=msgspec.structs.replace(fire.launch, source=self.source or fire.launch.source))


def is_due(job: Job, slot: datetime, now: datetime) -> bool:
    """Say whether an instant is a slot of the job that has come due and may still start."""
    window = max(PUNCTUAL, grace(job.cadence, slot, job.catch_up))
    return slot <= now <= slot + window and job.cadence.next_after(slot - INSTANT) == slot


def due_slot(job: Job, taken_care_of: datetime, now: datetime) -> datetime | None:
    """Return the newest slot that came due after an instant."""
    return job.cadence.latest_at_or_before(now, floor=taken_care_of)
