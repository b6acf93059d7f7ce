"""The callback route in a real Flower that has a sign-in: its answers, and that nothing else became open."""

import base64
import json
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from urllib.parse import quote

import httpx
import pytest
import redis

from tasks.adapters.claims import RedisClaims
from tasks.adapters.schedule_store import RedisScheduleStore
from tasks.domain.schedules import Schedule
from tasks.domain.slots import slot_text
from tasks.domain.stored import Wish, paused
from tests.conftest import ROOT, end_process, environment, eventually, kill_marked, unused_port
from tests.integration.trigger_bench import JOB, trigger_env
from tests.trigger_service import Signer

EVERY = timedelta(seconds=2)
StartFlower = Callable[..., str]


@dataclass(frozen=True, kw_only=True)
class Site:
    """One Flower, and how the service would call it."""

    url: str
    signer: Signer
    client: "redis.Redis[str]"

    def call(self, job: str, slot: str, mode: str = "normal") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.signer.token(job, slot, mode)}"}
        address = f"{self.url}/escapement/trigger/{quote(job, safe='')}/{quote(slot, safe='')}"
        return httpx.post(address, headers=headers, timeout=30)

    def queued(self) -> list[dict[str, object]]:
        """The headers of the messages that wait for a worker, oldest first."""
        return [json.loads(each)["headers"] for each in reversed(self.client.lrange("http", 0, -1))]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="module")
def start_flower(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Iterator[StartFlower]:
    """Start Flowers with a sign-in, each with its own settings; they end with the module."""
    started, folder = [], tmp_path_factory.mktemp("flower")
    mark = folder.name + str(unused_port())
    key = folder / "trigger.pem"
    key.write_bytes(signer.pem)

    def start(redis_url: str, **more: str) -> str:
        port = unused_port()
        env = environment(folder, mark) | trigger_env(key, service="http://127.0.0.1:9", flower_port=port)
        env |= {"REDIS_URL": redis_url, "FLOWER_BASIC_AUTH": "me:sesame", "SCHEDULER_HEALTH_CHECK_INTERVAL": "2"}
        env |= {"SCHEDULER_TICK_SECONDS": "1"} | more
        command = ("celery", "-A", "workers", "flower", "--conf=workers/flower/config.py")
        with Path(folder / f"{port}.log").open("w") as log:
            env = {name: value for name, value in env.items() if value}
            started.append(
                subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, text=True)
            )
        url = f"http://127.0.0.1:{port}"
        assert eventually(lambda: _answers(url), 60), (folder / f"{port}.log").read_text()
        return url

    yield start
    for process in started:
        end_process(process)
    kill_marked(mark)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/metrics").status_code in {200, 404}
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def site(start_flower: StartFlower, redis_server: tuple[str, str], signer: Signer) -> Iterator[Site]:
    address = redis_server[0].removesuffix("/0") + "/1"
    with redis.Redis.from_url(address, decode_responses=True) as client:
        client.flushdb()
        RedisClaims(client).open()
        yield Site(url=start_flower(address), signer=signer, client=client)


@pytest.fixture
def slot() -> str:
    """A slot that came due a moment ago, and not before this test."""
    before = datetime.now(UTC)
    upcoming = before + EVERY - timedelta(seconds=before.timestamp() % EVERY.total_seconds())
    sleep((upcoming - datetime.now(UTC)).total_seconds() + 0.05)
    return slot_text(upcoming.replace(microsecond=0))


def test_a_slot_is_sent_once_and_gone_afterwards(site: Site, slot: str) -> None:
    before = len(site.queued())
    first, second = site.call(JOB, slot), site.call(JOB, slot)
    assert (first.status_code, first.json()) == (202, {"slot": "dispatched"})
    assert (second.status_code, second.json()) == (200, {"slot": "gone"})
    (message,) = site.queued()[before:]
    assert (message["job"], message["slot"], message["source"]) == (JOB, slot, "webhook")


def test_of_many_callbacks_at_once_one_gets_the_slot(site: Site, slot: str) -> None:
    before = len(site.queued())
    with ThreadPoolExecutor(12) as threads:
        answers = Counter(each.status_code for each in threads.map(lambda _: site.call(JOB, slot), range(24)))
    assert answers == {202: 1, 200: 23}
    assert len(site.queued()) == before + 1


@pytest.mark.parametrize("mode", ["alg-none", "hs256", "other-key", "other-algorithm", "other-audience", "expired"])
def test_a_wrong_token_is_refused_and_nothing_is_sent(site: Site, slot: str, mode: str) -> None:
    before = len(site.queued())
    answer = site.call(JOB, slot, mode)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert len(site.queued()) == before


