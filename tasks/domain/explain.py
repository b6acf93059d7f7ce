"""Why a job ran or did not run, in one paragraph of plain English."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tasks.domain.explain_run import how_it_ended, how_it_goes, how_it_started
from tasks.domain.hot import HotSlot
from tasks.domain.moments import Moment
from tasks.domain.outcomes import Run
from tasks.domain.schedules import Period, ScheduleState
from tasks.domain.streaks import Streak
from tasks.domain.wording import instant_text, span_text

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known about a slot, or about the moment between two: `run` is its record, `hot` what Redis says.

    `before` is the newest slot before a moment at which nothing was due, `holder` the run that holds the job's lease.
    """

    job: str
    now: datetime
    periods: Sequence[Period]
    moment: Moment | None = None
    slot: datetime | None = None
    before: datetime | None = None
    run: Run | None = None
    hot: HotSlot | None = None
    holder: str | None = None
    streak: Streak | None = None
    redis_is_away: bool = False


def locate(facts: Facts) -> Facts:
    """Find the slot that is asked about: the one in the moment or else the one before; without one the newest."""
    if facts.moment is None:
        return replace(facts, slot=slot_before(facts.periods, facts.now))
    slot = slot_after(facts.periods, facts.moment.start - INSTANT)
    if slot is not None and slot < facts.moment.end:
        return replace(facts, slot=slot)
    return replace(facts, before=slot_before(facts.periods, facts.moment.start))


def slot_before(periods: Sequence[Period], instant: datetime) -> datetime | None:
    """Give the newest slot at or before an instant."""
    for period in reversed(periods):
        cadence, end = period.cadence, instant if period.until is None else min(instant, period.until)
        found = cadence.latest_at_or_before(end, floor=period.since) if cadence and end > period.since else None
        if found is not None:
            return found
    return None


def slot_after(periods: Sequence[Period], instant: datetime) -> datetime | None:
    """Give the first slot after an instant."""
    for period in periods:
        cadence = period.cadence
        found = cadence.next_after(max(instant, period.since)) if cadence else None
        if found is not None and (period.until is None or found <= period.until):
            return found
    return None


def explain(facts: Facts) -> str:
    """Say when it was due, who dispatched and claimed it, how late, how it ended, and what happens next."""
    if facts.slot is None and facts.run is not None and facts.before is None:
        return _paragraph(f"Run {facts.run.key} of {facts.job}.", *_of_run(facts), *_next(facts))
    if facts.slot is None:
        return _paragraph(*_not_due(facts), *_next(facts))
    return _paragraph(_due(facts, facts.slot), *_of_slot(facts, facts.slot), *_next(facts))


def _paragraph(*sentences: str) -> str:
    return " ".join(each for each in sentences if each)


def _due(facts: Facts, slot: datetime) -> str:
    period = _period_at(facts.periods, slot)
    cadence = f" ({_cadence_text(period)})" if period else ""
    if slot > facts.now:
        return f"{facts.job} is due at {instant_text(slot)}, in {span_text(slot - facts.now)}{cadence}."
    return f"{facts.job} was due at {instant_text(slot)}{cadence}."


def _of_slot(facts: Facts, slot: datetime) -> Iterator[str]:
    if facts.run is not None:
        yield from _of_run(facts)
    elif facts.hot is not None:
        yield from how_it_goes(facts.hot, slot, facts.now, facts.holder)
    elif slot <= facts.now:
        yield _silence(facts, slot)


def _of_run(facts: Facts) -> Iterator[str]:
    if facts.run is None:
        return
    yield from how_it_started(facts.run, facts.hot.beat if facts.hot else None)
    yield how_it_ended(facts.run)
    if facts.streak is not None:
        yield _in_a_row(facts.streak)


def _in_a_row(streak: Streak) -> str:
    since = f", since {instant_text(streak.since)}" if streak.since else ""
    if streak.failures > 1:
        return f"The job has failed {streak.failures} times in a row{since}."
    if streak.is_stale:
        return f"The job is stale: its last {streak.empties} good answers had no body{since}."
    return ""


def _silence(facts: Facts, slot: datetime) -> str:
    if facts.redis_is_away:
        return "The warehouse has no record of it, and Redis, which knows what is under way, can't be reached."
    period = _period_at(facts.periods, slot)
    left = slot + period.window(slot) - facts.now if period else timedelta(0)
    if left > timedelta(0):
        return f"No beat has dispatched it yet; it may still start within {span_text(left)}, then it is missed."
    return (
        "Nothing is recorded about it and nobody has it: no beat was there. A beat that starts records it as missed; "
        "until then the audit lists it."
    )


def _not_due(facts: Facts) -> Iterator[str]:
    when = facts.moment.start if facts.moment else facts.now
    period = _period_at(facts.periods, when)
    if period is None:
        first = facts.periods[0].since if facts.periods else None
        known = f"its schedule is known since {instant_text(first)}" if first else "no beat has seen it yet"
        yield f"{facts.job} was not due at {instant_text(when)}: {known}."
    elif period.schedule.state is not ScheduleState.ACTIVE:
        yield f"{facts.job} was not due at {instant_text(when)}: it is {_state_text(period)}."
    else:
        tense = "was" if when <= facts.now else "is"
        yield f"{facts.job} {tense} not due at {instant_text(when)} ({_cadence_text(period)})."
    if facts.before is not None:
        yield f"Its slot before that was {instant_text(facts.before)}."
        yield from _of_slot(facts, facts.before)


def _next(facts: Facts) -> Iterator[str]:
    reference = facts.slot or (facts.moment.start if facts.moment else None) or facts.now
    after = slot_after(facts.periods, reference)
    current = facts.periods[-1] if facts.periods else None
    if after is not None:
        tense = "is" if after > facts.now else "was"
        ahead = f", in {span_text(after - facts.now)}" if after > facts.now else ""
        yield f"The slot after that {tense} {instant_text(after)}{ahead}."
    elif current is not None and current.schedule.state is not ScheduleState.ACTIVE:
        yield f"No slot follows: the job is {_state_text(current)}."
    elif current is not None:
        yield "No slot follows."


def _period_at(periods: Sequence[Period], instant: datetime) -> Period | None:
    return next((each for each in reversed(periods) if each.since < instant), None)


def _cadence_text(period: Period) -> str:
    schedule = period.schedule
    return schedule.cadence if schedule.timezone == "UTC" else f"{schedule.cadence}, {schedule.timezone}"


def _state_text(period: Period) -> str:
    reason = f" ({period.schedule.reason})" if period.schedule.reason else ""
    return f"{period.schedule.state} since {instant_text(period.since)}{reason}"
