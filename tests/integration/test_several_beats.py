"""Two and three beats that die at every step of a slot's way: no slot is lost and none runs twice."""

import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from tasks.adapters.claims import RedisClaims, RedisLedger
from tasks.adapters.ledger_schedules import RedisSchedules
from tasks.domain.cadence import Interval
from tasks.domain.claims import Lease, LedgerEntry, Terms
from tasks.domain.outcomes import Launch, Outcome, Run, Source
from tasks.domain.slots import parse_slot, slot_text
from tests.conftest import StartProcess, eventually

KILLS = 50
JOBS = 240
EVERY = timedelta(seconds=8)


@dataclass(kw_only=True)
class Worker:
    """Takes messages from the queue and runs each slot that its claim gives it: an effect is a line in `ran`."""

    client: "redis.Redis[str]"
    messages: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)

    def work(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.client.blpop(["http"], timeout=0.2)
            if found is not None:
                self._run(json.loads(found[1])["headers"])

    def _run(self, headers: Mapping[str, str]) -> None:
        slot = parse_slot(headers["slot"])
        launch = Launch(job=headers["job"], key=headers["slot"], slot=slot, source=Source.BEAT, run_id=headers["id"])
        self.messages[launch.identity] += 1
        claims = RedisClaims(self.client)
        lease = claims.claim(launch, Terms(window_end=parse_slot(headers["window_end"])), worker="test")
        if isinstance(lease, Lease):
            self.ran[launch.identity] += 1
            done = Run(
                job=launch.job,
                key=launch.key,
                slot=slot,
                source=launch.source,
                run_id=launch.run_id,
                outcome=Outcome.OK,
            )
            claims.record(lease, done)


@pytest.fixture
def worker(redis_url: str) -> Iterator[Worker]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Worker(client=client)


def cadence(number: int) -> Interval:
    return Interval(every=EVERY, phase=EVERY / JOBS * number // timedelta(milliseconds=1) * timedelta(milliseconds=1))


def jobs_file(folder: Path) -> str:
    entries = (f'[[jobs]]\nname = "job-{n}"\nschedule = "{cadence(n)}"\npath = "/"\n' for n in range(JOBS))
    file = folder / "jobs.toml"
    file.write_text("\n".join(entries))
    return str(file)


@pytest.fixture
def env(clean_env: dict[str, str], redis_url: str, tmp_path: Path) -> dict[str, str]:
    return clean_env | {
        "REDIS_URL": redis_url,
        "SCHEDULER_JOBS_FILE": jobs_file(tmp_path),
        "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
        "SCHEDULER_COPRIME": "off",
    }


@pytest.mark.parametrize("beats", [2, 3])
def test_beats_that_are_killed_at_every_step_lose_no_slot_and_double_none(
    beats: int, env: dict[str, str], worker: Worker, start_process: StartProcess, tmp_path: Path
) -> None:
    seed = random.randrange(1_000_000)
    command = ("-m", "tests.integration.dying_beats", str(beats), str(KILLS), str(seed))
    process = start_process("beats", sys.executable, *command, env=env)
    log = tmp_path / "beats.log"
    for _ in range(150):
        worker.work(0.5)
        if killed(log) >= KILLS or process.poll() is not None:
            break
    worker.work(EVERY.total_seconds())
    began, ended = beginning(worker.client), datetime.now(UTC) - timedelta(seconds=4)
    process.terminate()
    worker.work(3)

    outcomes = recorded(worker.client)
    expected = [f"job-{n}/{slot_text(slot)}" for n in range(JOBS) for slot in cadence(n).slots_between(began, ended)]
    lost = [each for each in expected if each not in outcomes]
    doubled = [each for each, times in worker.ran.items() if times > 1]
    report = (
        f"{beats} beats, seed {seed}: {killed(log)} kills, {len(expected)} slots, {dict(Counter(outcomes.values()))}"
    )
    sys.stdout.write(f"{report}, lost {len(lost)}, doubled {len(doubled)}\n")
    assert killed(log) >= KILLS, log.read_text()[-2000:]
    assert len(expected) > JOBS
    assert (lost, doubled) == ([], []), report
    assert {outcomes[each] for each in expected} == {Outcome.OK}


def killed(log: Path) -> int:
    return max((int(number) for number in re.findall(r"killed (\d+)", log.read_text())), default=0)


def beginning(client: "redis.Redis[str]") -> datetime:
    """The instant from which on slots are expected: when the first beat saw the jobs."""
    sinces = client.hgetall("escapement:sinces")
    assert RedisSchedules(client).taken_care_of().keys() >= sinces.keys()
    return max(datetime.fromtimestamp(int(since) / 1e6, UTC) for job, since in sinces.items() if job.startswith("job-"))


def recorded(client: "redis.Redis[str]") -> dict[str, Outcome]:
    entries = RedisLedger(client).read("0", 1_000_000)
    runs = [each.run for each in entries if isinstance(each, LedgerEntry)]
    return {f"{run.job}/{run.key}": run.outcome for run in runs}


def test_two_beats_of_one_name_have_a_row_each_and_say_so(
    env: dict[str, str], redis_client: "redis.Redis[bytes]", start_process: StartProcess, tmp_path: Path
) -> None:
    for number in (1, 2):
        start_process(f"beat{number}", "celery", "-A", "workers", "beat", "-l", "info", env=env)
    names = eventually(lambda: found if len(found := redis_client.keys("escapement:beat:*")) == 2 else [])
    assert len({*names}) == 2
    logs = "".join((tmp_path / f"beat{number}.log").read_text() for number in (1, 2))
    assert logs.count("give each its own name") == 1
