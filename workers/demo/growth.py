"""The demo's people: a folder of sessions that grows while one watches, and never beyond a bound."""

import sys
import time
from pathlib import Path
from random import Random

from workers.demo.sessions import USERS, append_session, session_id, write_session, write_sessions

PAUSE_SECONDS = 1.5
FIRST_FILES = 20
FIRST_LINES = 40
OPEN_SESSIONS = 8
MOST_BYTES = 50_000_000


def begin(root: Path, random: Random) -> None:
    """Write some sessions when there are none."""
    if not sessions_of(root):
        write_sessions(root, files=FIRST_FILES, lines=FIRST_LINES, seed=random.getrandbits(48))


def grow(root: Path, random: Random) -> None:
    """Let somebody say something: in one of the youngest sessions, or in a new one."""
    seed, lines = random.getrandbits(48), random.randint(4, 12)
    open_sessions = sessions_of(root)[-OPEN_SESSIONS:]
    if len(open_sessions) < OPEN_SESSIONS or random.random() < 1 / OPEN_SESSIONS:
        write_session(root / random.choice(USERS) / "project" / f"{session_id(seed)}.jsonl", seed=seed, lines=lines)
    else:
        append_session(random.choice(open_sessions), seed=seed, lines=lines)


def forget(root: Path, most_bytes: int = MOST_BYTES) -> None:
    """Remove the oldest sessions until the folder is within its bound."""
    files = sessions_of(root)
    total = sum(file.stat().st_size for file in files)
    while total > most_bytes:
        total -= files[0].stat().st_size
        files.pop(0).unlink()


def sessions_of(root: Path) -> list[Path]:
    """Return the session files, the one written last at the end."""
    return sorted(root.rglob("*.jsonl"), key=lambda file: file.stat().st_mtime_ns)


def main() -> None:
    """Grow the folder given on the command line until a signal ends the process."""
    root, random = Path(sys.argv[1]), Random()
    begin(root, random)
    while True:
        time.sleep(PAUSE_SECONDS)
        grow(root, random)
        forget(root)


if __name__ == "__main__":
    main()
