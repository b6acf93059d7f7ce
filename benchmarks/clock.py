"""The clock beside its peers: lateness, CPU, memory, start and changes of one beat, on one Redis, in one run.

    python benchmarks/clock.py [--jobs 10000] [--every 50] [--seconds 60] [--peers escapement,celery,redbeat]

`start_s` is from the start of the process, with no schedule known to Redis yet, to the end of the first tick; for
RedBeat it includes that its schedules are stored. `change_s` is from the call that stores one more schedule, due every
100 ms, to its first message; Celery's own beat reads no schedule after its start.

Every peer gets the same schedules, alone on the machine, one after the other; nothing runs the tasks. A reader takes
the messages from the queue and notes when each came. Escapement's lateness is against the slot that the message names.
Peers name none: theirs is against the first fire of the same job plus whole periods, so a beat that is late from the
first fire on looks better than it is.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
import redis
from clock_beats import CHANGES, QUEUE, STARTED

from workers.embedded import client_url, embedded_redis

HERE = Path(__file__).parent
PEERS = ("escapement", "celery", "redbeat")
CHANGED = "changed"
LONGEST_CHANGE_SECONDS = 60


def main() -> None:
    options = _options()
    rows = [measure(peer, options) for peer in options.peers.split(",")]
    for row in rows:
        print(json.dumps(row))
    print_table(rows, options)


def measure(peer: str, options: argparse.Namespace) -> dict[str, float | str]:
    """Run one beat alone and return its figures: milliseconds, CPU seconds a second, MB."""
    with tempfile.TemporaryDirectory() as folder, embedded_redis(Path(folder)) as url:
        client = redis.Redis.from_url(client_url(url), socket_timeout=None)
        with beat(peer, url, folder, options) as process:
            began = time.monotonic()
            while client.blpop([STARTED], timeout=1) is None:
                if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                    raise RuntimeError(f"the beat of {peer} ended at its start; see above")
            start_s = time.monotonic() - began
            fires, cpu, rss = read_fires(client, process, options.seconds)
            change_s = change_visible(peer, url, client)
        late = sorted(lateness(peer, fires, options.every))
        return {
            "peer": peer,
            "start_s": round(start_s, 2),
            "expected": int(options.jobs / options.every * options.seconds),
            "fires": len(fires),
            "p50_ms": _share(late, 0.5),
            "p99_ms": _share(late, 0.99),
            "max_ms": _share(late, 1),
            "cpu": round(cpu, 2),
            "rss_mb": round(rss, 1),
            "change_s": change_s,
        }


@contextmanager
def beat(peer: str, url: str, folder: str, options: argparse.Namespace) -> Iterator[psutil.Process]:
    """Start one beat with its schedules, end it afterwards."""
    command = [sys.executable, str(HERE / "clock_beats.py"), peer, url, folder, str(options.jobs), str(options.every)]
    with subprocess.Popen(command, env=os.environ | {"ESCAPEMENT_ENV_FILE": ""}, cwd=HERE.parent) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def read_fires(
    client: "redis.Redis[bytes]", process: psutil.Process, seconds: float
) -> tuple[list[tuple[float, str, str]], float, float]:
    """Return (time, job, slot) of every message that comes within the time, and what the beat cost meanwhile."""
    before, began, fires = process.cpu_times(), time.time(), []
    while (now := time.time()) < began + seconds:
        found = client.blpop([QUEUE], timeout=1)
        if found is not None:
            headers = json.loads(found[1])["headers"]
            fires.append((time.time(), headers.get("job") or headers["shadow"], headers.get("slot", "")))
    after = process.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) / (now - began)
    return fires, cpu, process.memory_info().rss / 1e6


def change_visible(peer: str, url: str, client: "redis.Redis[bytes]") -> float:
    """Return the seconds from one more schedule to its first message, not a number for who reads none at run time."""
    if peer not in CHANGES:
        return float("nan")
    began = time.monotonic()
    CHANGES[peer](url, CHANGED)
    while time.monotonic() < began + LONGEST_CHANGE_SECONDS:
        found = client.blpop([QUEUE], timeout=1)
        headers = {} if found is None else json.loads(found[1])["headers"]
        if CHANGED in {headers.get("job"), headers.get("shadow")}:
            return round(time.monotonic() - began, 2)
    return float("inf")


def lateness(peer: str, fires: list[tuple[float, str, str]], every: float) -> Iterator[float]:
    """Yield how late each fire was, in seconds."""
    if peer == "escapement":
        yield from (at - datetime.fromisoformat(slot).timestamp() for at, _, slot in fires)
        return
    by_job = defaultdict(list)
    for at, job, _ in fires:
        by_job[job].append(at)
    for times in by_job.values():
        yield from (at - times[0] - every * round((at - times[0]) / every) for at in times[1:])


def print_table(rows: list[dict[str, float | str]], options: argparse.Namespace) -> None:
    print(f"\n{options.jobs} jobs every {options.every} s, {options.seconds} s, one beat, no workers")
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


def _share(sorted_values: list[float], share: float) -> float:
    if not sorted_values:
        return float("nan")
    return round(1000 * sorted_values[min(int(share * len(sorted_values)), len(sorted_values) - 1)], 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--peers", default=",".join(PEERS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
