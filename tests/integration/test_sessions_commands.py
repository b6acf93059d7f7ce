"""`celery -A workers sessions …` on real workers and a real Redis, as a user types it."""

import json
import os
import signal
from datetime import UTC, datetime

import duckdb
import pytest

from tests.conftest import eventually, unused_port
from tests.integration.sessions_world import World, sessions_world
from workers.demo.sessions import Script

JOB = "session-processor:usage"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with sessions_world(tmp_path_factory.mktemp("world")) as world:
        yield world


def turns(session, count=3):
    return Script(seed=sum(session.encode()), session_id=session, text_bytes=50).turns(count)


def error_of(done):
    """The one line with which a command refuses."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return line


def totals(world):
    """What one processor has read, by user."""
    users = world.json("sessions", "status")["status"]["overview"]["users"]
    return {each["username"]: each for each in users if each["processor"] == "usage"}


def test_ingest_waits_for_its_run_and_tells_how_the_ledger_has_it(world: World):
    script = Script(seed=1, session_id="s", text_bytes=50)
    size = world.write("ann/s.jsonl", *script.turns(3)).stat().st_size
    run = world.ingest()
    assert (run["job"], run["outcome"], run["source"]) == (JOB, "ok", "manual")
    assert (run["detail"]["files"], run["detail"]["bytes"], run["detail"]["left_over"]) == (1, size, 0)
    (kept,) = [each for each in world.json("history", JOB) if each["key"] == run["key"]]
    assert (kept["outcome"], kept["detail"]) == ("ok", run["detail"])
    assert totals(world)["ann"]["lines"] == run["detail"]["lines"]


def test_ingest_shows_progress_on_stderr_and_totals_on_stdout(world: World):
    world.write("ben/s.jsonl", *turns("ben", 20), b"bad\n")
    done = world.call("sessions", "ingest", "--wait")
    assert "1 of 1 files, 0 part(s) left" in done.stderr
    assert " MB/s" in done.stderr
    assert done.stdout.startswith("ok: 1 files, ")
    assert "MB/s)" in done.stdout
    assert done.stdout.endswith("; 1 bad line(s)\n")
    assert world.good("sessions", "ingest", "--wait").startswith("ok: nothing new in ")


def test_ingest_without_waiting_says_where_to_look(world: World):
    world.write("cid/s.jsonl", *turns("cid"))
    begun = world.json("sessions", "ingest")
    assert (begun["job"], begun["state"]) == (JOB, "under way")
    assert eventually(
        lambda: [r for r in world.json("history", JOB) if (r["key"], r["outcome"]) == (begun["key"], "ok")]
    )


def test_a_second_run_is_refused_and_recorded_and_ctrl_c_leaves_the_first_one_going(world: World):
    world.write("dan/s.jsonl", *turns("dan"))
    world.slow_while.touch()
    before = datetime.now(UTC)
    first = world.start("sessions", "ingest", "--processor", "slow", "--wait")
    job = "session-processor:slow"
    holder = eventually(
        lambda: [line for line in world.logs().splitlines() if f"{job} batch" in line and "received" in line]
    )
    assert holder, world.logs()
    refused = error_of(world.call("sessions", "ingest", "--processor", "slow"))
    since, _, identity = refused.removeprefix("Error: already running since ").partition("Z: ")
    assert before <= datetime.fromisoformat(since + "+00:00") <= datetime.now(UTC)
    assert identity.startswith(f"{job}/manual-")
    first.send_signal(signal.SIGINT)
    printed = first.communicate(timeout=20)
    assert first.returncode == 130, printed
    assert f"the run goes on; see `celery -A workers history {job}`" in printed[1]
    world.slow_while.unlink()
    ended = eventually(lambda: {r["key"]: r for r in world.json("history", job) if r["outcome"] == "ok"})
    assert ended[identity.removeprefix(f"{job}/")]["detail"]["failed"] == 0
    (skipped,) = [run for run in world.json("history", job) if run["outcome"] == "skipped"]
    assert identity in skipped["error"]


def test_a_run_that_fails_ends_with_one_and_its_reason(world: World):
    world.write("eve/s.jsonl", *turns("eve"))
    done = world.call("sessions", "ingest", "--processor", "broken", "--wait")
    assert done.returncode == 1
    assert done.stdout.startswith("failed (")
    assert "sundial" in done.stdout


def test_a_processor_that_is_not_configured_says_so(world: World):
    done = world.call("sessions", "ingest", "--processor", "verification", "--wait")
    assert done.returncode == 1
    assert done.stdout.startswith("skipped in ")
    assert "not configured: set VERIFICATION_LLM_URL" in done.stdout


def test_a_processor_of_another_package_has_a_job_rows_a_view_and_a_rebuild(world: World):
    world.write("flo/s.jsonl", b'{"type":"user"}\n', b'{"type":"system"}\n', b'{"type":"system"}\n')
    (job,) = [each for each in world.json("plan")["jobs"] if each["name"] == "session-processor:counter"]
    assert job["group"] == "pipeline"
    called = world.shell("from tasks import process_sessions; print(process_sessions.delay('counter').id)").strip()
    assert eventually(lambda: [r for r in world.json("history", job["name"]) if r["run_id"] == called])
    world.ingest("counter")
    shown = world.good("query", "select kind, lines from counter_kinds where username = 'flo' order by kind")
    assert [line.split()[1::2] for line in shown.splitlines()[3:-1]] == [["system", "2"], ["user", "1"]]
    assert world.json("sessions", "verify", "--processor", "counter")["counter"]["differences"] == []


def test_status_tells_what_waits_who_is_in_trouble_and_which_packages_are_broken(world: World):
    world.write("gus/s.jsonl", *turns("gus"), b"bad\n", b"[]\n")
    world.ingest()
    (world.root / "gus" / "out.jsonl").symlink_to("/etc/passwd")
    waiting = world.write("gus/s/subagents/agent-1.jsonl", *turns("gus-agent"))
    standing = world.json("sessions", "status")
    found = standing["status"]
    assert (found["lags"]["usage"]["files"], found["lags"]["usage"]["oldest"]) == (
        1,
        str(waiting.relative_to(world.root)),
    )
    assert found["health"]["usage"] == {"level": "ok", "reason": ""}
    (trouble,) = [each for each in found["overview"]["troubles"] if each["path"] == "gus/s.jsonl"]
    assert (trouble["bad_lines"], trouble["bad_line_numbers"][1] - trouble["bad_line_numbers"][0]) == (2, 1)
    assert found["refused"] == ["gus/out.jsonl"]
    assert standing["not_configured"] == ["verification"]
    assert "No module named" in standing["broken"]["absent"]
    text = world.good("sessions", "status")
    for part in ("│ usage ", "│ ok ", "gus/s.jsonl", "not followed: gus/out.jsonl", "processor absent can't be used"):
        assert part in text
    world.ingest()


def test_a_file_that_fails_is_shown_retried_on_request_and_read(world: World):
    path = world.write("hal/s.jsonl", *turns("hal"))
    world.ingest()
    with duckdb.connect(str(world.warehouse)) as connection:
        connection.execute(
            "update session_files set error = 'no', attempts = 5, quarantined_at = now(), generation = generation + 1 "
            "where path = 'hal/s.jsonl' and processor = 'usage'"
        )
    shown = world.good("sessions", "status")
    assert "quarantined since" in shown
    assert "'ann/s.jsonl' has not failed" in error_of(world.call("sessions", "retry", "ann/s.jsonl"))
    said = world.good("sessions", "retry", str(path))
    assert said == "1 file(s) will be tried again by the next run\n"
    world.ingest()
    assert totals(world)["hal"]["quarantined"] == totals(world)["hal"]["failed"] == 0


def test_a_rebuild_shows_what_the_tables_lack_and_reprocessing_mends_it(world: World):
    world.write("ida/s.jsonl", *turns("ida", 5))
    world.ingest()
    assert world.good("sessions", "verify", "--processor", "usage").endswith(": no difference(s)\n")
    with duckdb.connect(str(world.warehouse)) as connection:
        connection.execute("delete from usage_tool_calls where username = 'ida'")
    done = world.call("sessions", "verify", "--json")
    assert done.returncode == 1, done.stderr
    missing = {each["relation"]: each["missing"] for each in json.loads(done.stdout)["usage"]["differences"]}
    assert missing["usage_tools"] > 0
    assert "│ usage_tools " in world.call("sessions", "verify").stdout
    other = world.json("sessions", "status")["status"]["lags"]["slow"]
    said = world.good("sessions", "reprocess", "--processor", "usage", "ida/s.jsonl")
    assert said == "1 file(s) will be read from their beginning by the next run of usage\n"
    assert world.json("sessions", "status")["status"]["lags"]["slow"] == other
    assert world.ingest()["detail"]["files"] == 1
    world.good("sessions", "verify", "--processor", "usage")


def test_pruning_forgets_the_rows_of_old_files_alone(world: World):
    path = world.write("jan/old.jsonl", *turns("jan"))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    world.ingest()
    assert "jan" in totals(world)
    before = world.good("query", "select count(*) from usage_sessions where username <> 'jan'")
    assert " of 1 file(s) unchanged for 365 d" in world.good("sessions", "prune", "--older-than", "365d")
    assert world.good("query", "select count(*) from usage_sessions where username <> 'jan'") == before
    assert "│ 0 " in world.good("query", "select count(*) from usage_sessions where username = 'jan'")
    assert world.ingest()["detail"]["files"] == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ("ingest", "--processor", "nope"),
            "no session processor is named 'nope'; there are: broken, counter, slow, us",
        ),
        (("reprocess", "--processor", "nope"), "no session processor is named 'nope'"),
        (("reprocess", "--processor", "usage", "no/such.jsonl"), "'no/such.jsonl' is no session file"),
        (("reprocess",), "Missing option '--processor'"),
        (("verify", "--processor", "verification"), "there are: broken, counter, slow, usage"),
        (("prune", "--older-than", "soon"), "'soon' is no age; accepted are 90d, 12h, 30m"),
        (("prune", "--older-than", "0d"), "'0d' is no age"),
        (("prune", "--older-than", "99999999d"), "'99999999d' is no age"),
        (("retry", "no/such.jsonl"), "'no/such.jsonl' has not failed"),
        (("retry", "--timeout", "0"), "0 is not in the range"),
    ],
)
def test_a_mistake_is_one_line(world: World, words, problem):
    assert problem in error_of(world.call("sessions", *words))


@pytest.mark.parametrize("words", [("ingest",), ("retry",), ("prune", "--older-than", "90d")])
def test_without_a_warehouse_worker_nothing_is_done_and_that_is_said(world: World, words):
    elsewhere = world.env["REDIS_URL"].replace("virtual_host=0", "virtual_host=1")
    line = error_of(world.call("sessions", *words, "--timeout", "1", REDIS_URL=elsewhere))
    assert line.startswith("Error: no warehouse worker took it within 1 s, so nothing is done; it runs with `make run`")


def test_without_redis_commands_say_so_and_status_works(world: World):
    away = {"REDIS_URL": f"redis://127.0.0.1:{unused_port()}/0"}
    assert "Redis can't be reached" in error_of(world.call("sessions", "ingest", **away))
    assert world.call("sessions", "status", **away).returncode == 0


def test_the_shell_never_opened_the_warehouse_for_writing(world: World):
    """While a reader has the file open no writer may have it, and the commands that look still answer."""
    with duckdb.connect(str(world.warehouse), read_only=True):
        world.good("sessions", "status")
        world.good("sessions", "verify", "--processor", "usage")
