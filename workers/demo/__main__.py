"""`make demo`: everything on this machine, with an API to call, sessions that grow, and cadences of seconds."""

import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tasks.errors import ConfigurationError
from workers.run import EXIT_REFUSED, Extras, refusals_on_stderr, run, second_shell
from workers.settings import PORT_ACCEPTED, load_settings

DEFAULT_API_PORT = "5556"
LAST_PORT = 65535
MARK = ".made-by-the-demo"
WAREHOUSE = "warehouse.duckdb"
CADENCES = {
    "SCHEDULER_HEALTH_CHECK_INTERVAL": "5",
    "SCHEDULER_SESSION_COLLECTOR_INTERVAL": "7",
    "SCHEDULER_USAGE_PROCESSOR_INTERVAL": "11",
    "SCHEDULER_VERIFICATION_DETECTOR_INTERVAL": "13",
    "SCHEDULER_CORPORATE_MEMORY_INTERVAL": "17",
    "SCHEDULER_DATA_REFRESH_INTERVAL": "19",
    "SCHEDULER_SCRIPT_RUN_INTERVAL": "23",
    "SCHEDULER_MARKETPLACES_SCHEDULE": "every 29s",
    "SCHEDULER_TICK_SECONDS": "2",
    "SCHEDULER_STARTUP_GRACE_SECONDS": "4",
}


def demo_environment(inherited: Mapping[str, str], api_port: int) -> dict[str, str]:
    """Return the environment of the demo: what is inherited wins, but for what would touch anything outside of it."""
    data_dir = inherited.get("DATA_DIR", "data/demo")
    ours = {
        "ESCAPEMENT_ENV_FILE": "",
        "DATA_DIR": data_dir,
        "SESSION_DATA_DIR": str(Path(data_dir) / "sessions"),
        "API_URL": f"http://127.0.0.1:{api_port}",
        "SCHEDULER_API_TOKEN": secrets.token_urlsafe(24),
    }
    return {name: value for name, value in {**CADENCES, **inherited, **ours}.items() if name != "REDIS_URL"}


def port_of(text: str) -> int:
    """Return the port that `DEMO_API_PORT` names; raises ConfigurationError."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= LAST_PORT):
        raise ConfigurationError(f"DEMO_API_PORT={text!r} can't be used; accepted: {PORT_ACCEPTED}")
    return int(text)


def main() -> int:
    """Run the demo until Ctrl-C; return 2 with the reason on stderr when it can't start."""
    with refusals_on_stderr():
        api_port = port_of(os.environ.get("DEMO_API_PORT", DEFAULT_API_PORT))
        environment = demo_environment(os.environ, api_port)
        os.environ.clear()
        os.environ.update(environment)
        settings = load_settings()
        claim_folder(settings.data_dir)
        own_file = "ESCAPEMENT_ENV_FILE= " if Path(".env").exists() else ""
        return run(settings, demo_extras(api_port, settings.session_data_dir, second_shell(settings, own_file)))
    return EXIT_REFUSED


def claim_folder(data_dir: Path) -> None:
    """Mark a folder as the demo's; raises ConfigurationError for one that already holds data of something else."""
    mark = data_dir / MARK
    if (data_dir / WAREHOUSE).exists() and not mark.exists():
        raise ConfigurationError(f"DATA_DIR={str(data_dir)!r} holds real data, and the demo would add made-up sessions")
    with suppress(OSError):  # a folder that can't be written is refused by the supervisor, as for `make run`
        data_dir.mkdir(parents=True, exist_ok=True)
        mark.touch()


def demo_extras(api_port: int, sessions: Path, question: str) -> Extras:
    """Return the processes that only the demo has, and what it says when all is up."""
    return Extras(
        commands={
            "api": f"exec python -m workers.demo.api --port {api_port}",
            "writer": f"exec python -m workers.demo.growth {shlex.quote(str(sessions))}",
        },
        ports={"DEMO_API_PORT": api_port},
        notes=(
            f"The calls that the demo's API receives: http://127.0.0.1:{api_port}/",
            f"Sessions grow in {sessions}",
            question,
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
