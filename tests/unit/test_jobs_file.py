"""Jobs without code: what a jobs file accepts, and how it is refused."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from beat_schedule import BUILT_IN
from tasks.domain.cadence import Cron, Daily, Interval
from tasks.domain.jobs import Body, HttpCall, Job, Method
from tasks.domain.lateness import CatchUp
from tasks.domain.policies import Overlap
from workers.jobs_file import FileTerms, decode_jobs, read_jobs_file
from workers.jobs_file_entry import Entry, EntryTerms

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TERMS = FileTerms(
    entries=EntryTerms(timezone="Europe/Prague", now=NOW, variables={"MY_KEY": "sesame", "BAD": "a\nb", "EMPTY": ""}),
    taken=frozenset(job.name for job in BUILT_IN),
)
SHORT = {"name": '"a"', "schedule": '"every 10m"', "path": '"/x"'}
FULL = """
[[jobs]]
name = "reports"
schedule = "weekdays at 09:30"
timezone = "America/New_York"
method = "PUT"
url = "https://example.org/reports"
timeout = 2.5
body = { kind = "daily", parts = [1, 2], note = "žluť" }
overlap = "queue"
catch_up = "30m"
group = "reports"
group_limit = 2
remote_runs_on = "15m"
honours_key = true
expect_body = true
headers = { "X-Api-Key" = { env = "MY_KEY" } }
"""


def entry(**keys):
    """The text of one job: the shortest there is, with these keys changed or, as None, left out."""
    merged = {key: value for key, value in (SHORT | keys).items() if value is not None}
    return "[[jobs]]\n" + "".join(f"{key} = {value}\n" for key, value in merged.items())


def decoded(text):
    return decode_jobs(text, "jobs.toml", TERMS)


def job(**keys):
    file = decoded(entry(**keys))
    assert file.problems == ()
    return file.drafts[0].job


def test_a_job_needs_a_name_a_schedule_and_an_address():
    call = HttpCall(method=Method.POST, url="/x", timeout=30)
    assert job() == Job(name="a", cadence=Interval(every=timedelta(minutes=10)), action=call)


def test_every_key_is_taken():
    (draft,) = decoded(FULL).drafts
    assert draft.job == Job(
        name="reports",
        cadence=Daily(times=(time(9, 30),), weekdays=frozenset(range(5)), timezone="America/New_York"),
        action=HttpCall(
            method=Method.PUT,
            url="https://example.org/reports",
            timeout=2.5,
            body=Body(content='{"kind": "daily", "parts": [1, 2], "note": "žluť"}', content_type="application/json"),
            headers={"X-Api-Key": "MY_KEY"},
            honours_key=True,
            expect_body=True,
        ),
        group="reports",
        group_limit=2,
        remote_runs_on=timedelta(minutes=15),
        overlap=Overlap.QUEUE,
        catch_up=timedelta(minutes=30),
    )


def test_the_timezone_of_the_settings_is_the_default():
    assert job(schedule='"0 9 * * *"').cadence == Cron(expression="0 9 * * *", timezone="Europe/Prague")


@pytest.mark.parametrize(
    ("text", "choice"), [("late", CatchUp.LATE), ("skip", CatchUp.SKIP), ("90s", timedelta(seconds=90))]
)
def test_catch_up_is_a_choice_or_a_duration(text, choice):
    assert job(catch_up=f'"{text}"').catch_up == choice


def test_a_string_is_sent_as_it_is_and_an_array_as_json():
    assert job(body='"plain"').action.body == Body(content="plain", content_type="text/plain; charset=utf-8")
    assert job(body="[1, true]").action.body == Body(content="[1, true]", content_type="application/json")


def test_a_phase_is_kept_with_its_place():
    (draft,) = decoded(entry(phase="15.5")).drafts
    assert draft.phase == timedelta(seconds=15.5)
    assert draft.place == "jobs.toml: job 'a': phase = 15.5"


def test_values_of_headers_are_kept_apart_from_the_jobs():
    file = decoded(FULL)
    assert file.secrets == {"MY_KEY": "sesame"}
    assert "sesame" not in repr(file) + repr(TERMS)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"name": None}, "jobs.toml: job number 1: name: it is missing; accepted: up to 100 letters"),
        ({"name": '"a b"'}, "jobs.toml: job 'a b': name = 'a b'; accepted: up to 100 letters"),
        ({"name": '"a\\n"'}, "jobs.toml: job 'a\\n': name = 'a\\n'; accepted: up to 100 letters"),
        ({"name": "5"}, "jobs.toml: job number 1: name = 5; accepted: up to 100 letters"),
        (
            {"name": '"session-processor:x"'},
            "jobs.toml: job 'session-processor:x': name = 'session-processor:x': names",
        ),
        ({"name": '"health-check"'}, "jobs.toml: job 'health-check': name: a built-in job has it"),
        ({"schedule": None}, "jobs.toml: job 'a': schedule: it is missing; accepted: a cadence"),
        ({"schedule": '"30m"'}, "jobs.toml: job 'a': schedule = '30m': a bare duration"),
        ({"schedule": '"0 0 31 2 *"'}, "jobs.toml: job 'a': schedule = '0 0 31 2 *': cron '0 0 31 2 *' never matches"),
        ({"timezone": '"Mars/Base"'}, "jobs.toml: job 'a': timezone = 'Mars/Base': timezone 'Mars/Base' is not known"),
        ({"method": '"FETCH"'}, "jobs.toml: job 'a': method = 'FETCH'; accepted: GET, POST"),
        ({"path": None}, "jobs.toml: job 'a': path, url: accepted is exactly one of them"),
        ({"url": '"https://x"'}, "jobs.toml: job 'a': path, url: accepted is exactly one of them"),
        ({"path": '"x"'}, "jobs.toml: job 'a': path = 'x': it can't be a path; accepted: a path below API_URL"),
        ({"path": '"/a b"'}, "jobs.toml: job 'a': path = '/a b': it can't be a path"),
        ({"path": None, "url": '"ftp://x"'}, "jobs.toml: job 'a': url: it can't be used; accepted: an http://"),
        ({"path": None, "url": '"http://me:sesame@x"'}, "jobs.toml: job 'a': url: it can't be used"),
        ({"path": None, "url": '"http://x:99999"'}, "jobs.toml: job 'a': url: "),
        ({"timeout": '"30"'}, "jobs.toml: job 'a': timeout = '30'; accepted: seconds above 0"),
        ({"timeout": "0"}, "jobs.toml: job 'a': timeout = 0; accepted: seconds above 0"),
        ({"timeout": "true"}, "jobs.toml: job 'a': timeout = True; accepted: seconds above 0"),
        ({"timeout": "inf"}, "jobs.toml: job 'a': timeout = inf; accepted: seconds above 0"),
        ({"body": "5"}, "jobs.toml: job 'a': body: it is a int; accepted: a table"),
        ({"body": "[nan]"}, "jobs.toml: job 'a': body: JSON can't say it"),
        ({"body": "[2026-11-20]"}, "jobs.toml: job 'a': body: JSON can't say it"),
        ({"overlap": '"never"'}, "jobs.toml: job 'a': overlap = 'never'; accepted: skip, defer, queue, allow"),
        ({"catch_up": '"soon"'}, "jobs.toml: job 'a': catch_up = 'soon': it is no choice"),
        ({"catch_up": '"0s"'}, "jobs.toml: job 'a': catch_up = '0s': it is no choice"),
        ({"group": '"a b"'}, "jobs.toml: job 'a': group = 'a b'; accepted"),
        ({"group_limit": "2"}, "jobs.toml: job 'a': group_limit = 2: the job has no group; accepted: how many"),
        ({"remote_runs_on": '"long"'}, "jobs.toml: job 'a': remote_runs_on = 'long': it is no duration above zero"),
        ({"phase": "-1"}, "jobs.toml: job 'a': phase = -1; accepted: seconds from 0"),
        ({"phase": "0.0001"}, "jobs.toml: job 'a': phase = 0.0001: it has a fraction finer"),
        ({"tiemout": "3"}, "jobs.toml: job 'a': tiemout: this key is not known; the nearest known one is timeout"),
        ({"headers": '{ X = "sesame" }'}, "jobs.toml: job 'a': headers.X; accepted: names of headers"),
        ({"headers": '{ X = { env = "NOPE" } }'}, "jobs.toml: job 'a': headers.X.env: the variable NOPE is not set"),
        ({"headers": '{ X = { env = "EMPTY" } }'}, "jobs.toml: job 'a': headers.X.env: the variable EMPTY is not set"),
        ({"headers": '{ X = { env = "BAD" } }'}, "jobs.toml: job 'a': headers.X.env: the value of BAD holds"),
        (
            {"headers": '{ X = { evn = "MY_KEY", env = "MY_KEY" } }'},
            "jobs.toml: job 'a': headers.X.evn: this key is not",
        ),
        ({"headers": '{ "X Y" = { env = "MY_KEY" } }'}, "jobs.toml: job 'a': headers: X Y can't be set"),
        ({"headers": '{ Host = { env = "MY_KEY" } }'}, "jobs.toml: job 'a': headers: Host can't be set"),
        (
            {"headers": '{ X = { env = "MY_KEY" }, x = { env = "MY_KEY" } }'},
            "jobs.toml: job 'a': headers: X, x can't be",
        ),
    ],
)
def test_a_problem_is_one_line_with_file_job_and_key(keys, line):
    (said,) = decoded(entry(**keys)).problems
    assert said.startswith(line)
    assert "sesame" not in said


def test_all_problems_of_all_jobs_come_together_and_the_good_jobs_stay():
    file = decoded(entry(name='"b"') + entry(timeout="0", phase="-1") + entry(name='"c"', schedule='"x"'))
    assert [draft.job.name for draft in file.drafts] == ["b"]
    assert [line.split(" = ")[0] for line in file.problems] == [
        "jobs.toml: job 'a': timeout",
        "jobs.toml: job 'a': phase",
        "jobs.toml: job 'c': schedule",
    ]


def test_a_name_that_is_used_twice_is_named_once():
    assert decoded(entry() * 3).problems == ("jobs.toml: job 'a': name: more than one job of this file has it",)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[jobs]", "jobs.toml: it is no TOML: "),
        ("jobs = 3", "jobs.toml: jobs: accepted are tables that begin with [[jobs]]"),
        ("jobs = [3]", "jobs.toml: jobs: accepted are tables that begin with [[jobs]]"),
        ("[[job]]\n", "jobs.toml: job: this key is not known; the nearest known one is jobs"),
    ],
)
def test_a_file_of_another_shape_is_one_line(text, line):
    assert decoded(text).problems[0].startswith(line)


def test_a_file_that_can_not_be_read_is_one_line(tmp_path):
    (tmp_path / "latin").write_bytes(b"\xff")
    assert read_jobs_file(tmp_path / "none", TERMS).problems[0].endswith("/none: No such file or directory")
    assert read_jobs_file(tmp_path, TERMS).problems[0].endswith(": Is a directory")
    assert "it is no UTF-8 text" in read_jobs_file(tmp_path / "latin", TERMS).problems[0]


def test_every_key_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert not {key for key in Entry.model_fields if f"`{key}`" not in text}


def test_no_jobs_are_no_problem():
    assert decoded("") == decoded("jobs = []")
    assert decoded("").problems == decoded("").drafts == ()
