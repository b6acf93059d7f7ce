"""The Celery app of the processes under test: `celery -A tests.faults.kit.app`.

It is the real app. Its services are wrapped, so that every step of a port is a fault point; leases and redelivery are
seconds instead of minutes, and the job table is one of the tests.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from tasks.domain.cadence import Interval
from tasks.domain.claims import Lease, Refused, Terms
from tasks.domain.jobs import HttpCall, Job, Method, ProcessSessions
from tasks.domain.outcomes import Launch
from tasks.domain.policies import Overlap
from tasks.ports import Claims, Services
from tests.faults.kit.points import Points
from workers import app as production
from workers import services as wiring

OPTIONS = json.loads(os.environ["FAULT_OPTIONS"])
POINTS = Points(Path(os.environ["FAULT_POINTS"]))
ROLE = os.environ["FAULT_ROLE"]
SESSIONS = "session-processor:usage"


@dataclass(frozen=True)
class Stepped:
    """A port whose every call is two fault points: `<role>.<port>.<method>.before`, and `.after` unless refused."""

    port: str
    target: Any

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        return self._stepped(name, found) if callable(found) else found

    def _stepped(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(act)
        def step(*args: Any, **more: Any) -> Any:
            POINTS.reach(f"{ROLE}.{self.port}.{name}.before", args)
            result = act(*args, **more)
            if not isinstance(result, Refused):
                POINTS.reach(f"{ROLE}.{self.port}.{name}.after", args)
            return result

        return step


@dataclass(frozen=True)
class ShortLeases:
    """Claims whose leases end within a test's patience."""

    target: Claims

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def claim(self, launch: Launch, terms: Terms, *, worker: str) -> Lease | Refused:
        short = timedelta(seconds=OPTIONS["lease_s"])
        return self.target.claim(launch, replace(terms, lease=min(terms.lease, short)), worker=worker)


def fault_jobs() -> dict[str, Job]:
    """HTTP jobs of one cadence, some of which may not overlap themselves, and one session processor."""
    window = timedelta(seconds=OPTIONS["window_s"])
    every = timedelta(seconds=OPTIONS["http_every_s"])
    count = OPTIONS["http_jobs"]
    jobs = [
        Job(
            name=f"job-{number}",
            cadence=Interval(every=every, phase=every * number / count),
            action=HttpCall(method=Method.POST, url=f"/job-{number}", timeout=OPTIONS["timeout_s"]),
            overlap=Overlap.SKIP if number < OPTIONS["skipping"] else Overlap.ALLOW,
            catch_up=window,
        )
        for number in range(count)
    ]
    if OPTIONS["sessions_every_s"]:
        cadence = Interval(every=timedelta(seconds=OPTIONS["sessions_every_s"]))
        jobs.append(Job(name=SESSIONS, cadence=cadence, action=ProcessSessions(processor="usage"), catch_up=window))
    return {job.name: job for job in jobs}


def with_faults(services: Services) -> Services:
    wrapped = {
        name: Stepped(name, getattr(services, name)) for name in ("dispatches", "ledger", "web", "warehouse", "staging")
    }
    claims: Any = Stepped("claims", ShortLeases(services.claims))
    return replace(services, claims=claims, jobs=fault_jobs(), **wrapped)


def _make_services(*args: Any) -> Services:
    return with_faults(wiring.make_services(*args))


production.make_services = _make_services
wiring.REDIS_SECONDS = OPTIONS["redis_s"]
app = production.app
app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": OPTIONS["redelivery_s"],
    "socket_timeout": 2 * OPTIONS["redis_s"],
    "unacked_mutex_expire": 2,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
