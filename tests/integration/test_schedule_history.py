"""What several beats write to the ledger about their job tables, on a real Redis."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import redis

from tasks.adapters.claims import RedisDispatches, RedisLedger
from tasks.adapters.ledger_schedules import RedisSchedules
from tasks.adapters.schedule_store import RedisScheduleStore
from tasks.domain.cadence import Cron, Interval
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.outcomes import Launch, Source
from tasks.domain.schedules import Origin, Schedule, ScheduleChange, ScheduleEntry, ScheduleState, schedule_of
from tasks.domain.slots import slot_text
from tasks.domain.stored import Wish, paused

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CALL = HttpCall(method=Method.GET, url="/", timeout=1)
MINUTE = timedelta(minutes=1)


def job(name="ping", minutes=15):
    return Job(name=name, cadence=Interval(every=minutes * MINUTE), action=CALL)


def table(*jobs):
    return {each.name: each for each in jobs}


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def schedules(client):
    return RedisSchedules(client)


@pytest.fixture
def history(client):
    def changes():
        entries = RedisLedger(client).read("0", 10_000)
        return [each.change for each in entries if isinstance(each, ScheduleEntry)]

    return changes


def taken(client, name, slot):
    """A slot that some beat has taken care of."""
    launch = Launch(job=name, key=slot_text(slot), slot=slot, source=Source.BEAT, run_id="x")
    RedisDispatches(client).miss([launch], "")


def test_the_first_beat_writes_the_whole_table_and_the_next_writes_nothing(schedules, history):
    assert schedules.publish(table(job(), job("pong", 7)), NOW, by="one") == 2
    assert schedules.publish(table(job(), job("pong", 7)), NOW + MINUTE, by="two") == 0
    assert [(each.schedule.job, each.schedule.cadence, each.since, each.by) for each in history()] == [
        ("ping", "every 15m", NOW, "one"),
        ("pong", "every 7m", NOW, "one"),
    ]


def test_a_new_job_is_taken_care_of_from_when_the_first_beat_saw_it(schedules):
    schedules.publish(table(job()), NOW, by="one")
    schedules.publish(table(job()), NOW + 20 * MINUTE, by="two")
    assert schedules.taken_care_of() == {"ping": NOW}


def test_a_changed_cadence_holds_after_the_newest_slot_that_was_taken_care_of(client, schedules):
    schedules.publish(table(job()), NOW, by="one")
    taken(client, "ping", NOW + 15 * MINUTE)
    schedules.publish(table(job(minutes=20)), NOW + 60 * MINUTE, by="one")
    assert schedules.taken_care_of() == {"ping": NOW + 15 * MINUTE}


def test_a_changed_cadence_of_a_job_without_slots_holds_since_it_came_to_be(schedules, history):
    schedules.publish(table(job()), NOW, by="one")
    schedules.publish(table(job(minutes=20)), NOW + MINUTE, by="one")
    assert [(each.schedule.cadence, each.since) for each in history()] == [("every 15m", NOW), ("every 20m", NOW)]


def test_a_job_that_left_the_table_is_removed_once(schedules, history):
    schedules.publish(table(job(), job("pong")), NOW, by="one")
    assert schedules.publish(table(job()), NOW + MINUTE, by="one") == 1
    assert schedules.publish(table(job()), NOW + MINUTE, by="two") == 0
    assert history()[-1].schedule == Schedule(job="pong", state=ScheduleState.REMOVED)


def test_a_job_that_came_back_is_new(client, schedules):
    schedules.publish(table(job()), NOW, by="one")
    taken(client, "ping", NOW + 15 * MINUTE)
    schedules.publish({}, NOW + 20 * MINUTE, by="one")
    schedules.publish(table(job()), NOW + 600 * MINUTE, by="one")
    assert schedules.taken_care_of() == {"ping": NOW + 600 * MINUTE}


def test_the_zone_of_a_cadence_is_part_of_the_schedule(schedules, history):
    cron = Cron(expression="0 9 * * *", timezone="Europe/Prague")
    moved = Cron(expression="0 9 * * *", timezone="Asia/Tokyo")
    schedules.publish(table(Job(name="ping", cadence=cron, action=CALL)), NOW, by="one")
    assert schedules.publish(table(Job(name="ping", cadence=moved, action=CALL)), NOW, by="one") == 1
    assert [each.schedule.timezone for each in history()] == ["Europe/Prague", "Asia/Tokyo"]


def test_what_was_scheduled_at_run_time_survives_a_beat_that_opens(client, schedules, history):
    made = Schedule(job="mine", origin=Origin.STORE, cadence="every 5m", definition='{"url": "/x"}')
    since = RedisScheduleStore(client).change(Wish(schedule=made, replaces=None, by="me"))
    schedules.publish(table(job()), NOW + MINUTE, by="one")
    assert set(schedules.taken_care_of()) == {"mine", "ping"}
    assert history()[0] == ScheduleChange(schedule=made, since=since, by="me")


def test_a_job_of_the_table_that_was_paused_stays_so_when_its_cadence_changes(client, schedules, history):
    schedules.publish(table(job()), NOW, by="one")
    store = RedisScheduleStore(client)
    known = store.find("ping").schedule
    store.change(Wish(schedule=paused(known, "enough"), replaces=known, by="me"))
    assert schedules.publish(table(job()), NOW + MINUTE, by="two") == 0
    assert schedules.publish(table(job(minutes=20)), NOW + MINUTE, by="two") == 1
    assert history()[-1].schedule == paused(schedule_of(job(minutes=20)), "enough")


def test_a_changed_cadence_holds_after_what_the_beat_saw_as_taken_care_of(client, schedules, history):
    schedules.publish(table(job()), NOW, by="one")
    taken(client, "ping", NOW + 15 * MINUTE)
    care = schedules.taken_care_of()
    taken(client, "ping", NOW + 30 * MINUTE)
    schedules.publish(table(job(minutes=20)), NOW + 31 * MINUTE, by="one", care=care)
    assert [each.since for each in history() if each.schedule.cadence == "every 20m"] == [NOW + 15 * MINUTE]


def test_beats_that_open_at_the_same_time_write_each_change_once(redis_url, history):
    jobs = table(*(job(f"job-{number}") for number in range(2_500)))

    def open_one(by):
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            RedisSchedules(client).publish(jobs, NOW, by=by)

    beats = [threading.Thread(target=open_one, args=(name,)) for name in ("one", "two", "three")]
    for beat in beats:
        beat.start()
    for beat in beats:
        beat.join()
    assert sorted(each.schedule.job for each in history()) == sorted(jobs)
