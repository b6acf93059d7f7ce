"""What counts as a row, and when somebody is told."""

from datetime import UTC, datetime, timedelta

from tasks.domain.claims import LedgerEntry
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.domain.slots import slot_text
from tasks.domain.streaks import Event, Streak, advance_all

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EMPTY = "empty"


def entries(*outcomes, job="ping"):
    """The ledger of one job, a run a minute; `empty` is a good answer without a body."""
    found = []
    for number, outcome in enumerate(outcomes):
        slot = NOON + timedelta(minutes=number)
        run = Run(
            job=job, key=slot_text(slot), slot=slot, source=Source.BEAT, run_id=str(number), finished_at=slot,
            outcome=Outcome.OK if outcome == EMPTY else Outcome(outcome),
            error=None if outcome in {EMPTY, "ok"} else "HTTP 500",
            detail={"empty": 1} if outcome == EMPTY else {},
        )  # fmt: skip
        found.append(LedgerEntry(stream_id=f"{number}-0", run=run))
    return found


def events(*outcomes, streak=None):
    return [alert.event for alert in advance_all({"ping": streak or Streak(job="ping")}, entries(*outcomes))[1]]


def streak_after(*outcomes):
    return advance_all({}, entries(*outcomes))[0]["ping"]


def test_only_the_first_failure_of_a_streak_is_told():
    assert events("ok", "failed", "failed", "unknown") == [Event.FAILING]


def test_failures_are_counted_in_a_row():
    assert streak_after("failed", "unknown", "failed").failures == 3
    assert streak_after("failed", "ok", "failed").failures == 1


def test_a_good_run_resets_and_says_so_once():
    assert events("failed", "ok", "ok") == [Event.FAILING, Event.RECOVERED]
    assert streak_after("failed", EMPTY, "missed", "ok") == Streak(job="ping")


def test_a_good_run_of_a_job_that_was_well_is_no_news():
    assert events("ok", "ok") == []


def test_the_third_empty_answer_in_a_row_makes_a_job_stale():
    assert events(EMPTY, EMPTY) == []
    assert events(EMPTY, EMPTY, EMPTY, EMPTY) == [Event.STALE]
    assert events(EMPTY, EMPTY, "ok", EMPTY, EMPTY) == []


def test_a_stale_job_recovers_with_an_answer_that_has_a_body():
    assert events(EMPTY, EMPTY, EMPTY, "ok") == [Event.STALE, Event.RECOVERED]


def test_empty_answers_that_never_made_a_job_stale_need_no_recovery():
    assert events(EMPTY, "ok") == []


def test_an_empty_answer_ends_a_row_of_failures_but_is_no_recovery():
    assert events("failed", EMPTY, "ok") == [Event.FAILING, Event.RECOVERED]
    assert events("failed", EMPTY, "failed") == [Event.FAILING, Event.FAILING]


def test_skipped_fenced_and_cancelled_runs_change_nothing():
    assert events("failed", "skipped", "fenced", "cancelled", "failed") == [Event.FAILING]
    assert streak_after("failed", "skipped", "failed").failures == 2


def test_a_row_of_missed_slots_is_told_once_with_how_many_are_known():
    _, (alert,) = advance_all({}, entries("missed", "missed", "missed"))
    assert (alert.event, alert.missed, alert.key) == (Event.MISSED, 3, "2026-11-20T12:00:00Z")
    assert "3 slots" in alert.text


def test_a_missed_slot_after_a_run_is_told_again():
    assert events("missed", "failed", "missed") == [Event.MISSED, Event.FAILING, Event.MISSED]


def test_a_missed_slot_does_not_end_a_row_of_failures():
    assert events("failed", "missed", "failed") == [Event.FAILING, Event.MISSED]


def test_a_streak_goes_on_from_where_it_was_kept():
    kept = streak_after("failed", "failed")
    assert events("failed", streak=kept) == []
    assert events("ok", streak=kept) == [Event.RECOVERED]


def test_jobs_have_streaks_of_their_own():
    streaks, alerts = advance_all({}, [*entries("failed"), *entries("ok", job="pong")])
    assert streaks["ping"].failures == 1
    assert streaks["pong"] == Streak(job="pong")
    assert [alert.job for alert in alerts] == ["ping"]


def test_every_event_has_an_identity_of_its_own():
    _, alerts = advance_all({}, entries("failed", "ok", "failed", "ok"))
    assert len({alert.id for alert in alerts}) == 4


def test_an_alert_says_what_happened_in_words():
    _, (alert,) = advance_all({}, entries("failed"))
    assert alert.text == "ping, slot 2026-11-20T12:00:00Z: failed: HTTP 500"
