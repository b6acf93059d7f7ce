"""Sentences about one run: how it started, how it goes, how it ended."""

from collections.abc import Iterator
from datetime import datetime

from tasks.domain.hot import HotSlot
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.domain.wording import instant_text, seconds_text, span_text

_NO_NEWS = {
    Outcome.OK: "It ended ok",
    Outcome.FAILED: "It failed",
    Outcome.SKIPPED: "It was skipped",
    Outcome.MISSED: "It was missed, and nothing will run it any more",
    Outcome.UNKNOWN: "What became of it is not known",
    Outcome.FENCED: "It lost its lease and its result was refused",
    Outcome.CANCELLED: "It was cancelled",
}
_BY_HAND = {Source.MANUAL: "Somebody started it by hand", Source.WEBHOOK: "A webhook started it"}


def how_it_started(run: Run, beat: str | None) -> Iterator[str]:
    """Say who dispatched a run and when, which worker claimed it, and how late it began."""
    if run.source in _BY_HAND:
        yield f"{_BY_HAND[run.source]}."
    elif run.dispatched_at is not None and (beat is not None or run.outcome is not Outcome.MISSED):
        late = f", {span_text(run.dispatched_at - run.slot)} after it was due" if run.slot else ""
        how = " to catch up" if run.source is Source.CATCH_UP else ""
        yield f"{beat or 'A beat'} dispatched it{how} at {instant_text(run.dispatched_at)}{late}."
    if run.claimed_at is not None:
        lateness = "" if run.lateness_s is None else f" and began {seconds_text(run.lateness_s)} after it was due"
        attempt = f" (attempt {run.attempt})" if run.attempt > 1 else ""
        yield f"{run.worker or 'A worker'} claimed it at {instant_text(run.claimed_at)}{lateness}{attempt}."
    elif run.worker is not None:
        yield f"{run.worker} took it up."


def how_it_ended(run: Run) -> str:
    """Say what became of a run, and what a person can do when nobody knows."""
    took = f" after {seconds_text(run.duration_s)}" if run.duration_s is not None else ""
    because = f": {run.error.rstrip('.')}" if run.error else ""
    figures = ", ".join(f"{name} {value}" for name, value in run.detail.items())
    ended = f"{_NO_NEWS[run.outcome]}{took}{because}{f' ({figures})' if figures else ''}."
    if run.outcome is Outcome.UNKNOWN:
        ended += (
            " It may have done its work, so it is not sent again; who knows better says so with"
            f" `celery -A workers resolve {run.job} {run.key} ok|failed`."
        )
    return ended


def how_it_goes(hot: HotSlot, slot: datetime, now: datetime, holder: str | None) -> Iterator[str]:
    """Say how far a slot is that has not ended."""
    if hot.dispatched_at is not None:
        late = span_text(hot.dispatched_at - slot)
        yield f"{hot.beat or 'A beat'} dispatched it at {instant_text(hot.dispatched_at)}, {late} after it was due."
    if hot.state == "running":
        yield _running(hot, now)
    elif hot.state == "dispatched":
        yield "Its message is not in the queue yet; if that beat is gone, another takes it over after 2 s."
    elif hot.state == "sent":
        yield "Its message is in the queue, and no worker has claimed it yet."
    else:
        yield "It has ended, but its record is not in the ledger."
    if hot.state in {"dispatched", "sent"}:
        yield from _waiting(hot, holder)


def _running(hot: HotSlot, now: datetime) -> str:
    since = f" since {instant_text(hot.claimed_at)} ({span_text(now - hot.claimed_at)})" if hot.claimed_at else ""
    running = f"{hot.worker or 'A worker'} runs it{since}"
    if hot.cancelled_by:
        return f"{running}, and was told by {hot.cancelled_by} to stop."
    if hot.lease_until is not None and hot.lease_until < now:
        return f"{running}, but its lease ran out at {instant_text(hot.lease_until)}: it will be recorded as unknown."
    lease = f"; its lease holds until {instant_text(hot.lease_until)} and is renewed" if hot.lease_until else ""
    return f"{running}{lease}."


def _waiting(hot: HotSlot, holder: str | None) -> Iterator[str]:
    if holder is not None:
        yield f"The job is busy: {holder} is still running."
    if hot.window_end is not None:
        yield f"If nobody claims it until {instant_text(hot.window_end)}, it is missed."
