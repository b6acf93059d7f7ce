"""What has to be armed at a remote service and what has to go, from jobs, what is armed, and the time."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.cadence import Cadence, Interval, Once
from tasks.domain.jobs import HttpCall, Job, Method
from workers.triggers.arming import HORIZON, MOST_PER_JOB, Callback, Changes, changes

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOLD = timedelta(seconds=5)
CALL = HttpCall(method=Method.GET, url="/", timeout=1)


class Broken(Cadence):
    """A cadence that can't be asked."""

    def next_after(self, instant: datetime) -> datetime | None:
        raise RuntimeError("no idea")


def job(name: str, every: float) -> Job:
    return Job(name=name, cadence=Interval(every=timedelta(seconds=every)), action=CALL)


def table(*jobs: Job) -> dict[str, Job]:
    return {each.name: each for each in jobs}


def at(name: str, seconds: float) -> Callback:
    return Callback(job=name, slot=NOON + timedelta(seconds=seconds))


def test_the_slots_of_the_next_hour_are_armed_soonest_first() -> None:
    wanted = changes(table(job("a", 1800), job("b", 1200)), [], NOON, hold=HOLD).provision
    assert wanted == (at("b", 1200), at("a", 1800), at("b", 2400), at("a", 3600), at("b", 3600))


def test_a_job_that_is_due_often_has_no_more_than_its_share() -> None:
    wanted = changes(table(job("fast", 1)), [], NOON, hold=HOLD).provision
    assert len(wanted) == MOST_PER_JOB
    assert wanted[-1] == at("fast", MOST_PER_JOB)


def test_what_is_due_after_the_horizon_is_not_armed_yet() -> None:
    far = Job(name="far", cadence=Once(at=NOON + HORIZON + timedelta(seconds=1)), action=CALL)
    assert changes(table(far), [], NOON, hold=HOLD) == Changes(provision=(), cancel=())


def test_what_nobody_wants_any_more_is_cancelled() -> None:
    armed = [at("gone", 60), at("a", 700), at("a", 1800)]
    found = changes(table(job("a", 1800)), armed, NOON, hold=HOLD)
    assert found == Changes(provision=(at("a", 3600),), cancel=(at("gone", 60), at("a", 700)))


def test_a_callback_that_may_be_on_its_way_is_left_alone_and_one_that_was_swept_is_not() -> None:
    found = changes({}, [at("a", -6), at("a", -5), at("a", 0), at("a", 1)], NOON, hold=HOLD)
    assert found.cancel == (at("a", -6), at("a", 1))


def test_a_job_whose_cadence_raises_keeps_no_other_unarmed() -> None:
    broken = Job(name="broken", cadence=Broken(), action=CALL)
    assert changes(table(broken, job("a", 3600)), [], NOON, hold=HOLD).provision == (at("a", 3600),)


@given(
    every=st.lists(st.integers(1, 4000), max_size=4),
    armed=st.sets(st.tuples(st.sampled_from("abcd"), st.integers(1, 4000)), max_size=30),
)
def test_once_in_line_there_is_nothing_left_to_do(every: list[int], armed: set[tuple[str, int]]) -> None:
    jobs = table(*(job(name, seconds) for name, seconds in zip("abcd", every, strict=False)))
    before = {at(name, seconds) for name, seconds in armed}
    found = changes(jobs, before, NOON, hold=HOLD)
    after = (before | set(found.provision)) - set(found.cancel)
    assert changes(jobs, after, NOON, hold=HOLD) == Changes(provision=(), cancel=())
