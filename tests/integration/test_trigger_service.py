"""The external provider against its service: what is armed follows what is due."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.domain.cadence import Interval
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.slots import slot_text
from tests.conftest import eventually, unused_port
from tests.trigger_service import API_KEY, Service, running_service
from workers.triggers.base import Desk, RemoteService
from workers.triggers.external import ExternalTrigger
from workers.triggers.host import Reconciler
from workers.triggers.remote import RemoteServiceError

CALLBACK = "http://127.0.0.1:9/flower"
NOW = datetime(2099, 1, 1, tzinfo=UTC)


def job(name: str, minutes: int) -> Job:
    call = HttpCall(method=Method.GET, url="/", timeout=1)
    return Job(name=name, cadence=Interval(every=timedelta(minutes=minutes)), action=call)


@dataclass(kw_only=True)
class Table:
    """A table of jobs that changes."""

    service: Service
    jobs: dict[str, Job] = field(default_factory=lambda: {"a:b.c": job("a:b.c", 20)})

    def provider(self, **other: str) -> ExternalTrigger:
        remote = RemoteService(url=f"{self.service.url}/v1/", callback_url=CALLBACK, api_key=API_KEY)
        desk = Desk(jobs=lambda: self.jobs, fire=lambda *_: False, now=lambda: NOW, remote=replace(remote, **other))
        return ExternalTrigger(desk)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with running_service(tmp_path, unused_port()) as service:
        yield Table(service=service)


def slots(name: str, *minutes: int) -> set[tuple[str, str]]:
    return {(name, slot_text(NOW + timedelta(minutes=each))) for each in minutes}


def test_what_is_due_is_armed_once(table: Table) -> None:
    provider = table.provider()
    provider.reconcile()
    provider.reconcile()
    assert table.service.armed() == slots("a:b.c", 20, 40, 60)
    assert table.service.told()["provisions"] == 3


def test_a_changed_table_is_followed(table: Table) -> None:
    provider = table.provider()
    provider.reconcile()
    table.jobs = {"a:b.c": job("a:b.c", 30), "new": job("new", 60)}
    provider.reconcile()
    assert table.service.armed() == slots("a:b.c", 30, 60) | slots("new", 60)
    table.jobs = {}
    provider.reconcile()
    assert table.service.armed() == set()


def test_what_was_dropped_is_armed_again(table: Table) -> None:
    provider = table.provider()
    provider.reconcile()
    table.service.drop_everything()
    provider.reconcile()
    assert len(table.service.armed()) == 3


def test_callbacks_of_other_deployments_are_left_alone(table: Table) -> None:
    slot = slot_text(NOW + timedelta(minutes=1))
    table.service.put("theirs", slot, "http://elsewhere/escapement/trigger/theirs/x")
    table.provider().reconcile()
    assert ("theirs", slot) in table.service.armed()


def test_a_service_that_fails_is_named_without_its_address_and_without_the_key(table: Table) -> None:
    table.service.behave("refuse")
    with pytest.raises(RemoteServiceError, match=r"^it answers HTTP 500$"):
        table.provider().reconcile()
    with pytest.raises(RemoteServiceError, match=r"^it answers HTTP 401$"):
        table.provider(api_key="another").reconcile()
    with pytest.raises(RemoteServiceError, match=r"^it can't be reached: ConnectError$"):
        table.provider(url=f"http://127.0.0.1:{unused_port()}").reconcile()
    assert API_KEY not in repr(table.provider().desk)


def test_a_change_is_followed_at_once_and_an_outage_is_said_once(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    table.service.behave("refuse")
    reconciler = Reconciler(table.provider())
    reconciler.start()
    assert eventually(lambda: "it answers HTTP 500" in caplog.text)
    reconciler.look()
    table.service.behave("normal")
    assert eventually(lambda: reconciler.look() or table.service.armed() == slots("a:b.c", 20, 40, 60))
    table.jobs = {"a:b.c": job("a:b.c", 60)}
    reconciler.look()
    assert eventually(lambda: table.service.armed() == slots("a:b.c", 60))
    reconciler.stop()
    assert not reconciler.is_alive()
    assert caplog.text.count("it answers HTTP 500") == 1
    assert caplog.text.count("works again") == 1
