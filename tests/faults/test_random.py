"""Three hundred random faults against a running system: no slot runs twice, none vanishes, no row is wrong.

`FAULT_SEED` repeats a run, `SOAK_SECONDS` goes on with new seeds for so long.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.faults.kit.look import audit, look, sessions_differ, violations
from tests.faults.kit.random_faults import Faults
from tests.faults.kit.system import System, system

FAULTS = 300
PACE = 0.45
OPTIONS = {"http_jobs": 8, "http_every_s": 2, "sessions_every_s": 3, "window_s": 15}
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))


def seeds() -> Iterator[int]:
    """The seed asked for, or any; more of them while the time lasts."""
    end = time.monotonic() + SOAK_SECONDS
    yield int(os.environ.get("FAULT_SEED") or SystemRandom().randrange(10**9))
    while time.monotonic() < end:
        yield SystemRandom().randrange(10**9)


@pytest.mark.timeout(SOAK_SECONDS + 600)
def test_random_faults_run_nothing_twice_lose_nothing_and_spoil_no_row(tmp_path: Path) -> None:
    for number, seed in enumerate(seeds()):
        report = one_round(tmp_path / str(number), seed)
        print(f"\n{report}")  # noqa: T201 - the seed and the tally are what a person wants to see


def one_round(folder: Path, seed: int) -> str:
    began = time.monotonic()
    print(f"\nFAULT_SEED={seed}", flush=True)  # noqa: T201
    with system(folder / "system", seed=seed, options=OPTIONS) as running:
        running.wait_for(lambda: len(running.target.calls()) > OPTIONS["http_jobs"], 30, "not every job was called")
        faults = inject(running, seed, folder / "faults.log")
        running.settle(90)
        found = violations(running)
        differing = sessions_differ(running, folder)
        vanished = audit(running)
        outcomes = Counter(look(running).runs.values())
        strikes = len(running.points.strikes())
    assert (found, differing, vanished) == ({}, [], ""), f"FAULT_SEED={seed}, {folder}"
    return (
        f"FAULT_SEED={seed}: {sum(faults.values())} faults in {time.monotonic() - began:.0f} s {dict(faults)}, "
        f"{strikes} at a step; {sum(outcomes.values())} slots: { ({str(each): n for each, n in outcomes.items()}) }"
    )


def inject(running: System, seed: int, log: Path) -> Counter[str]:
    """Do the faults at an even pace; each is a line of the log."""
    faults = Faults(system=running, random=Random(seed))
    with log.open("w") as lines:
        for number in range(FAULTS):
            lines.write(f"{time.strftime('%H:%M:%S')} {number} {faults.one()}\n")
            lines.flush()
            running.ensure()
            if number % 5 == 0:
                running.grow()
            time.sleep(PACE)
    faults.end()
    return faults.done
