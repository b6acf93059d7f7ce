"""Closed sets of choices that a job makes, and the rules for trying again."""

from datetime import datetime, timedelta
from enum import StrEnum

RETRIES = 3
FIRST_PAUSE = timedelta(seconds=1)
DEFER_TRIES = 12
DEFER_PAUSE = timedelta(seconds=10)
QUEUE_PAUSE = timedelta(seconds=2)


class Overlap(StrEnum):
    """What happens to a slot whose job is still running.

    `skip` ends it, `defer` tries again every 10 s, at most 12 times, `queue` lets one slot wait until its window ends,
    `allow` runs it beside the other.
    """

    SKIP = "skip"
    DEFER = "defer"
    QUEUE = "queue"
    ALLOW = "allow"


def retry_pause(attempt: int, now: datetime, until: datetime | None) -> timedelta | None:
    """Return how long to wait before a run is tried again (1 s, 2 s, 4 s), None when it has been tried enough.

    `attempt` counts from 1; no try begins after `until`.
    """
    pause: timedelta = FIRST_PAUSE * (1 << (attempt - 1))
    if attempt > RETRIES or (until is not None and now + pause > until):
        return None
    return pause


def wait_pause(overlap: Overlap, attempt: int, now: datetime, until: datetime | None) -> timedelta | None:
    """Return how long a slot waits before it asks again whether its job is free, None when it has waited enough."""
    pause = DEFER_PAUSE if overlap is Overlap.DEFER else QUEUE_PAUSE
    tired = overlap is Overlap.DEFER and attempt > DEFER_TRIES
    if tired or (until is not None and now + pause > until):
        return None
    return pause
