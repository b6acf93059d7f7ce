"""The audit: expected slots minus recorded ones, which must be none."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.domain.outcomes import Outcome
from tasks.domain.schedules import Period
from tasks.domain.slots import slot_text

SETTLE = timedelta(seconds=15)

Recorded = Mapping[str, Mapping[str, Outcome]]
Rows = Mapping[str, Sequence[tuple[datetime, datetime, Outcome]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Vanished:
    """A slot that was expected and of which nothing is recorded."""

    job: str
    slot: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What an audit found among the slots due after `since`; `open` ones are on their way or running."""

    since: datetime
    until: datetime
    expected: int
    outcomes: Mapping[Outcome, int]
    open: int
    vanished: Sequence[Vanished]

    @property
    def recorded(self) -> int:
        return sum(self.outcomes.values())


def audit(  # noqa: PLR0913 - each is knowledge of another kind
    periods: Mapping[str, Sequence[Period]],
    recorded: Recorded,
    under_way: Collection[str],
    *,
    since: datetime,
    now: datetime,
    rows: Rows | None = None,
) -> Audit:
    """Compare what was expected after `since` with the outcomes by job and slot text.

    `rows` are entries that stand for many slots: the first and the last of them, and the outcome of all.

    A slot is expected once its window has closed and another 15 s have passed, in which it is reaped and recorded;
    until then it may still run. `under_way` holds the identities (`job/slot`) that are dispatched or running.
    """
    outcomes: Counter[Outcome] = Counter()
    vanished: list[Vanished] = []
    expected = still_open = 0
    for job, slot in _expected(periods, since, now):
        expected += 1
        text = slot_text(slot)
        outcome = recorded.get(job, {}).get(text) or _in_a_row((rows or {}).get(job, ()), slot)
        if outcome is not None:
            outcomes[outcome] += 1
        elif f"{job}/{text}" in under_way:
            still_open += 1
        else:
            vanished.append(Vanished(job=job, slot=slot))
    return Audit(since=since, until=now, expected=expected, outcomes=outcomes, open=still_open, vanished=vanished)


def _in_a_row(rows: Sequence[tuple[datetime, datetime, Outcome]], slot: datetime) -> Outcome | None:
    return next((outcome for first, last, outcome in rows if first <= slot <= last), None)


def _expected(
    periods: Mapping[str, Sequence[Period]], since: datetime, now: datetime
) -> Iterator[tuple[str, datetime]]:
    for job, those in sorted(periods.items()):
        for period in those:
            for slot in period.slots(since, now - SETTLE):
                if slot + period.longest_window + SETTLE > now and slot + period.window(slot) + SETTLE > now:
                    break
                yield job, slot
