"""What the tests of triggers share: processes to start, an API that counts, and the ledger as it is."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.conftest import ROOT, StartProcess, eventually
from tests.integration.test_two_beats import CountingApi
from tests.trigger_service import API_KEY, AUDIENCE, ISSUER

JOB = "health-check"
WORKER = ("worker", "-Q", "http", "-P", "threads", "-c", "4", "-n", "http@%h", "-l", "info")


def trigger_env(public_key: Path, *, service: str, flower_port: int) -> dict[str, str]:
    """The settings of an external trigger."""
    return {
        "SCHEDULER_TRIGGER": "external",
        "SCHEDULER_TRIGGER_URL": f"{service}/v1",
        "SCHEDULER_TRIGGER_CALLBACK_URL": f"http://127.0.0.1:{flower_port}",
        "SCHEDULER_TRIGGER_PUBLIC_KEY": str(public_key),
        "SCHEDULER_TRIGGER_AUDIENCE": AUDIENCE,
        "SCHEDULER_TRIGGER_ISSUER": ISSUER,
        "SCHEDULER_TRIGGER_API_KEY": API_KEY,
        "FLOWER_PORT": str(flower_port),
    }


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Processes of ours on one Redis; `health-check` is due every other second, nothing else is."""

    env: dict[str, str]
    redis_url: str
    start_process: StartProcess
    api: CountingApi
    folder: Path
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    quiet: dict[str, str] = field(
        default_factory=lambda: {
            f"SCHEDULER_{name}_SCHEDULE": "at 2099-01-01T00:00"
            for name in (
                "DATA_REFRESH",
                "SCRIPT_RUNNER",
                "MARKETPLACES",
                "SESSION_COLLECTOR",
                "SESSION_PROCESSOR_USAGE",
                "SESSION_PROCESSOR_VERIFICATION",
                "CORPORATE_MEMORY",
            )
        }
    )

    def start(self, name: str, *command: str, **more: str) -> subprocess.Popen[str]:
        fixed = {
            "REDIS_URL": self.redis_url,
            "API_URL": self.api.url,
            "SCHEDULER_TICK_SECONDS": "1",
            "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
            "SCHEDULER_HEALTH_CHECK_INTERVAL": "2",
        }
        env = self.env | fixed | self.quiet | more
        self.processes[name] = self.start_process(name, "celery", "-A", "workers", *command, env=env)
        return self.processes[name]

    def start_all(self) -> None:
        """Start Flower, one worker and one beat."""
        self.start("flower", "flower", "--conf=workers/flower/config.py")
        self.start("http", *WORKER)
        assert eventually(lambda: "Visit me" in self.log("flower"), 60), self.log("flower")
        assert eventually(lambda: " ready." in self.log("http"), 60), self.log("http")
        self.start("beat", "beat", "-l", "info")
        assert eventually(lambda: "trigger: " in self.log("beat") or "can't be used" in self.log("beat"), 60)

    def trigger_status(self) -> str:
        """What beat says of its trigger when it is asked."""
        env = self.env | {"REDIS_URL": self.redis_url}
        command = ["celery", "-A", "workers", "inspect", "stats", "--json", "--timeout", "3"]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        (beat,) = [each for name, each in json.loads(done.stdout).items() if name.startswith("celerybeat@")]
        return str(beat["trigger"])

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def runs(self, after: str = "") -> list[dict[str, Any]]:
        """The ended runs of slots that are later than a slot's text, oldest first."""
        with redis.Redis.from_url(self.redis_url, decode_responses=True) as client:
            entries = [fields for _, fields in client.xrange("escapement:ledger") if "run" in fields]
        found = [json.loads(fields["run"]) | {"outcome": fields["outcome"]} for fields in entries]
        return sorted((run for run in found if run["key"] > after), key=lambda run: run["key"])

    def newest(self) -> str:
        """The newest slot that has run."""
        return max((run["key"] for run in self.runs()), default="")

    def runs_by(self, source: str, *, after: str = "", least: int = 3) -> list[dict[str, Any]]:
        """Wait for runs that a source asked for."""

        def found() -> list[dict[str, Any]]:
            runs = [run for run in self.runs(after) if run["source"] == source]
            return runs if len(runs) >= least else []

        return eventually(found, 40)

    def every_slot_ran_once(self) -> bool:
        """No call came twice, no run ended otherwise than well, and soon there is no gap between the slots."""
        runs = self.runs()
        keys = [run["key"] for run in runs]
        assert set(self.api.keys.values()) == {1}
        assert len(set(keys)) == len(keys)
        assert {(run["job"], run["outcome"]) for run in runs} == {(JOB, "ok")}
        return eventually(lambda: gaps([run["key"] for run in self.runs()]) == [], 20)


def gaps(keys: list[str]) -> list[str]:
    seconds = [int(key[11:13]) * 3600 + int(key[14:16]) * 60 + int(key[17:19]) for key in keys]
    steps = zip(keys, seconds, seconds[1:], strict=False)
    return [key for key, one, two in steps if (two - one) % 86_400 != 2]


def until(condition: Callable[[], object], seconds: float = 40) -> None:
    assert eventually(condition, seconds), "it did not happen in time"
