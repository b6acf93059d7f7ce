"""Streaks: how many runs of a job failed, answered nothing or were missed in a row, and whom to tell when."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from tasks.domain.claims import LedgerEntry
from tasks.domain.outcomes import Outcome, Run
from tasks.domain.slots import slot_text

EMPTY = "empty"
STALE_AFTER = 3
FAILURES = frozenset({Outcome.FAILED, Outcome.UNKNOWN})
SAYS_NOTHING = frozenset({Outcome.SKIPPED, Outcome.FENCED, Outcome.CANCELLED})


class Event(StrEnum):
    """What an alert is about."""

    FAILING = "failing"
    STALE = "stale"
    MISSED = "missed"
    RECOVERED = "recovered"


class Streak(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest runs of a job were in a row, and since when; `alerted` until the job is well again.

    Failed and unknown runs are failures, a good run with a body ends everything, a good one without a body is empty.
    Skipped, fenced and cancelled runs say nothing about the job.
    """

    job: str
    failures: int = 0
    empties: int = 0
    missed: int = 0
    alerted: bool = False
    since: datetime | None = None

    @property
    def is_stale(self) -> bool:
        return self.empties >= STALE_AFTER


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one job, as the alert hook gets it; `id` is the same however often it is sent."""

    id: str
    event: Event
    job: str
    key: str
    outcome: Outcome
    text: str
    failures: int = 0
    empties: int = 0
    missed: int = 0
    slot: datetime | None = None
    since: datetime | None = None
    at: datetime | None = None
    error: str | None = None
    worker: str | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an alert: after how many attempts it arrived, or the last error."""

    id: str
    attempts: int
    error: str | None = None


def advance_all(streaks: Mapping[str, Streak], entries: Iterable[LedgerEntry]) -> tuple[dict[str, Streak], list[Alert]]:
    """Take runs in the order of the ledger; returns the streaks of their jobs and the alerts that came of it."""
    after: dict[str, Streak] = {}
    alerts: list[Alert] = []
    for entry in entries:
        job = entry.run.job
        before = after.get(job) or streaks.get(job) or Streak(job=job)
        after[job] = advance(before, entry.run)
        event = event_of(before, after[job], entry.run)
        if event is not None:
            alerts.append(_alert(event, before, after[job], entry))
    return after, _one_for_each_row_of_missed(alerts, after)


def advance(streak: Streak, run: Run) -> Streak:
    """Return the streak after one more run."""
    if run.outcome in SAYS_NOTHING:
        return streak
    if run.outcome is Outcome.MISSED:
        return _worse(streak, run, missed=streak.missed + 1)
    if run.outcome in FAILURES:
        return _worse(streak, run, failures=streak.failures + 1, missed=0)
    if run.detail.get(EMPTY):
        return _worse(streak, run, failures=0, missed=0, empties=streak.empties + 1)
    return Streak(job=streak.job)


def event_of(before: Streak, after: Streak, run: Run) -> Event | None:
    """Say what people must be told after a run: the first of a row only, and when it is over."""
    if after.failures == 1 and not before.failures:
        return Event.FAILING
    if after.missed == 1 and not before.missed:
        return Event.MISSED
    if after.is_stale and not before.is_stale:
        return Event.STALE
    is_well = run.outcome is Outcome.OK and not run.detail.get(EMPTY)
    return Event.RECOVERED if is_well and before.alerted else None


def _worse(streak: Streak, run: Run, **counts: int) -> Streak:
    worse = msgspec.structs.replace(streak, **counts, since=streak.since or run.slot or run.finished_at)
    alerted = worse.alerted or worse.is_stale or worse.failures > 0 or worse.missed > 0
    return msgspec.structs.replace(worse, alerted=alerted)


def _alert(event: Event, before: Streak, after: Streak, entry: LedgerEntry) -> Alert:
    run, counted = entry.run, before if event is Event.RECOVERED else after
    return Alert(
        id=f"{run.job}/{run.key}/{event}/{entry.stream_id}",
        event=event,
        job=run.job,
        key=run.key,
        outcome=run.outcome,
        text=_text(event, counted, run),
        failures=counted.failures,
        empties=counted.empties,
        missed=counted.missed,
        slot=run.slot,
        since=counted.since,
        at=run.finished_at,
        error=run.error,
        worker=run.worker,
    )


def _text(event: Event, counted: Streak, run: Run) -> str:
    what = f"{run.job}, slot {run.key}" if run.slot else f"{run.job}, run {run.key}"
    because = f": {run.error}" if run.error else ""
    since = f" since {slot_text(counted.since)}" if counted.since else ""
    return {
        Event.FAILING: f"{what}: {run.outcome}{because}",
        Event.MISSED: f"{what}: missed{because}",
        Event.STALE: f"{what}: {counted.empties} answers without a body in a row{since}",
        Event.RECOVERED: f"{what}: ok again, after trouble{since}",
    }[event]


def _one_for_each_row_of_missed(alerts: Sequence[Alert], after: Mapping[str, Streak]) -> list[Alert]:
    """Let the newest alert of a job about missed slots say how many there are by now."""
    newest = {alert.job: alert.id for alert in alerts}
    return [
        msgspec.structs.replace(alert, missed=after[alert.job].missed, text=_with_count(alert, after[alert.job].missed))
        if alert.event is Event.MISSED and newest[alert.job] == alert.id and after[alert.job].missed > 1
        else alert
        for alert in alerts
    ]


def _with_count(alert: Alert, missed: int) -> str:
    return f"{alert.text} ({missed} slots in a row by now)"
