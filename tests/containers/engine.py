"""What the container tests need of the Docker engine: our image, Compose of either generation, and waiting."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE_IMAGE = "debian:bookworm-slim"
BROKER_IMAGE = "redis:7-bookworm"
IMAGE_TAG = "test"
IMAGE = f"escapement:{IMAGE_TAG}"
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host")
API_PORT = 8000


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run `command` in the project's folder; return what it printed, fail with what it complained about."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for `condition`; fail naming `what` when it does not come true in time."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"{what}: not within {seconds} s"
        time.sleep(0.5)


def build_image() -> str:
    """Build our image with the pip settings of this machine; return its name."""
    settings = _pip_settings()
    arguments = [each for name in settings for each in ("--build-arg", name)]
    run(
        ["docker", "build", "--quiet", "--network", "host", *arguments, "--tag", IMAGE, "."],
        env={"DOCKER_BUILDKIT": "0", **settings},
    )
    return IMAGE


def _pip_settings() -> dict[str, str]:
    """Return what pip is told about registries; folders of this machine mean nothing inside a build."""
    known = {f"PIP_{name.replace('-', '_').upper()}": _pip_setting(name) for name in PIP_SETTINGS}
    return {name: value for name, value in known.items() if value}


def _pip_setting(name: str) -> str:
    variable = f"PIP_{name.replace('-', '_').upper()}"
    asked = subprocess.run(["pip", "config", "get", f"global.{name}"], capture_output=True, text=True, check=False)
    words = os.environ.get(variable, asked.stdout).split()
    return " ".join(word for word in words if not word.startswith(("/", "file:")))


def compose_command() -> list[str]:
    """Return Compose v2 when the engine's client has it, else docker-compose."""
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if asked.returncode == 0 else ["docker-compose"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compose:
    """One project of docker-compose.yml plus the API that the tests add."""

    project: str
    env: Mapping[str, str]

    def __call__(self, *arguments: str) -> str:
        files = ["-f", "docker-compose.yml", "-f", "tests/containers/api.compose.yml"]
        return run([*compose_command(), "-p", self.project, *files, *arguments], env=self.env)

    def container(self, service: str) -> str:
        return self("ps", "-q", service).strip()

    def inside(self, service: str, *command: str) -> str:
        return run(["docker", "exec", self.container(service), *command])

    def state(self, service: str) -> dict[str, object]:
        return json.loads(run(["docker", "inspect", "--format", "{{json .State}}", self.container(service)]))

    def health(self, service: str) -> str:
        return self.state(service).get("Health", {}).get("Status", "none")


def write_session(folder: Path) -> None:
    """Write one session of the user carol: a question, and an answer of 7 + 11 tokens split over two lines."""
    usage = {"input_tokens": 7, "output_tokens": 11, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    common = {"sessionId": "s-1", "timestamp": "2026-01-02T19:18:31.028Z", "version": "2.0.76", "cwd": "/w"}
    answer = {"id": "m-1", "role": "assistant", "model": "m", "usage": usage}
    lines = [
        {**common, "type": "user", "uuid": "u-1", "message": {"role": "user", "content": "Hello"}},
        *(
            {
                **common,
                "type": "assistant",
                "uuid": f"a-{part}",
                "requestId": "r-1",
                "message": {**answer, "content": [{"type": "text", "text": f"part {part}"}]},
            }
            for part in (1, 2)
        ),
    ]
    (folder / "carol").mkdir(parents=True)
    (folder / "carol" / "s-1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
