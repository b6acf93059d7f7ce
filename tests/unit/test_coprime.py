"""Coprime arithmetic against simulation, and the phases that keep jobs apart."""

from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise, product
from math import gcd, lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.cadence import CadenceError, Cron, Interval
from tasks.domain.coprime import (
    are_coprime,
    assign_phases,
    busiest_second,
    common_unit,
    meetings_per_day,
    nearest_coprime,
    plan_group,
    shared_factor,
    smallest_distance,
)

MS, SECOND, MINUTE = timedelta(milliseconds=1), timedelta(seconds=1), timedelta(minutes=1)
DAY = timedelta(days=1)
PIPELINE = {"collector": 660 * SECOND, "usage": 780 * SECOND, "verification": 900 * SECOND, "memory": 1020 * SECOND}
START = datetime(2026, 1, 1, tzinfo=UTC)


def closest(periods: dict[str, timedelta], phases: dict[str, timedelta]) -> timedelta:
    return min(
        smallest_distance(periods[a], periods[b], first_phase=phases[a], second_phase=phases[b])
        for a, b in combinations(periods, 2)
    )


@given(
    first=st.integers(1, 40),
    second=st.integers(1, 40),
    first_phase=st.integers(0, 39),
    second_phase=st.integers(0, 39),
    within=st.integers(0, 50),
)
def test_meetings_and_distance_are_those_of_a_simulation(first, second, first_phase, second_phase, within):
    cycle = lcm(first, second)
    runs = range(first_phase, first_phase + cycle, first)
    others = range(second_phase - 4 * cycle - 200, second_phase + 4 * cycle + 200)
    apart = [abs(run - other) for run in runs for other in others if (other - second_phase) % second == 0]
    phases = {"first_phase": first_phase * MS, "second_phase": second_phase * MS}
    meetings = meetings_per_day(first * MS, second * MS, **phases, within=within * MS)
    assert meetings == pytest.approx(sum(each <= within for each in apart) * (DAY / (cycle * MS)))
    assert smallest_distance(first * MS, second * MS, **phases) == min(apart) * MS


def test_coprime_periods_meet_exactly_once_per_product_whatever_their_phases():
    assert meetings_per_day(660 * SECOND, 780 * SECOND) == pytest.approx(24 * 60 / (11 * 13))
    assert meetings_per_day(7 * MS, 11 * MS, first_phase=3 * MS) == pytest.approx(86_400_000 / 77)


def test_periods_with_a_common_factor_never_meet_when_their_phases_differ_modulo_it():
    assert meetings_per_day(10 * MINUTE, 15 * MINUTE, second_phase=MINUTE) == 0
    assert smallest_distance(10 * MINUTE, 15 * MINUTE, second_phase=MINUTE) == MINUTE


def test_the_pipeline_gets_the_phases_of_a_quarter_minute():
    assert assign_phases(PIPELINE) == dict(
        zip(PIPELINE, (0 * SECOND, 15 * SECOND, 30 * SECOND, 45 * SECOND), strict=True)
    )


def test_periods_coprime_in_seconds_get_phases_below_a_second():
    periods = {str(seconds): seconds * SECOND for seconds in (7, 11, 13, 17)}
    assert [phase / MS for phase in assign_phases(periods).values()] == [0, 250, 500, 750]


def test_in_a_year_no_two_runs_of_the_pipeline_are_within_fifteen_seconds():
    phases = assign_phases(PIPELINE)
    cadences = [Interval(every=period, phase=phases[name]) for name, period in PIPELINE.items()]
    slots = sorted(slot for each in cadences for slot in each.slots_between(START, START + timedelta(days=365)))
    assert len(slots) > 150_000
    assert min(later - earlier for earlier, later in pairwise(slots)) == 15 * SECOND


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 12), min_size=2, max_size=3))
@settings(max_examples=60)
def test_no_choice_of_phases_beats_the_one_found(milliseconds):
    periods = {name: each * MS for name, each in milliseconds.items()}
    _, *others = milliseconds.values()
    every_choice = ((0, *rest) for rest in product(*map(range, others)))
    best = max(
        closest(periods, dict(zip(periods, [each * MS for each in choice], strict=True))) for choice in every_choice
    )
    assert closest(periods, assign_phases(periods)) == best


