"""`make run`: everything on this machine in the foreground, by the settings of the environment and `.env`."""

import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Thread

from tasks.domain.cadence import CadenceError
from tasks.errors import EscapementError, RedisUnavailableError
from workers import embedded
from workers.preflight import own_folder, refuse_taken_port
from workers.processes import child_environment, node_names, page_address, procfile_commands
from workers.readiness import wait_for_nodes
from workers.schedule_notes import notes_for_beat
from workers.settings import Settings, load_settings
from workers.supervisor import Supervisor
from workers.undertaker import Undertaker

REDIS = "redis"
REDIS_SECONDS = 60.0
NODES_SECONDS = 60.0
EXIT_REFUSED = 2
QUESTION = "select job, outcome, count(*) as runs, max(lateness_s) as worst_s from runs group by all order by all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What one way of running has beyond the Procfile: commands by name, their ports by variable, lines to show."""

    commands: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def main() -> int:
    """Run until Ctrl-C; return 2 with the reason on stderr when it can't start."""
    with refusals_on_stderr():
        settings = load_settings()
        return run(settings, Extras(notes=(second_shell(settings),)))
    return EXIT_REFUSED


@contextmanager
def refusals_on_stderr() -> Iterator[None]:
    """Write what keeps us from starting to stderr instead of a traceback."""
    try:
        yield
    except (EscapementError, CadenceError) as error:
        sys.stderr.write(f"{error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("stopped before anything was started\n")


def run(settings: Settings, extras: Extras) -> int:
    """Supervise Redis (unless REDIS_URL is set), the Procfile and the extras until a signal; return the exit status.

    Raises CadenceError, ConfigurationError or RedisUnavailableError; all but a Redis that does not come up before
    anything is started.
    """
    began = time.monotonic()
    notes_for_beat(settings)
    with own_folder(settings.data_dir) as lock:
        refuse_taken_port("FLOWER_PORT", settings.flower_address, settings.flower_port)
        for variable, port in extras.ports.items():
            refuse_taken_port(variable, "127.0.0.1", port)
        redis_command = None if settings.redis_url else _redis_command(settings.data_dir)
        with Undertaker(lock) as undertaker:
            env = child_environment(settings, dict(os.environ), Path(sys.executable).parent)
            supervisor = Supervisor(env=env, output=sys.stdout, undertaker=undertaker)
            supervisor.stop_on_signals()
            try:
                _start(supervisor, settings, redis_command, procfile_commands() | dict(extras.commands))
                _announce_when_ready(supervisor, settings, began, extras.notes)
                supervisor.run_until(lambda: False)
            finally:
                supervisor.stop(last=REDIS)
    return 0


def _redis_command(data_dir: Path) -> str:
    command = embedded.redis_command(data_dir, embedded.redis_executable())
    embedded.prepare_folders(data_dir)
    return f"exec {shlex.join(command)}"


def _start(supervisor: Supervisor, settings: Settings, redis_command: str | None, commands: Mapping[str, str]) -> None:
    """Start Redis, wait until it answers, then start everything else at once."""
    if redis_command:
        _start_redis(supervisor, redis_command, embedded.embedded_url(settings.data_dir))
    elif not embedded.answers(embedded.broker_url(settings)):
        supervisor.say("the Redis of REDIS_URL does not answer yet; the processes keep trying")
    for name, command in commands.items():
        if not supervisor.stop_asked:
            supervisor.start(name, command)


def _start_redis(supervisor: Supervisor, command: str, url: str) -> None:
    supervisor.start(REDIS, command)
    answered = supervisor.run_until(lambda: embedded.answers(url) or not supervisor.alive(REDIS), REDIS_SECONDS)
    if not supervisor.stop_asked and not (answered and supervisor.alive(REDIS)):
        raise RedisUnavailableError(f"the embedded Redis does not start; its own words are above ({url})")


def _announce_when_ready(supervisor: Supervisor, settings: Settings, began: float, notes: tuple[str, ...]) -> None:
    page = page_address(settings.flower_address, settings.flower_port)
    nodes = node_names(list(procfile_commands()), socket.gethostname())

    def tell(missing: frozenset[str] | None) -> None:
        if missing:
            supervisor.post("say", f"not online yet: {', '.join(sorted(missing))}; see their lines above")
            return
        what = "Flower is up" if missing is None else f"All {len(nodes)} nodes are online"
        lines = [f"{what} after {time.monotonic() - began:.1f} s.", f"Open {page}", *notes, "Ctrl-C ends everything."]
        supervisor.post("say", "\n".join(f"==> {line}" for line in lines))

    Thread(target=partial(wait_for_nodes, page, nodes, NODES_SECONDS, tell), daemon=True).start()


def second_shell(settings: Settings, prefix: str = "") -> str:
    """Return the line that asks the warehouse from a second shell."""
    celery = Path(sys.executable).with_name("celery")
    with_path = celery.relative_to(Path.cwd()) if celery.is_relative_to(Path.cwd()) else celery
    folder = shlex.quote(str(settings.data_dir))
    return f'In a second shell: {prefix}DATA_DIR={folder} {with_path} -A workers query "{QUESTION}"'


if __name__ == "__main__":
    sys.exit(main())
