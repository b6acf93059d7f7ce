"""What a claim costs: `python benchmarks/claims.py`. Everything in one run, ratios first.

Throughput of slots that do nothing through `run_once`, as a share of a bare Celery task on the same worker (threads,
real Redis), in turns; commands that Redis got for each; latency of a claim; two processes that race for 10,000 slots.
"""

import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import redis

from tasks.adapters.claims import RedisClaims
from tasks.domain.claims import Lease, Terms
from tasks.domain.outcomes import Launch, Outcome, Result, Source
from tasks.domain.policies import Overlap
from tasks.domain.slots import slot_text
from tasks.run_once import ended
from workers.embedded import client_url, embedded_redis

HERE = Path(__file__).parent
TASKS = 3_000
ROUNDS = 5
LATENCIES = 5_000
SLOTS = 10_000
RACERS = 2
BEGIN = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
TERMS = Terms(overlap=Overlap.ALLOW)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, embedded_redis(Path(folder) / "data") as url:
        os.environ |= {"DATA_DIR": f"{folder}/data", "ESCAPEMENT_ENV_FILE": "", "BENCHMARK_FOLDER": folder}
        client = redis.Redis.from_url(client_url(url), decode_responses=True)
        print(f"{os.cpu_count()} cores, Redis {client.info('server')['redis_version']}, {TASKS} tasks a phase")
        throughput(client, Path(folder))
        latency(client)
        race(client, url)


def throughput(client: "redis.Redis[str]", folder: Path) -> None:
    rates: dict[str, list[float]] = {"bare": [], "run_once": []}
    cpu: dict[str, list[float]] = {"bare": [], "run_once": []}
    commands: dict[str, Counter[str]] = {}
    with worker(folder) as process:
        for number in range(ROUNDS + 1):
            for kind, measured in rates.items():
                rate, spent, got = phase(client, folder, process, kind, number)
                if number:
                    measured.append(rate)
                    cpu[kind].append(spent)
                commands[kind] = got
    for kind, measured in rates.items():
        rate, spent = statistics.median(measured), statistics.median(cpu[kind])
        print(f"{kind:8} {rate:6.0f} tasks/s, {spent * 1e3:.3f} ms CPU of the worker a task (median of {ROUNDS})")
    shares = [one / bare for one, bare in zip(rates["run_once"], rates["bare"], strict=True)]
    leaner = [bare / one for one, bare in zip(cpu["run_once"], cpu["bare"], strict=True)]
    print(f"throughput of run_once is {statistics.median(shares):.1%} of bare ({min(shares):.1%} to {max(shares):.1%})")
    print(f"by CPU of the worker, it would be {statistics.median(leaner):.1%} ({min(leaner):.1%} to {max(leaner):.1%})")
    ours = {name: (commands["run_once"][name] - commands["bare"][name]) / TASKS for name in commands["run_once"]}
    print(
        "commands of a run that a bare task has not:",
        {name: round(each, 2) for name, each in ours.items() if each > 0.05},
    )
    print(
        "commands of a bare task:",
        {name: round(count / TASKS, 2) for name, count in commands["bare"].items() if count > TASKS / 20},
    )


@contextmanager
def worker(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = ["-A", "claims_worker", "worker", "-Q", "http", "-P", "threads", "-c", "8", "-l", "warning"]
    celery = str(Path(sys.executable).with_name("celery"))
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path, "SCHEDULER_API_TOKEN": "none"}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen([celery, *command], env=env, stdout=log, stderr=log)
    try:
        time.sleep(4)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def phase(
    client: "redis.Redis[str]", folder: Path, process: "subprocess.Popen[bytes]", kind: str, number: int
) -> tuple[float, float, Counter[str]]:
    """Fill the queue while the worker sleeps, then let it run.

    Returns tasks per second, CPU seconds of the worker a task, and the commands that Redis got.
    """
    from claims_worker import app

    app.loader.import_default_modules()
    name = f"{kind}-{number}"
    task = app.tasks["benchmark.bare" if kind == "bare" else "tasks.call_endpoint"]
    process.send_signal(signal.SIGSTOP)
    with app.producer_pool.acquire() as producer:
        for index in range(TASKS):
            slot = slot_text(BEGIN + timedelta(seconds=number * TASKS + index))
            headers = {"slot": slot, "source": Source.BEAT, "expected": TASKS, "phase": name}
            task.apply_async(("nothing",), task_id=f"{name}-{index}", headers=headers, producer=producer)
    before, began = asked(client), cpu_seconds(process)
    process.send_signal(signal.SIGCONT)
    result = folder / f"{name}.json"
    while not result.exists():
        time.sleep(0.02)
    rate: float = json.loads(result.read_text())["per_second"]
    return rate, (cpu_seconds(process) - began) / TASKS, asked(client) - before


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def asked(client: "redis.Redis[str]") -> Counter[str]:
    stats: dict[str, Any] = client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()})


def launch_of(index: int, job: str) -> Launch:
    slot = BEGIN + timedelta(seconds=index)
    return Launch(job=job, key=slot_text(slot), slot=slot, source=Source.BEAT, run_id=str(index))


def run_all(claims: RedisClaims, job: str, count: int, worker_name: str) -> tuple[list[float], int]:
    """Claim and record every slot; returns the seconds of each claim and how many were won."""
    seconds, won = [], 0
    for index in range(count):
        began = time.perf_counter()
        lease = claims.claim(launch_of(index, job), TERMS, worker=worker_name)
        seconds.append(time.perf_counter() - began)
        if isinstance(lease, Lease):
            won += 1
            claims.record(lease, ended(lease, BEGIN, BEGIN, Result(outcome=Outcome.OK), worker_name))
    return seconds, won


def latency(client: "redis.Redis[str]") -> None:
    seconds, _ = run_all(RedisClaims(client), "latency", LATENCIES, "one")
    p = statistics.quantiles(seconds, n=100)
    print(f"claim: p50 {p[49] * 1e3:.2f} ms, p99 {p[98] * 1e3:.2f} ms ({LATENCIES} claims, one at a time)")


def race(client: "redis.Redis[str]", url: str) -> None:
    recorded = client.xlen("escapement:ledger")
    with multiprocessing.get_context("spawn").Pool(RACERS) as pool:
        won = pool.starmap(racer, [(url, f"racer-{number}") for number in range(RACERS)])
    recorded = client.xlen("escapement:ledger") - recorded
    print(f"race: {RACERS} processes, {SLOTS} slots, won {' + '.join(map(str, won))}, {recorded} runs recorded")
    assert sum(won) == recorded == SLOTS


def racer(url: str, name: str) -> int:
    client = redis.Redis.from_url(client_url(url), decode_responses=True)
    ready = client.incr("racers")
    while ready < RACERS:
        ready = int(client.get("racers") or 0)
    return run_all(RedisClaims(client), "race", SLOTS, name)[1]


if __name__ == "__main__":
    main()
