"""What runs on one machine: the lines of the Procfile, their nodes in Flower, and when a dead one starts again."""

from pathlib import Path

from honcho.environ import parse_procfile

from workers.settings import Settings

PROCFILE = Path(__file__).parent.parent / "Procfile"
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
STABLE_SECONDS = 60.0


def procfile_commands() -> dict[str, str]:
    """Return the commands of the Procfile by process name, in its order."""
    return dict(parse_procfile(PROCFILE.read_text(encoding="utf-8")).processes)


def node_names(processes: list[str], host: str) -> frozenset[str]:
    """Return the names under which Flower knows these processes; Flower itself is no node."""
    return frozenset(f"{'celerybeat' if name == 'beat' else name}@{host}" for name in processes if name != "flower")


def child_environment(settings: Settings, inherited: dict[str, str], binaries: Path) -> dict[str, str]:
    """Return the environment of every child: what is inherited, and the settings that the Procfile and Flower use."""
    return inherited | {
        "PATH": f"{binaries}:{inherited.get('PATH', '/usr/bin:/bin')}",
        "PYTHONUNBUFFERED": "1",
        "HTTP_CONCURRENCY": str(settings.http_concurrency),
        "SESSIONS_CONCURRENCY": str(settings.sessions_concurrency),
        "FLOWER_ADDRESS": settings.flower_address,
        "FLOWER_PORT": str(settings.flower_port),
    }


def next_pause(last_pause: float, uptime: float) -> float:
    """Return the seconds before a dead child starts again: 1, doubling to 30, and 1 again after a minute of life."""
    if uptime >= STABLE_SECONDS or last_pause == 0:
        return FIRST_PAUSE
    return min(LONGEST_PAUSE, 2 * last_pause)


def page_address(address: str, port: int) -> str:
    """Return the address to open in a browser for a server that listens on `address`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
