"""The worker of `benchmarks/claims.py`: the real app, whose one job does nothing, and a bare task beside it."""

import json
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery.signals import task_postrun

from tasks.domain.cadence import Interval
from tasks.domain.jobs import HttpCall, Job, Method
from tasks.domain.outcomes import Outcome, Result
from tasks.domain.policies import Overlap
from tasks.ports import Services
from workers import app as production
from workers import services as wiring

NOTHING = Result(outcome=Outcome.OK)
JOB = Job(
    name="nothing",
    cadence=Interval(every=timedelta(seconds=1)),
    action=HttpCall(method=Method.POST, url="/", timeout=1),
    overlap=Overlap.ALLOW,
)


class NoWeb:
    def call(self, *_: Any) -> Result:
        return NOTHING


class Tally:
    """Counts ended tasks in memory; writes when the first and the last of a phase ended."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.first, self.count = folder, 0.0, 0

    def ended(self, *, expected: int, phase: str) -> None:
        self.count += 1
        if self.count == 1:
            self.first = time.perf_counter()
        if self.count == expected:
            rate = (expected - 1) / (time.perf_counter() - self.first)
            draft = self.folder / f"{phase}.draft"
            draft.write_text(json.dumps({"per_second": rate}))
            draft.rename(self.folder / f"{phase}.json")
            self.count = 0


def _make_services(*args: Any) -> Services:
    return replace(wiring.make_services(*args), web=NoWeb(), jobs={JOB.name: JOB})


production.make_services = _make_services
app = production.app
TALLY = Tally(Path(os.environ["BENCHMARK_FOLDER"]))


@app.task(name="benchmark.bare", bind=True, queue="http")
def bare(self: Any, name: str) -> str:  # noqa: ARG001 - the same signature as call_endpoint
    return name


@task_postrun.connect
def _count(task: Any, **_: Any) -> None:
    headers = task.request.headers or {}
    TALLY.ended(expected=headers["expected"], phase=headers["phase"])
