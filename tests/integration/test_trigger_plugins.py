"""Providers of another package, found by their entry points; one that can't be used leaves beat firing by itself."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tasks.domain.cadence import Once
from tasks.domain.jobs import Job, ProcessSessions
from tests.conftest import ROOT, StartProcess, end_process, eventually
from tests.integration.test_two_beats import CountingApi
from tests.integration.trigger_bench import WORKER, Bench, until
from workers.triggers.base import Desk, RemoteService
from workers.triggers.beat import BeatTrigger
from workers.triggers.choose import start_provider

MODULE = '''
import threading
from datetime import timedelta

from workers.triggers.base import TriggerProvider


class Metronome(TriggerProvider):
    """Asks five times a second whether something is due; trips over everything that is not its work."""

    name = "metronome"
    hold = timedelta(seconds=4)

    def start(self):
        self.ended = threading.Event()
        threading.Thread(target=self.tick, daemon=True).start()

    def tick(self):
        while not self.ended.wait(0.2):
            for job in self.desk.jobs():
                if self.fire_due(job):
                    print(f"metronome fired {job}", flush=True)

    def reconcile(self):
        raise RuntimeError("reconciling is not for me")

    def stop(self):
        self.ended.set()
        raise RuntimeError("stopping is not for me")


class Quiet(Metronome):
    def start(self):
        pass


class Unavailable(Metronome):
    def is_available(self):
        return False


class Raising(Metronome):
    def start(self):
        raise OSError("no such luck")


class Exiting(Metronome):
    def start(self):
        raise SystemExit(1)


class Unfinished(TriggerProvider):
    name = "unfinished"


class Sluggish(Quiet):
    hold = timedelta(days=1)


class NoProvider:
    pass
'''
POINTS = """[escapement.triggers]
metronome = foreign_triggers:Metronome
quiet = foreign_triggers:Quiet
unavailable = foreign_triggers:Unavailable
raising = foreign_triggers:Raising
exiting = foreign_triggers:Exiting
unfinished = foreign_triggers:Unfinished
sluggish = foreign_triggers:Sluggish
odd = foreign_triggers:NoProvider
broken = nowhere_to_be_found:Thing
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed package of providers."""
    site = tmp_path / "site"
    info = site / "foreign_triggers-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "foreign_triggers.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-triggers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    return site


@pytest.fixture
def desk() -> Desk:
    return Desk(jobs=dict, fire=lambda *_: False, now=lambda: datetime.now(UTC))


def test_a_provider_of_another_package_is_used(site: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    provider = start_provider("quiet", desk)
    assert type(provider).__name__ == "Quiet"
    assert provider.desk is desk


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("unavailable", "it is not available"),
        ("raising", "OSError: no such luck"),
        ("exiting", "SystemExit: 1"),
        ("unfinished", "abstract"),
        ("sluggish", "its hold is 1 day"),
        ("odd", "is no subclass of TriggerProvider"),
        ("broken", "No module named"),
        ("metronom", "nobody provides it; known are beat, broken, exiting, external, metronome"),
        ("external", "it is not available"),
    ],
)
def test_what_can_not_be_used_is_replaced_by_beat_with_a_warning(  # noqa: PLR0913, PLR0917 - as pytest has it
    site: Path,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    why: str,
) -> None:
    monkeypatch.syspath_prepend(site)
    unset = RemoteService(problem="not set: SCHEDULER_TRIGGER_URL")
    assert type(start_provider(name, replace(desk, remote=unset))) is BeatTrigger
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert record.getMessage().startswith(f"SCHEDULER_TRIGGER={name} can't be used, beat fires by itself: ")
    assert why in record.getMessage()


def test_the_example_of_the_docs_works() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "triggers.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    fired: list[str] = []
    jobs = {"ping": Job(name="ping", cadence=Once(at=datetime.now(UTC)), action=ProcessSessions(processor="usage"))}
    desk = Desk(jobs=lambda: jobs, fire=lambda job, _: bool(fired.append(job)), now=lambda: datetime.now(UTC))
    provider = names["Metronome"](desk)
    provider.start()
    assert eventually(lambda: fired)
    provider.stop()


@pytest.fixture
def api() -> Iterator[CountingApi]:
    with CountingApi() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def bench(
    clean_env: dict[str, str], redis_url: str, start_process: StartProcess, tmp_path: Path, api: CountingApi
) -> Bench:
    bench = Bench(env=clean_env, redis_url=redis_url, start_process=start_process, api=api, folder=tmp_path)
    bench.start("http", *WORKER)
    return bench


def test_a_real_beat_lets_a_foreign_provider_fire_and_outlives_its_faults(bench: Bench, site: Path) -> None:
    beat = bench.start("beat", "beat", "-l", "info", SCHEDULER_TRIGGER="metronome", PYTHONPATH=str(site))
    assert bench.runs_by("beat", least=4)
    assert bench.every_slot_ran_once()
    assert bench.log("beat").count("metronome fired health-check") >= 4
    assert end_process(beat) == 0
    log = bench.log("beat")
    assert log.count("reconciling is not for me") == 1
    assert "the trigger metronome failed" in log


def test_an_unknown_provider_leaves_a_real_beat_firing(bench: Bench) -> None:
    bench.start("beat", "beat", "-l", "info", SCHEDULER_TRIGGER="metronom")
    until(lambda: "SCHEDULER_TRIGGER=metronom can't be used" in bench.log("beat"))
    assert bench.runs_by("beat", least=2)
    assert bench.every_slot_ran_once()
    assert bench.trigger_status() == "beat: metronom can't be used"
