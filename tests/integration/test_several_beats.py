"""Two and three beats that die at every step of a slot's way: no slot is lost and none runs twice."""

import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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
SETTLED = timedelta(seconds=4)


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


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of the slots of one scene."""

    expected: int
    kills: int
    outcomes: Counter[Outcome]
    lost: list[str]
    doubled: list[str]


def judge(worker: Worker, log: Path, ended: datetime) -> Judged:
    began, outcomes = beginning(worker.client), recorded(worker.client)
    expected = [f"job-{n}/{slot_text(slot)}" for n in range(JOBS) for slot in cadence(n).slots_between(began, ended)]
    return Judged(
        expected=len(expected),
        kills=killed(log),
        outcomes=Counter(outcomes[each] for each in expected if each in outcomes),
        lost=[each for each in expected if each not in outcomes],
        doubled=[each for each, times in worker.ran.items() if times > 1],
    )


@pytest.mark.parametrize("beats", [2, 3])
def test_beats_that_are_killed_all_the_time_lose_no_slot_and_double_none(
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
    ended = datetime.now(UTC) - SETTLED
    process.terminate()
    worker.work(3)
    found = judge(worker, log, ended)
    assert found.kills >= KILLS, log.read_text()[-2000:]
    assert found.expected > JOBS
    assert (found.lost, found.doubled) == ([], []), f"seed {seed}: {found}"
    assert set(found.outcomes) == {Outcome.OK}, f"seed {seed}: {found.outcomes}"


def test_the_last_beat_takes_over_from_others_that_died_at_any_step(
    env: dict[str, str], redis_url: str, start_process: StartProcess, tmp_path: Path
) -> None:
    """Eight scenes at once, each in a database of its own: two and three beats, each of the four steps."""
    with ThreadPoolExecutor(8) as pool:
        scenes = {
            (beats, step): pool.submit(
                last_one, f"{redis_url[:-1]}{1 + step + 4 * (beats - 2)}", beats, step, env, start_process
            )
            for beats in (2, 3)
            for step in range(4)
        }
        found = {scene: each.result() for scene, each in scenes.items()}
    assert {scene: each.kills for scene, each in found.items()} == {scene: scene[0] - 1 for scene in found}
    assert {scene: (each.lost, each.doubled) for scene, each in found.items() if each.lost or each.doubled} == {}
    assert {outcome for each in found.values() for outcome in each.outcomes} == {Outcome.OK}


def last_one(url: str, beats: int, step: int, env: dict[str, str], start_process: StartProcess) -> Judged:
    name, folder = f"scene-{beats}-{step}", Path(env["DATA_DIR"]).parent
    command = ("-m", "tests.integration.dying_beats", str(beats), "0", str(step), str(step))
    process = start_process(name, sys.executable, *command, env=env | {"REDIS_URL": url})
    log = folder / f"{name}.log"
    with redis.Redis.from_url(url, decode_responses=True) as client:
        worker = Worker(client=client)
        for _ in range(60):
            worker.work(0.5)
            if killed(log) == beats - 1:
                break
        worker.work(SETTLED.total_seconds() + 2)
        ended = datetime.now(UTC) - SETTLED
        process.terminate()
        worker.work(1)
        return judge(worker, log, ended)


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