@given(
    st.dictionaries(st.text(max_size=3), st.integers(1, 50), min_size=2, max_size=8),
    st.sampled_from([MS, SECOND, MINUTE]),
)
@settings(max_examples=25, deadline=None)
def test_phases_lie_within_their_periods_and_are_never_worse_than_even_spacing(numbers, unit):
    periods = {name: number * unit for name, number in numbers.items()}
    phases = assign_phases(periods)
    assert all(timedelta(0) <= phases[name] < period for name, period in periods.items())
    evenly = gcd(*numbers.values()) * (unit // MS) // len(numbers)
    assert closest(periods, phases) >= evenly * MS
    assert closest(periods, phases) <= min(shared_factor(a, b) for a, b in combinations(periods.values(), 2)) / 2


def test_the_choice_does_not_depend_on_the_order_of_the_jobs():
    backwards = dict(reversed(PIPELINE.items()))
    assert assign_phases(backwards) == assign_phases(PIPELINE)


def test_mixed_factors_use_the_room_that_the_larger_ones_leave():
    periods = {"a": 10 * MINUTE, "b": 15 * MINUTE, "c": 17 * MINUTE, "d": 90 * MINUTE}
    assert closest(periods, assign_phases(periods)) == 30 * SECOND


def test_phases_set_by_hand_are_kept_and_the_others_give_way():
    phases = assign_phases(PIPELINE, {"usage": 7 * SECOND})
    assert phases["usage"] == 7 * SECOND
    assert closest(PIPELINE, phases) == 15 * SECOND


def test_two_phases_set_by_hand_on_the_same_instant_spoil_nothing_for_the_others():
    phases = assign_phases(PIPELINE, {"collector": timedelta(0), "usage": timedelta(0)})
    others = {name: PIPELINE[name] for name in ("collector", "verification", "memory")}
    assert closest(others, phases) == 20 * SECOND


def test_a_group_of_sixty_is_phased_apart():
    periods = {str(minutes): minutes * MINUTE for minutes in range(20, 80)}
    assert closest(periods, assign_phases(periods)) >= SECOND


@pytest.mark.parametrize("periods", [{}, {"alone": MINUTE}])
def test_who_has_no_neighbour_needs_no_phase(periods):
    assert set(assign_phases(periods).values()) <= {timedelta(0)}
    assert plan_group(periods).smallest_distance is None


def test_a_phase_outside_its_period_and_a_period_of_microseconds_are_refused():
    with pytest.raises(CadenceError, match="phase of usage"):
        assign_phases(PIPELINE, {"usage": 780 * SECOND})
    with pytest.raises(CadenceError, match="whole milliseconds"):
        assign_phases({"a": timedelta(microseconds=1500)})


@pytest.mark.parametrize(
    ("first", "second", "unit", "coprime"),
    [
        (11 * MINUTE, 13 * MINUTE, MINUTE, True),
        (10 * MINUTE, 15 * MINUTE, MINUTE, False),
        (90 * SECOND, 2 * MINUTE, SECOND, False),
        (91 * SECOND, 2 * MINUTE, SECOND, True),
        (60 * MINUTE, 120 * MINUTE, MINUTE, False),
        (MINUTE, 11 * MINUTE, SECOND, False),
        (2 * 60 * MINUTE, 3 * 60 * MINUTE, 60 * MINUTE, True),
        (DAY, 11 * MINUTE, MINUTE, True),
        (15 * MINUTE, 15 * MINUTE, MINUTE, False),
    ],
)
def test_coprime_means_no_common_factor_in_the_largest_common_unit(first, second, unit, coprime):
    assert common_unit(first, second) == unit
    assert are_coprime(first, second) is are_coprime(second, first) is coprime


@pytest.mark.parametrize(
    ("minutes", "suggested"),
    [
        ([10, 15, 17], [11, 15, 17]),
        ([11, 13, 15, 17], [11, 13, 15, 17]),
        ([60, 120], [60, 121]),
        ([15, 15], [15, 16]),
        ([1440, 60, 30, 15, 5], [1441, 61, 31, 16, 5]),
        ([], []),
    ],
)
def test_the_nearest_coprime_values_change_as_little_as_possible(minutes, suggested):
    periods = {str(place): each * MINUTE for place, each in enumerate(minutes)}
    assert [each / MINUTE for each in nearest_coprime(periods).values()] == suggested


def test_a_period_written_in_seconds_is_suggested_in_seconds():
    assert nearest_coprime({"a": 90 * SECOND, "b": 120 * SECOND}) == {"a": 90 * SECOND, "b": 121 * SECOND}


def test_a_minute_among_even_seconds_is_changed_by_seconds():
    periods = {"a": 60 * SECOND, "b": 62 * SECOND, "c": 64 * SECOND, "d": 120 * SECOND}
    suggested = nearest_coprime(periods)
    assert all(are_coprime(a, b) for a, b in combinations(suggested.values(), 2))
    assert sum((abs(suggested[name] - period) for name, period in periods.items()), timedelta(0)) == 3 * SECOND


@given(st.lists(st.integers(1, 120), min_size=1, max_size=5), st.sampled_from([SECOND, MINUTE]))
@settings(max_examples=25, deadline=None)
def test_what_is_suggested_is_pairwise_coprime(numbers, unit):
    suggested = nearest_coprime({str(place): number * unit for place, number in enumerate(numbers)})
    assert all(are_coprime(a, b) for a, b in combinations(suggested.values(), 2))


def test_a_large_group_with_one_period_gets_a_suggestion_in_bounded_work():
    suggested = nearest_coprime({str(place): 60 * MINUTE for place in range(20)})
    assert all(are_coprime(a, b) for a, b in combinations(suggested.values(), 2))


def test_the_plan_shows_what_the_phases_are_good_for():
    plan = plan_group({"refresh": 10 * MINUTE, "health": 15 * MINUTE})
    (pair,) = plan.pairs
    assert (pair.first, pair.second, pair.gcd, pair.coprime) == ("refresh", "health", 5 * MINUTE, False)
    assert (pair.meetings_per_day_unphased, pair.meetings_per_day) == (48, 0)
    assert pair.smallest_distance == plan.smallest_distance == 150 * SECOND


def test_the_plan_counts_runs_that_come_close_when_asked_to():
    (pair,) = plan_group({"a": 10 * MINUTE, "b": 15 * MINUTE}, within=150 * SECOND).pairs
    assert pair.meetings_per_day == pytest.approx(2 * 48)


def test_the_busiest_second_is_the_first_with_most_runs():
    jobs = {
        "ten": Interval(every=10 * MINUTE),
        "quarter": Interval(every=15 * MINUTE, phase=timedelta(milliseconds=900)),
        "morning": Cron(expression="30 7 * * *"),
        "evening": Cron(expression="30 19 * * *"),
        "idle": Cron(expression="0 0 1 6 *"),
    }
    busiest = busiest_second(jobs, START, START + DAY)
    assert busiest is not None
    assert (busiest.at, busiest.runs) == (START + timedelta(hours=7, minutes=30), 3)
    assert busiest.jobs == ("ten", "quarter", "morning")


def test_when_nothing_runs_no_second_is_busiest():
    assert busiest_second({"idle": Cron(expression="0 0 1 6 *")}, START, START + DAY) is None
