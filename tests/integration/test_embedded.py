"""The embedded Redis: who can reach it, what it promises, and what is said when there is none."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
import redis
from celery import Celery
from flower.utils.broker import Broker
from kombu import Connection

from tasks.errors import RedisUnavailableError
from workers import embedded


def ask(url: str) -> "redis.Redis[str]":
    return redis.Redis.from_url(embedded.client_url(url), decode_responses=True)


def test_the_address_is_below_data_dir_when_the_path_is_short() -> None:
    assert embedded.embedded_url(Path("/srv/x")) == "redis+socket:///srv/x/redis/redis.sock?virtual_host=0"


@pytest.mark.parametrize("folder", [Path("/srv") / ("deep/" * 30), Path("/srv/with space"), Path("/srv/zeit/für")])
def test_a_path_that_does_not_fit_into_a_socket_address_gets_a_short_private_name(folder: Path) -> None:
    path = embedded.socket_path(folder)
    assert len(os.fsencode(path)) <= 100
    assert path.parent.name == f"escapement-{os.getuid()}"
    assert path == embedded.socket_path(folder)
    assert path != embedded.socket_path(folder / "other")


def test_two_spellings_of_one_folder_share_one_address(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert embedded.socket_path(tmp_path / "link") == embedded.socket_path(tmp_path / "x" / ".." / "data")


def test_addresses_of_other_redis_servers_are_left_as_they_are() -> None:
    assert embedded.client_url("redis://h:6379/3") == "redis://h:6379/3"
    assert embedded.client_url("redis+socket:///a/b.sock?virtual_host=3") == "unix:///a/b.sock?db=3"
    assert embedded.client_url("redis+socket:///a/b.sock") == "unix:///a/b.sock?db=0"


def test_it_keeps_everything_and_has_no_tcp_port(tmp_path: Path) -> None:
    with embedded.embedded_redis(tmp_path) as url, ask(url) as client:
        for name, value in {"port": "0", "appendonly": "yes", "maxmemory-policy": "noeviction"}.items():
            assert client.config_get(name) == {name: value}
        path = embedded.socket_path(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["data", "a folder with spaces", "deep/" * 30])
def test_what_was_written_survives_a_restart(tmp_path: Path, name: str) -> None:
    with embedded.embedded_redis(tmp_path / name) as url, ask(url) as client:
        client.set("tooth", "7")
    with embedded.embedded_redis(tmp_path / name) as url, ask(url) as client:
        assert client.get("tooth") == "7"


def test_broker_results_and_flowers_broker_page_take_the_address(redis_socket_url: str) -> None:
    with Connection(redis_socket_url) as connection:
        queue = connection.SimpleQueue("http")
        queue.put({"tooth": 7})
        lengths = asyncio.run(Broker(redis_socket_url).queues(["http"]))
        assert lengths == [{"name": "http", "messages": 1}]
        assert queue.get(timeout=5).payload == {"tooth": 7}
    backend = Celery(broker=redis_socket_url, backend=redis_socket_url).backend
    backend.store_result("id", "done", "SUCCESS")
    assert backend.get_result("id") == "done"


def test_both_addresses_of_the_test_server_are_one_redis(redis_url: str, redis_socket_url: str) -> None:
    ask(redis_url).set("a", "b")
    assert ask(redis_socket_url).get("a") == "b"


def test_without_any_server_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RedisUnavailableError, match=r"redis-server or valkey-server, or set REDIS_URL"):
        embedded.redis_executable()


def test_a_server_on_the_path_is_used_unless_it_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    server = tmp_path / "valkey-server"
    server.write_text("#!/bin/sh\necho Valkey server v=8.1.3 sha=0\n")
    server.chmod(0o755)
    assert embedded.redis_executable() == server
    server.write_text("#!/bin/sh\necho Redis server v=5.0.14 sha=0\n")
    with pytest.raises(RedisUnavailableError, match=r"is Redis 5\.0; 6\.2 or newer"):
        embedded.redis_executable()


def test_a_server_that_never_answers_is_an_error_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(RedisUnavailableError, match=r"does not answer after 0\.1 s"):
        embedded.wait_until_ready(embedded.embedded_url(tmp_path), seconds=0.1)


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "TEMPORARY", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"escapement-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RedisUnavailableError, match="belongs to another user"):
        embedded.prepare_folders(tmp_path / "with space")
