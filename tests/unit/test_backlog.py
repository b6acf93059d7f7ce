"""Backlogs: however long the downtime was, so many slots one by one and the rest as one row."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.audit import audit
from tasks.domain.backlog import Backlog, Row, backlog_of, one_by_one, row_of, row_run, walk
from tasks.domain.cadence import Cron, Interval
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.lateness import Missed
from tasks.domain.outcomes import Outcome
from tasks.domain.schedules import Period, Schedule

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CALL = HttpCall(method=Method.GET, url="/", timeout=1)


def backlog(cadence: str, since: timedelta) -> Backlog:
    return Backlog(job="ping", cadence=cadence, timezone="UTC", after=NOON - since, until=NOON)


def parts(found: Backlog, most: int) -> tuple[list[Row], list[datetime]]:
    steps = list(walk(found, most))
    return [each for each in steps if isinstance(each, Row)], [each for each in steps if isinstance(each, datetime)]


def test_a_year_of_a_job_that_runs_every_second_is_one_row_and_its_newest_slots() -> None:
    (row,), slots = parts(backlog("every 1s", timedelta(days=365)), most=10_000)
    assert row.slots + len(slots) == 365 * 86_400
    assert (slots[-1], len(slots)) == (NOON, 10_000)
    assert row.last == slots[0] - timedelta(seconds=1)


def test_a_short_downtime_has_no_row() -> None:
    assert parts(backlog("every 1m", timedelta(minutes=3)), most=10) == (
        [],
        [NOON - timedelta(minutes=2), NOON - timedelta(minutes=1), NOON],
    )


@given(
    cadence=st.sampled_from(["every 7m phase 1m", "*/7 * * * *", "daily 07:00,13:30", "every 90s"]),
    minutes=st.integers(0, 6000),
    most=st.integers(1, 50),
)
def test_every_slot_is_in_the_row_or_stands_for_itself(cadence: str, minutes: int, most: int) -> None:
    found = backlog(cadence, timedelta(minutes=minutes))
    rows, slots = parts(found, most)
    expected = list(parse_cadence(cadence, timezone="UTC", now=NOON).slots_between(found.after, found.until))
    older = expected[: len(expected) - len(slots)]
    assert slots == expected[len(older) :]
    assert len(slots) <= most
    assert [(row.first, row.last, row.slots) for row in rows] == ([(older[0], older[-1], len(older))] if older else [])


def test_a_backlog_in_words_means_the_same_slots() -> None:
    job = Job(name="ping", cadence=Cron(expression="0 9 * * *", timezone="Europe/Prague"), action=CALL)
    missed = Missed(cadence=job.cadence, after=NOON - timedelta(days=3), until=NOON)
    assert parts(backlog_of(job, missed), most=10)[1] == list(missed)


def test_a_row_is_read_back_from_its_run() -> None:
    found = backlog("every 1s", timedelta(hours=1))
    (row,), _ = parts(found, most=10)
    run = row_run(found, row)
    assert (run.outcome, run.detail["slots"], run.error) == (Outcome.MISSED, 3590, None)
    assert row_of(run) == row


def test_the_more_jobs_the_fewer_slots_of_each_stand_for_themselves() -> None:
    assert (one_by_one(1), one_by_one(100), one_by_one(100_000)) == (10_000, 500, 10)


def test_the_audit_knows_the_slots_of_a_row() -> None:
    period = Period(schedule=Schedule(job="ping", cadence="every 1m"), since=NOON - timedelta(hours=1))
    row = (NOON - timedelta(minutes=59), NOON - timedelta(minutes=5), Outcome.MISSED)
    found = audit({"ping": [period]}, {}, (), since=period.since, now=NOON, rows={"ping": [row]})
    assert found.outcomes == {Outcome.MISSED: 55}
    assert [each.slot for each in found.vanished] == [NOON - timedelta(minutes=minutes) for minutes in (4, 3)]


def test_intervals_need_no_walk() -> None:
    assert isinstance(parse_cadence("every 1s", timezone="UTC", now=NOON), Interval)
