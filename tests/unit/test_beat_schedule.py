"""The table of jobs: what is due when, by default and overridden."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from heapq import merge
from itertools import pairwise

import pytest

from beat_schedule import BUILT_IN, PIPELINE, counted_from_start, job_table, of_other_processors, remarks
from tasks.domain.cadence import WEEKDAYS, Daily, Interval, Once
from tasks.domain.coprime_advice import Coprime, shared_factors
from tasks.domain.jobs import ProcessSessions
from tasks.errors import ConfigurationError
from workers.schedule_notes import notes_for_beat
from workers.settings import Settings

SECOND = timedelta(seconds=1)
YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.fixture
def table(settings):
    """The table of jobs with some settings, by field."""
    return lambda **fields: job_table(settings(**fields))


@pytest.fixture
def settings(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda **fields: Settings.read(None, **fields)


@dataclass
class Overridable:
    """Settings in which nobody has said anything about the jobs of others."""

    settings: Settings

    def __getattr__(self, name):
        return getattr(self.settings, name)

    def schedule_of(self, variable):
        return getattr(self.settings, f"{variable.lower()}_schedule", None)

    def phase_of(self, variable):
        return None


def variables():
    return [job.variable for job in BUILT_IN]


def test_the_variables_follow_from_the_names():
    assert variables() == [
        "SCHEDULER_DATA_REFRESH",
        "SCHEDULER_HEALTH_CHECK",
        "SCHEDULER_SCRIPT_RUNNER",
        "SCHEDULER_MARKETPLACES",
        "SCHEDULER_SESSION_COLLECTOR",
        "SCHEDULER_SESSION_PROCESSOR_USAGE",
        "SCHEDULER_SESSION_PROCESSOR_VERIFICATION",
        "SCHEDULER_CORPORATE_MEMORY",
    ]


def test_processors_of_others_join_the_pipeline_with_intervals_that_keep_it_coprime(settings, monkeypatch):
    monkeypatch.setattr("beat_schedule.BUILT_IN", (*BUILT_IN, *of_other_processors(["errors", "of-others"])))
    jobs = job_table(Overridable(settings()))
    others = {name: job for name, job in jobs.items() if job.action == ProcessSessions(processor="of-others")}
    assert [str(job.cadence).split(" phase")[0] for job in others.values()] == ["every 23m"]
    assert [job.variable for job in of_other_processors(["of-others"])] == ["SCHEDULER_SESSION_PROCESSOR_OF_OTHERS"]
    assert shared_factors(jobs.values()) == []
    slots = merge(*(job.cadence.slots_between(*YEAR) for job in jobs.values() if job.group == PIPELINE))
    assert min(later - earlier for earlier, later in pairwise(slots)) >= 10 * SECOND


def test_the_defaults(table):
    cadences = {name: str(job.cadence) for name, job in table().items()}
    assert cadences == {
        "data-refresh": "every 15m",
        "health-check": "every 5m",
        "script-runner": "every 1m",
        "marketplaces": "daily 03:00",
        "session-collector": "every 11m",
        "session-processor:usage": "every 13m phase 15s",
        "session-processor:verification": "every 15m phase 30s",
        "corporate-memory": "every 17m phase 45s",
    }


def test_no_two_jobs_of_the_pipeline_ever_run_within_15_seconds(table):
    pipeline = [job.cadence for job in table().values() if job.group == PIPELINE]
    slots = list(merge(*(cadence.slots_between(*YEAR) for cadence in pipeline)))
    assert len(slots) > 150_000
    assert min(later - earlier for earlier, later in pairwise(slots)) == 15 * SECOND


@pytest.mark.parametrize("built_in", BUILT_IN, ids=lambda job: job.name)
def test_words_beat_the_interval_of_every_job(table, built_in):
    job = table(**{f"{built_in.variable.lower()}_schedule": "weekdays at 09:30"})[built_in.name]
    assert job.cadence == Daily(times=(time(9, 30),), weekdays=WEEKDAYS)
    assert job.action == built_in.action


def test_words_are_read_in_the_timezone_of_the_settings(table):
    jobs = table(scheduler_timezone="Europe/Prague", scheduler_health_check_schedule="30 9 * * *")
    assert jobs["health-check"].cadence.timezone == jobs["marketplaces"].cadence.timezone == "Europe/Prague"


def test_a_job_with_a_time_of_day_leaves_the_phases_of_its_group(table):
    jobs = table(scheduler_session_collector_schedule="daily 07:00")
    phases = {job.cadence.phase for job in jobs.values() if job.group == PIPELINE and isinstance(job.cadence, Interval)}
    assert phases == {0 * SECOND, 20 * SECOND, 40 * SECOND}


def test_an_interval_in_words_stays_in_the_phases_of_its_group(table):
    assert table(scheduler_corporate_memory_schedule="every 17m") == table()


@pytest.mark.parametrize(
    "by_hand",
    [{"scheduler_corporate_memory_phase": 2.5}, {"scheduler_corporate_memory_schedule": "every 17m phase 2500ms"}],
)
def test_a_phase_set_by_hand_stands_and_the_others_keep_away_from_it(table, by_hand):
    jobs = table(**by_hand)
    assert jobs["corporate-memory"].cadence.phase == 2.5 * SECOND
    slots = merge(*(job.cadence.slots_between(*YEAR) for job in jobs.values() if job.group == PIPELINE))
    assert min(later - earlier for earlier, later in pairwise(slots)) >= 14 * SECOND


def test_a_phase_of_zero_by_hand_is_a_phase(table):
    assert table(scheduler_corporate_memory_phase=0)["corporate-memory"].cadence.phase == 0 * SECOND


def test_a_phase_moves_a_job_without_a_group(table):
    assert str(table(scheduler_script_runner_phase=7.25)["script-runner"].cadence) == "every 1m phase 7250ms"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"scheduler_script_runner_phase": 60}, r"SCHEDULER_SCRIPT_RUNNER_PHASE=60: .*the interval \(1m\)"),
        ({"scheduler_marketplaces_phase": 1}, "SCHEDULER_MARKETPLACES_PHASE=1: daily 03:00 is no interval"),
        (
            {"scheduler_data_refresh_schedule": "every 15m phase 5s", "scheduler_data_refresh_phase": 4},
            "SCHEDULER_DATA_REFRESH_PHASE=4: the schedule, every 15m phase 5s, sets another phase",
        ),
        ({"scheduler_corporate_memory_schedule": "every 1500us"}, "corporate-memory: .*whole milliseconds"),
    ],
)
def test_a_phase_that_can_not_be_is_named(table, fields, problem):
    with pytest.raises(ConfigurationError, match=problem):
        table(**fields)


def test_a_relative_once_counts_from_one_instant_and_is_remarked_on(settings):
    one = settings(scheduler_health_check_schedule="in 30m")
    first, second = job_table(one)["health-check"].cadence, job_table(one)["health-check"].cadence
    assert isinstance(first, Once)
    assert first == second
    assert remarks(one) == [f"health-check: {counted_from_start('in 30m')}"]


def test_the_defaults_leave_nothing_to_say(settings):
    assert notes_for_beat(settings()) == []


def test_a_shared_factor_is_named_with_how_often_it_stacks_and_what_is_near(settings):
    (note,) = notes_for_beat(
        settings(scheduler_session_collector_interval=600, scheduler_corporate_memory_interval=1020)
    )
    assert "session-collector (every 10m) and session-processor:verification (every 15m) share 5m" in note
    assert "together 48 times a day" in note
    assert "session-collector every 11m and session-processor:verification every 15m" in note


def test_require_refuses_a_shared_factor_and_off_says_nothing(settings):
    shared = {"scheduler_session_collector_interval": 600}
    with pytest.raises(ConfigurationError, match=r"SCHEDULER_COPRIME=require: 1 pair\(s\)"):
        notes_for_beat(settings(**shared, scheduler_coprime=Coprime.REQUIRE))
    assert notes_for_beat(settings(**shared, scheduler_coprime=Coprime.OFF)) == []
    assert notes_for_beat(settings(scheduler_coprime=Coprime.REQUIRE)) == []


def test_many_shared_factors_are_summed_up(settings, tmp_path):
    file = tmp_path / "jobs.toml"
    file.write_text(
        "".join(f'[[jobs]]\nname = "j{n}"\nschedule = "every 10m"\npath = "/"\ngroup = "g"\n' for n in range(9))
    )
    notes = notes_for_beat(settings(scheduler_jobs_file=file))
    assert len(notes) == 21
    assert notes[-1] == "and 16 more"


def test_jobs_without_a_group_are_not_compared(table):
    jobs = table()
    assert shared_factors(job for job in jobs.values() if not job.group) == []