def test_the_sign_in_of_flower_does_not_open_the_route(site: Site, slot: str) -> None:
    answer = httpx.post(f"{site.url}/escapement/trigger/{JOB}/{slot}", auth=("me", "sesame"))
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-11-20T21:45:00", "2026-11-20T22:45:00+01:00", "2026-11-20T21:45:00.0Z"]
)
def test_a_slot_that_is_not_spelled_as_one_is_a_bad_request(site: Site, text: str) -> None:
    assert site.call(JOB, text).status_code == 400


def test_what_is_no_slot_any_more_is_gone(site: Site, slot: str) -> None:
    due = datetime.fromisoformat(slot)
    between, too_late = slot_text(due - timedelta(seconds=1)), slot_text(due - timedelta(hours=1))
    calls = [(JOB, between), (JOB, too_late), ("nobody", slot), ("marketplaces", slot)]
    assert [(each.status_code, each.json()["slot"]) for each in (site.call(*call) for call in calls)] == [
        (200, "gone")
    ] * len(calls)


def test_slots_of_a_pause_are_gone_and_those_after_it_are_sent(site: Site, slot: str) -> None:
    store = RedisScheduleStore(site.client)
    schedule = Schedule(job=JOB, cadence="every 2s")
    pause = paused(schedule, "for a test")
    store.change(Wish(schedule=pause, replaces=None))
    during = slot_text(datetime.fromisoformat(slot) + EVERY)
    assert [site.call(JOB, each).json() for each in (slot, during)] == [{"slot": "gone"}] * 2
    store.change(Wish(schedule=schedule, replaces=pause))
    assert site.call(JOB, during).json() == {"slot": "gone"}
    assert site.call(JOB, slot_text(datetime.fromisoformat(during) + EVERY)).status_code == 202


def test_a_callback_that_comes_too_early_is_to_come_again(site: Site, slot: str) -> None:
    ahead = datetime.fromisoformat(slot) + timedelta(hours=1)
    answer = site.call(JOB, slot_text(ahead))
    assert answer.status_code == 503
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600


def test_a_callback_that_comes_a_moment_early_waits_for_its_slot(site: Site, slot: str) -> None:
    ahead = datetime.fromisoformat(slot) + EVERY
    assert site.call(JOB, slot_text(ahead)).status_code == 202
    dispatched = site.queued()[-1]["dispatched_at"]
    assert datetime.fromisoformat(str(dispatched)) >= ahead


def test_the_route_takes_posts_only(site: Site, slot: str) -> None:
    assert httpx.get(f"{site.url}/escapement/trigger/{JOB}/{slot}").status_code == 405


def test_everything_else_in_flower_is_as_closed_as_before(site: Site) -> None:
    assert httpx.get(f"{site.url}/workers").status_code == 401
    assert httpx.post(f"{site.url}/api/task/async-apply/tasks.call_endpoint", json={}).status_code == 401
    credentials = base64.b64encode(b"me:sesame").decode()
    headers = {"Authorization": f"Basic {credentials}", "Sec-Fetch-Site": "cross-site"}
    assert httpx.post(f"{site.url}/api/worker/shutdown/x", headers=headers).status_code == 403
    assert httpx.get(f"{site.url}/workers", headers={"Authorization": f"Basic {credentials}"}).status_code == 200


def test_without_redis_the_service_is_asked_to_come_again(start_flower: StartFlower, signer: Signer, slot: str) -> None:
    url = start_flower(f"redis://127.0.0.1:{unused_port()}/0")
    away = Site(url=url, signer=signer, client=redis.Redis())
    answer = away.call(JOB, slot)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_a_redis_that_never_answers_does_not_keep_the_service_waiting_for_ever(
    start_flower: StartFlower, signer: Signer, slot: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = start_flower(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        answers = [Site(url=url, signer=signer, client=redis.Redis()).call(JOB, slot) for _ in range(2)]
    assert [each.status_code for each in answers] == [503, 503]
    assert all(int(each.headers["Retry-After"]) > 0 for each in answers)


def test_flower_below_a_path_prefix_is_called_there(
    start_flower: StartFlower, redis_server: tuple[str, str], signer: Signer, slot: str
) -> None:
    url = start_flower(redis_server[0], FLOWER_URL_PREFIX="some/where")
    there = Site(url=f"{url}/some/where", signer=signer, client=redis.Redis())
    assert there.call("nobody", slot).json() == {"slot": "gone"}
    assert Site(url=url, signer=signer, client=redis.Redis()).call("nobody", slot).status_code == 404


def test_without_a_key_everything_is_refused(
    start_flower: StartFlower, redis_server: tuple[str, str], signer: Signer, slot: str
) -> None:
    url = start_flower(redis_server[0], SCHEDULER_TRIGGER_PUBLIC_KEY="")
    assert Site(url=url, signer=signer, client=redis.Redis()).call(JOB, slot).status_code == 401
