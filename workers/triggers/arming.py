"""What has to be armed at a remote service, and what has to go: pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from tasks.domain.jobs import Job

HORIZON: Final = timedelta(hours=1)
MOST_PER_JOB: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Callback:
    """A one-shot callback for one slot of one job."""

    slot: datetime
    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What brings the service in line: to provision, soonest first, and to cancel."""

    provision: tuple[Callback, ...]
    cancel: tuple[Callback, ...]


def changes(jobs: Mapping[str, Job], armed: Iterable[Callback], now: datetime, *, hold: timedelta) -> Changes:
    """Compare what is armed with the slots of the next hour, at most 60 of each job.

    A callback whose slot came due less than `hold` ago may be on its way and is left alone.
    """
    there = frozenset(armed)
    wanted = frozenset(_wanted(jobs.values(), now))
    on_their_way = {each for each in there if now - hold <= each.slot <= now}
    return Changes(
        provision=tuple(sorted(wanted - there)),
        cancel=tuple(sorted(there - wanted - on_their_way)),
    )


def _wanted(jobs: Iterable[Job], now: datetime) -> Iterator[Callback]:
    for job in jobs:
        yield from _slots(job, now)


def _slots(job: Job, now: datetime) -> list[Callback]:
    """Return the callbacks of one job; one whose cadence raises is beat's to report, and keeps nobody else unarmed."""
    try:
        slots = list(islice(job.cadence.slots_between(now, now + HORIZON), MOST_PER_JOB))
    except Exception:  # noqa: BLE001 - a cadence may raise anything
        return []
    return [Callback(job=job.name, slot=slot) for slot in slots]
