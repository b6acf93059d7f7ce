"""What `plan` says, against what the jobs then do."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from beat_schedule import job_table
from tasks.domain.cadence import Cron, Interval, Once
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.plan import MOST_RUNS_WALKED, Plan, plan_of
from tasks.domain.slots import MICROSECOND, slot_text
from workers.cli.plan_text import print_plan
from workers.settings import Settings

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
CALL = HttpCall(method=Method.GET, url="/", timeout=1)


def job(name, cadence, group=""):
    return Job(name=name, cadence=cadence, action=CALL, group=group)


def every(seconds, phase=0):
    return Interval(every=seconds * SECOND, phase=phase * SECOND)


def planned(*jobs):
    return plan_of({each.name: each for each in jobs}, START)


@pytest.fixture
def defaults(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return job_table(Settings.read(None))


def printed(capsys, plan, notes=()):
    print_plan(plan, notes)
    return capsys.readouterr().out


def test_a_job_shows_its_next_five_slots_the_instant_of_the_plan_included():
    (one,) = planned(job("a", every(600, 30))).jobs
    assert (one.every_s, one.phase_s) == (600, 30)
    assert one.next_slots[0] == "2026-11-20T12:00:30Z"
    assert len(one.next_slots) == 5
    assert planned(job("a", every(600))).jobs[0].next_slots[0] == "2026-11-20T12:00:00Z"


def test_a_job_of_the_wall_clock_shows_its_zone_and_slots_in_utc():
    (one,) = planned(job("a", Cron(expression="0 9 * * *", timezone="Europe/Prague"))).jobs
    assert (one.timezone, one.every_s, one.next_slots[0]) == ("Europe/Prague", None, "2026-11-21T08:00:00Z")


def test_a_job_that_is_over_has_no_slots(capsys):
    plan = planned(job("a", Once(at=START - SECOND)))
    assert plan.jobs[0].next_slots == ()
    assert plan.busiest is None
    assert "never again" in printed(capsys, plan)
    assert "Nothing runs in the next day." in printed(capsys, plan)


def test_the_day_counts_every_run_once(defaults):
    for name, one in defaults.items():
        (shown,) = (each for each in plan_of(defaults, START).jobs if each.name == name)
        assert sum(shown.runs) == one.cadence.count_between(START - MICROSECOND, START + DAY - MICROSECOND)


def test_the_default_pipeline_never_meets_and_keeps_15_seconds(defaults):
    (group,) = plan_of(defaults, START).groups
    assert group.smallest_distance_s == 15
    assert len(group.pairs) == 6
    assert all(pair.coprime and pair.gcd_s == 60 and pair.meetings_per_day == 0 for pair in group.pairs)
    assert group.pairs[0].meetings_per_day_without_phases == pytest.approx(1440 / 143)


def test_meetings_are_those_of_the_phases_in_use():
    (group,) = planned(job("a", every(600), "g"), job("b", every(900, 300), "g")).groups
    (pair,) = group.pairs
    assert (pair.gcd_s, pair.coprime, group.smallest_distance_s) == (300, False, 0)
    assert pair.meetings_per_day == pair.meetings_per_day_without_phases == 48


def test_jobs_of_the_wall_clock_are_in_no_pair():
    (group,) = planned(job("a", every(600), "g"), job("b", Cron(expression="0 9 * * *"), "g")).groups
    assert (group.pairs, group.smallest_distance_s) == ((), None)


def test_the_busiest_second_is_the_one_with_most_runs(defaults):
    counted = Counter(
        slot.replace(microsecond=0)
        for each in defaults.values()
        for slot in each.cadence.slots_between(START - MICROSECOND, START + DAY - MICROSECOND)
    )
    busiest = plan_of(defaults, START).busiest
    most = max(counted.values())
    assert busiest.runs == most == len(busiest.jobs)
    assert busiest.at == slot_text(min(second for second, runs in counted.items() if runs == most))
    assert busiest.until == slot_text(START + DAY)


def test_too_many_runs_to_walk_shorten_the_look_ahead():
    plan = planned(job("a", Interval(every=timedelta(milliseconds=1))))
    until = datetime.fromisoformat(plan.busiest.until)
    assert (until - START) // timedelta(milliseconds=1) <= MOST_RUNS_WALKED
    assert plan.busiest.runs == 1000


def test_json_says_all_of_it(defaults):
    plan = plan_of(defaults, START)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_no_jobs_are_a_plan_too(capsys):
    assert "Nothing runs" in printed(capsys, planned())


def test_the_text_names_jobs_pairs_distance_and_busiest_second(defaults, capsys):
    text = printed(capsys, plan_of(defaults, START), ["a note [with brackets]"])
    assert all(name in text for name in defaults)
    assert "session-collector + corporate-memory" in text
    assert "Group pipeline: no two jobs ever start closer together than 15s." in text
    assert "Busiest second up to 2026-11-21T12:00:00Z: 2026-11-20T" in text
    assert "! a note [with brackets]" in text


def test_the_picture_has_a_bar_for_each_half_hour(capsys):
    text = printed(capsys, planned(job("a", every(3600))))
    assert f"a |{'█ ' * 24}| 24" in text
    assert "   12:00       18:00       00:00       06:00" in text
