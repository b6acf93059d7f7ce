"""Why a job ran, or did not, in plain English."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tasks.domain.explain import Facts, explain, locate
from tasks.domain.hot import HotSlot
from tasks.domain.moments import parse_moment
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.domain.schedules import Schedule, ScheduleChange, ScheduleState, periods_of
from tasks.domain.slots import slot_text
from tasks.domain.streaks import Streak

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = NOON + timedelta(minutes=47)
SLOT = NOON + timedelta(minutes=45)
MINUTE, SECOND, MS = timedelta(minutes=1), timedelta(seconds=1), timedelta(milliseconds=1)


def change(since=NOON - timedelta(hours=5), cadence="every 15m", **schedule):
    return ScheduleChange(schedule=Schedule(job="ping", cadence=cadence, **schedule), since=since)


def facts(time=None, *changes, **known):
    periods = periods_of(changes or [change()]).get("ping", [])
    moment = None if time is None else parse_moment(time, NOW)
    return replace(locate(Facts(job="ping", now=NOW, periods=periods, moment=moment)), **known)


def run(outcome=Outcome.OK, slot=SLOT, **more):
    return Run(
        **{
            "job": "ping", "key": slot_text(slot), "slot": slot, "source": Source.BEAT, "outcome": outcome,
            "run_id": "1", "dispatched_at": slot + 12 * MS, "claimed_at": slot + 30 * MS, "worker": "box:7",
            "lateness_s": 0.031, "duration_s": 0.4, **more,
        }
    )  # fmt: skip


def test_without_a_time_it_is_about_the_newest_slot():
    assert facts().slot == SLOT


def test_a_good_run_is_told_from_due_to_next():
    told = explain(facts(run=run(detail={"status": 200}), hot=HotSlot(state="done", beat="celerybeat@box")))
    assert told == (
        "ping was due at 2026-11-20T12:45:00Z (every 15m). celerybeat@box dispatched it at 2026-11-20T12:45:00.012Z, "
        "12 ms after it was due. box:7 claimed it at 2026-11-20T12:45:00.03Z and began 31 ms after it was due. "
        "It ended ok after 400 ms (status 200). The slot after that is 2026-11-20T13:00:00Z, in 13 min."
    )


def test_a_beat_whose_name_is_forgotten_is_a_beat():
    assert "A beat dispatched it at" in explain(facts(run=run()))


def test_a_failure_says_why_and_the_how_manieth_it_is():
    streak = Streak(job="ping", failures=3, since=SLOT - 30 * MINUTE)
    told = explain(facts(run=run(Outcome.FAILED, error="HTTP 500"), streak=streak))
    assert "It failed after 400 ms: HTTP 500." in told
    assert "The job has failed 3 times in a row, since 2026-11-20T12:15:00Z." in told


def test_a_stale_job_is_named_so():
    told = explain(facts(run=run(), streak=Streak(job="ping", empties=4, since=SLOT)))
    assert "The job is stale: its last 4 good answers had no body" in told


def test_an_unknown_outcome_says_how_a_person_can_settle_it():
    told = explain(facts(run=run(Outcome.UNKNOWN, error="no answer within 30 s")))
    assert "What became of it is not known after 400 ms: no answer within 30 s." in told
    assert "`celery -A workers resolve ping 2026-11-20T12:45:00Z ok|failed`" in told


def test_a_slot_missed_in_downtime_was_dispatched_by_nobody():
    missed = run(Outcome.MISSED, claimed_at=None, worker=None, duration_s=None, error="nothing ran while it was due")
    told = explain(facts(run=missed))
    assert "dispatched" not in told
    assert "It was missed, and nothing will run it any more: nothing ran while it was due." in told


def test_a_skipped_slot_says_who_was_in_the_way():
    busy = run(Outcome.SKIPPED, claimed_at=None, duration_s=None, error="busy: ping/x is still running")
    assert "It was skipped: busy: ping/x is still running." in explain(facts(run=busy))


def test_a_run_that_catches_up_says_so():
    late = run(source=Source.CATCH_UP, dispatched_at=SLOT + 5 * MINUTE, lateness_s=300.0)
    told = explain(facts(run=late))
    assert "dispatched it to catch up at 2026-11-20T12:50:00Z, 5 min after it was due" in told
    assert "began 5 min after it was due" in told


def test_a_slot_in_the_queue_says_what_it_waits_for():
    hot = HotSlot(state="sent", beat="b@box", dispatched_at=SLOT + 2 * MS, window_end=SLOT + 450 * SECOND)
    told = explain(facts(hot=hot, holder="ping/2026-11-20T12:30:00Z"))
    assert "no worker has claimed it yet" in told
    assert "The job is busy: ping/2026-11-20T12:30:00Z is still running." in told
    assert "If nobody claims it until 2026-11-20T12:52:30Z, it is missed." in told


def test_a_slot_that_was_marked_but_not_sent_says_who_takes_over():
    told = explain(facts(hot=HotSlot(state="dispatched", beat="b@box", dispatched_at=SLOT)))
    assert "another takes it over after 2 s" in told


def test_a_running_slot_says_where_and_since_when():
    hot = HotSlot(state="running", worker="box:7", claimed_at=SLOT + SECOND, lease_until=NOW + 20 * SECOND)
    told = explain(facts(hot=hot))
    assert "box:7 runs it since 2026-11-20T12:45:01Z (119 s)" in told
    assert "its lease holds until 2026-11-20T12:47:20Z" in told


def test_a_running_slot_whose_lease_ran_out_will_be_unknown():
    hot = HotSlot(state="running", worker="box:7", claimed_at=SLOT, lease_until=NOW - SECOND)
    assert "it will be recorded as unknown" in explain(facts(hot=hot))


def test_a_running_slot_that_was_told_to_stop_says_by_whom():
    hot = HotSlot(state="running", worker="box:7", claimed_at=SLOT, cancelled_by="alice")
    assert "was told by alice to stop" in explain(facts(hot=hot))


def test_a_due_slot_that_no_beat_has_seen_may_still_start():
    assert "No beat has dispatched it yet; it may still start within 6 min" in explain(facts())


def test_a_slot_past_its_window_that_nobody_saw_is_listed_by_the_audit():
    told = explain(facts("12:15"))
    assert "Nothing is recorded about it" in told
    assert "the audit lists it" in told


def test_nothing_is_concluded_from_silence_while_redis_is_away():
    told = explain(facts("12:15", redis_is_away=True))
    assert "Redis, which knows what is under way, can't be reached" in told
    assert "no beat was there" not in told


def test_a_slot_to_come_says_in_how_long():
    assert explain(facts("2026-11-20T13:15")).startswith("ping is due at 2026-11-20T13:15:00Z, in 28 min (every 15m).")


def test_a_moment_between_two_slots_names_both():
    told = explain(facts("12:40", run=run(slot=NOON + 30 * MINUTE)))
    assert told.startswith("ping was not due at 2026-11-20T12:40:00Z (every 15m). Its slot before that was ")
    assert "2026-11-20T12:30:00Z. A beat dispatched it" in told
    assert told.endswith("The slot after that was 2026-11-20T12:45:00Z.")


def test_a_moment_before_the_schedule_came_to_be_says_since_when_it_is_known():
    told = explain(facts("2026-11-19T12:00"))
    assert "its schedule is known since 2026-11-20T07:00:00Z" in told


def test_a_job_that_no_beat_has_seen_says_so():
    assert explain(Facts(job="ping", now=NOW, periods=())) == (
        "ping was not due at 2026-11-20T12:47:00Z: no beat has seen it yet."
    )


def test_a_paused_job_says_since_when_and_why():
    paused = change(NOON + 20 * MINUTE, state=ScheduleState.PAUSED, reason="moving house")
    told = explain(facts("12:45", change(), paused))
    assert "it is paused since 2026-11-20T12:20:00Z (moving house)" in told
    assert told.endswith("No slot follows: the job is paused since 2026-11-20T12:20:00Z (moving house).")


def test_the_zone_of_a_wall_clock_is_named():
    daily = change(cadence="daily 13:45", timezone="Europe/Prague")
    assert "(daily 13:45, Europe/Prague)" in explain(facts(None, daily))


def test_a_run_by_hand_is_told_without_a_slot():
    manual = run(slot=SLOT, source=Source.MANUAL, lateness_s=None)
    told = explain(Facts(job="ping", now=NOW, periods=(), run=replace_slot(manual)))
    assert told.startswith("Run manual-7 of ping. Somebody started it by hand. box:7 claimed it")


def replace_slot(found):
    return Run(**{name: getattr(found, name) for name in found.__struct_fields__} | {"slot": None, "key": "manual-7"})


def test_a_change_of_cadence_is_explained_with_the_one_that_held():
    told = explain(facts("12:20", change(), change(NOON + 10 * MINUTE, "every 20m")))
    assert told.startswith("ping was due at 2026-11-20T12:20:00Z (every 20m).")
