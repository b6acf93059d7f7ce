"""Wall-clock cadences where clocks are moved: ten zones, ten years, against a minute-by-minute walk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.cadence_text import parse_cadence

ZONES = (
    "Europe/Prague",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Antarctica/Troll",
    "America/Havana",
    "Asia/Pyongyang",
)
START, END = datetime(2011, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=5)


@dataclass(frozen=True)
class Pattern:
    """A cadence by its text, and again as a plain predicate on wall times and two words about moved clocks."""

    text: str
    matches: Callable[[datetime], bool]
    in_fold: str = "once"
    in_gap: str = "made up"


PATTERNS = (
    Pattern("30 2 * * *", lambda w: (w.hour, w.minute) == (2, 30)),
    Pattern("0 0 * * *", lambda w: (w.hour, w.minute) == (0, 0)),
    Pattern("0,30 0-3 * * *", lambda w: w.hour < 4 and w.minute in {0, 30}),
    Pattern("30 2 * * SUN", lambda w: (w.hour, w.minute, w.weekday()) == (2, 30, 6)),
    Pattern("5 0 L * *", lambda w: (w.hour, w.minute) == (0, 5) and (w + timedelta(days=1)).day == 1),
    Pattern("*/30 * * * *", lambda w: w.minute % 30 == 0, in_fold="both", in_gap="nothing"),
    Pattern("*/7 * * * *", lambda w: w.minute % 7 == 0, in_fold="both", in_gap="nothing"),
    Pattern("15 * * * *", lambda w: w.minute == 15, in_fold="both", in_gap="nothing"),
    Pattern("*/20 1,2 * * *", lambda w: w.hour in {1, 2} and w.minute % 20 == 0, in_fold="both"),
    Pattern("10 */2 * * *", lambda w: w.hour % 2 == 0 and w.minute == 10, in_fold="both"),
    Pattern("daily 00:30,02:15,02:45,03:00", lambda w: (w.hour, w.minute) in {(0, 30), (2, 15), (2, 45), (3, 0)}),
    Pattern("weekdays at 00:15", lambda w: (w.hour, w.minute) == (0, 15) and w.weekday() < 5),
    Pattern("every sun at 02:00,23:45", lambda w: w.weekday() == 6 and (w.hour, w.minute) in {(2, 0), (23, 45)}),
)


@cache
def transitions(name: str) -> tuple[datetime, ...]:
    """The instants, to two hours, before which the clocks of a zone are moved."""
    zone, step = ZoneInfo(name), timedelta(hours=2)
    offsets = [
        (START + n * step, (START + n * step).astimezone(zone).utcoffset()) for n in range((END - START) // step)
    ]
    return tuple(later for (_, before), (later, after) in pairwise(offsets) if before != after)


def minutes(name: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, datetime | None]]:
    """Each minute after the start as (instant, what clocks show, what they would show had nobody moved them)."""
    zone, instant = ZoneInfo(name), start
    shown = instant.astimezone(zone).replace(tzinfo=None)
    while instant < end:
        instant += MINUTE
        expected, shown = shown + MINUTE, instant.astimezone(zone).replace(tzinfo=None)
        yield instant, shown, expected


def brute_force(pattern: Pattern, walk: list[tuple[datetime, datetime, datetime]]) -> list[datetime]:
    slots, seen = [], set()
    for instant, shown, expected in walk:
        due = pattern.matches(shown) and (pattern.in_fold == "both" or shown not in seen)
        if expected < shown and pattern.in_gap == "made up":
            skipped = (expected + n * MINUTE for n in range((shown - expected) // MINUTE))
            due = due or any(pattern.matches(wall) for wall in skipped)
        seen.add(shown)
        if due:
            slots.append(instant)
    return slots


@pytest.mark.parametrize("zone", ZONES)
def test_around_every_change_of_the_clocks_slots_are_those_of_the_walk(zone):
    cadences = [(pattern, parse_cadence(pattern.text, timezone=zone, now=START)) for pattern in PATTERNS]
    for moved in transitions(zone):
        start, end = moved - AROUND, moved + AROUND
        walk = list(minutes(zone, start, end))
        for pattern, cadence in cadences:
            assert list(cadence.slots_between(start, end)) == brute_force(pattern, walk), (pattern.text, moved)


@pytest.mark.parametrize("zone", ZONES)
def test_looking_back_finds_the_slot_that_looking_ahead_found(zone):
    for pattern in PATTERNS:
        cadence = parse_cadence(pattern.text, timezone=zone, now=START)
        for moved in transitions(zone)[::8]:
            slots = list(cadence.slots_between(moved - AROUND, moved + AROUND))
            for slot, following in pairwise(slots):
                assert cadence.latest_at_or_before(following - MINUTE / 60, floor=START) == slot


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(PATTERNS), st.integers(0, (END - START) // timedelta(seconds=1)))
def test_from_any_second_of_ten_years_the_next_slots_are_those_of_the_walk(zone, pattern, second):
    instant = START + timedelta(seconds=second)
    minute = instant.replace(second=0)
    start, end = minute - timedelta(hours=4), minute + timedelta(hours=26)
    expected = [slot for slot in brute_force(pattern, list(minutes(zone, start, end))) if slot > instant]
    cadence = parse_cadence(pattern.text, timezone=zone, now=START)
    assert list(cadence.slots_between(instant, end)) == expected


def test_the_zones_really_move_their_clocks():
    counts = {zone: len(transitions(zone)) for zone in ZONES}
    assert counts["Asia/Kathmandu"] == 0
    assert sum(counts.values()) > 150


def slots_on(text: str, zone: str, day: datetime) -> list[str]:
    cadence = parse_cadence(text, timezone=zone, now=day)
    slots = cadence.slots_between(day, day + timedelta(days=1))
    return [f"{slot.astimezone(ZoneInfo(zone)):%H:%M%z}" for slot in slots]


PRAGUE_GAP, PRAGUE_FOLD = datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 21, tzinfo=UTC)


def test_a_time_in_the_gap_runs_once_right_after_it():
    assert slots_on("30 2 * * *", "Europe/Prague", PRAGUE_GAP) == ["03:00+0200"]


def test_several_times_in_the_gap_run_once_together():
    assert slots_on("daily 02:00,02:15,02:30", "Europe/Prague", PRAGUE_GAP) == ["03:00+0200"]


def test_a_time_in_the_gap_and_one_right_after_it_run_once():
    assert slots_on("0 2,3 * * *", "Europe/Prague", PRAGUE_GAP) == ["03:00+0200"]


def test_a_fixed_time_in_the_fold_runs_at_its_first_instant():
    assert slots_on("30 2 * * *", "Europe/Prague", PRAGUE_FOLD) == ["02:30+0200"]


def test_every_half_hour_runs_in_both_hours_of_the_fold():
    through_the_fold = slots_on("*/30 * * * *", "Europe/Prague", PRAGUE_FOLD)[5:11]
    assert through_the_fold == ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100", "03:00+0100", "03:30+0100"]


def test_half_an_hour_that_lord_howe_skips_is_made_up_at_half_past_two():
    assert slots_on("daily 02:15", "Australia/Lord_Howe", datetime(2026, 10, 3, 10, tzinfo=UTC)) == ["02:30+1100"]


def test_the_day_that_samoa_skipped_is_made_up_at_midnight():
    assert slots_on("daily 09:00", "Pacific/Apia", datetime(2011, 12, 30, 5, tzinfo=UTC)) == [
        "00:00+1400",
        "09:00+1400",
    ]


def test_a_once_job_in_the_gap_is_due_right_after_it():
    cadence = parse_cadence("at 2026-03-29T02:30", timezone="Europe/Prague", now=PRAGUE_GAP)
    assert str(cadence) == "at 2026-03-29T01:00:00Z"


def test_a_once_job_in_the_fold_is_due_at_the_first_instant():
    cadence = parse_cadence("at 2026-10-25T02:30", timezone="Europe/Prague", now=PRAGUE_GAP)
    assert str(cadence) == "at 2026-10-25T00:30:00Z"
