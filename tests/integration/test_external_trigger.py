"""Slots that a remote service calls: Flower, a worker and a beat as real processes, the service in its own."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import redis

from tasks.adapters.schedule_store import RedisScheduleStore
from tasks.domain.stored import Wish, paused
from tests.conftest import StartProcess, unused_port
from tests.integration.test_two_beats import CountingApi
from tests.integration.trigger_bench import JOB, Bench, gaps, trigger_env, until
from tests.trigger_service import API_KEY, Service, running_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path, unused_port()) as service:
        yield service


@pytest.fixture
def api() -> Iterator[CountingApi]:
    with CountingApi() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def bench(  # noqa: PLR0913, PLR0917 - everything that runs
    clean_env: dict[str, str],
    redis_url: str,
    start_process: StartProcess,
    tmp_path: Path,
    service: Service,
    api: CountingApi,
    free_port: int,
) -> Bench:
    env = clean_env | trigger_env(service.public_key, service=service.url, flower_port=free_port)
    bench = Bench(env=env, redis_url=redis_url, start_process=start_process, api=api, folder=tmp_path)
    bench.start_all()
    return bench


def statuses(service: Service, mode: str) -> dict[tuple[object, object], Counter[object]]:
    """What came back for each slot that was called in a mode."""
    found: dict[tuple[object, object], Counter[object]] = {}
    for call in service.calls():
        if call["mode"] == mode:
            found.setdefault((call["job"], call["slot"]), Counter())[call["status"]] += 1
    return found


def test_every_slot_is_called_and_runs_once_however_often_it_is_called(bench: Bench, service: Service) -> None:
    assert bench.runs_by("webhook", least=4)
    service.behave("twice")
    assert bench.runs_by("webhook", after=bench.newest(), least=4)
    until(lambda: any(sum(each.values()) == 2 for each in statuses(service, "twice").values()))
    assert bench.every_slot_ran_once()
    called = statuses(service, "twice")
    assert all(each[202] <= 1 for each in called.values())
    assert Counter({202: 1, 200: 1}) in called.values()
    for log in ("beat", "flower", "http"):
        assert API_KEY not in bench.log(log)
        assert "eyJ" not in bench.log(log)


def test_a_service_that_is_gone_makes_slots_late_and_loses_none(bench: Bench, service: Service) -> None:
    assert bench.runs_by("webhook", least=2)
    service.process.kill()
    swept = bench.runs_by("beat", least=3)
    assert all(run["lateness_s"] >= 5 for run in swept)
    until(lambda: "can't be reached" in bench.log("beat"))
    assert bench.log("beat").count("the trigger external: it can't be reached") == 1
    assert bench.trigger_status() == "external: it can't be reached: ConnectError"
    assert bench.every_slot_ran_once()


def test_what_is_called_wrongly_late_or_never_is_swept(bench: Bench, service: Service) -> None:
    assert bench.runs_by("webhook", least=1)
    for mode in ("alg-none", "hs256", "expired"):
        before = bench.newest()
        service.behave(mode)
        assert bench.runs_by("beat", after=before, least=1)
        assert {status for each in statuses(service, mode).values() for status in each} == {401}
    service.behave("late")
    until(lambda: len(statuses(service, "late")) >= 2)
    assert {status for each in statuses(service, "late").values() for status in each} == {200}
    service.behave("never")
    assert bench.runs_by("beat", after=bench.newest(), least=2)
    service.behave("normal")
    assert bench.runs_by("webhook", after=bench.newest(), least=2)
    assert bench.every_slot_ran_once()


def test_what_the_service_forgot_is_armed_again(bench: Bench, service: Service) -> None:
    until(lambda: len(service.armed()) >= 50)
    service.drop_everything()
    until(lambda: len(service.armed()) >= 50)
    assert {job for job, _ in service.armed()} == {JOB}


def test_armed_callbacks_follow_a_pause_and_without_flower_slots_are_swept(bench: Bench, service: Service) -> None:
    until(lambda: len(service.armed()) >= 50)
    with redis.Redis.from_url(bench.redis_url, decode_responses=True) as client:
        store = RedisScheduleStore(client)
        known = store.find(JOB)
        assert known is not None
        pause = paused(known.schedule, "for a test")
        assert store.change(Wish(schedule=pause, replaces=known.schedule))
        until(lambda: service.armed() == set(), 10)
        assert store.change(Wish(schedule=known.schedule, replaces=pause))
        until(lambda: len(service.armed()) >= 50, 10)
    bench.processes["flower"].kill()
    assert bench.runs_by("beat", after=bench.newest(), least=2)
    assert set(bench.api.keys.values()) == {1}


def test_callbacks_need_no_beat_and_the_next_beat_settles_what_was_not_called(bench: Bench, service: Service) -> None:
    assert bench.runs_by("webhook", least=2)
    bench.processes["beat"].kill()
    assert bench.runs_by("webhook", after=bench.newest(), least=3)
    service.behave("never")
    armed = len(service.armed())
    until(lambda: len(service.armed()) <= armed - 3)
    service.behave("normal")
    assert bench.runs_by("webhook", after=bench.newest(), least=3)
    bench.start("next-beat", "beat", "-l", "info")
    until(lambda: gaps([run["key"] for run in bench.runs()]) == [])

    runs = bench.runs()
    outcomes = {f"{run['job']}/{run['key']}": run["outcome"] for run in runs}
    assert len(outcomes) == len(runs)
    assert {key for key, outcome in outcomes.items() if outcome == "ok"} == set(bench.api.keys)
    assert set(bench.api.keys.values()) == {1}
    assert 2 <= list(outcomes.values()).count("missed") <= 4
    assert set(outcomes.values()) == {"ok", "missed"}
