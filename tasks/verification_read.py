"""Reading a session for a question: its new turns by the cursors of all processors, and some turns before them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from tasks import file_read
from tasks.domain.batches import Cursor, Work
from tasks.domain.processor import Rows
from tasks.domain.transcript import decode
from tasks.domain.verification_turns import Role, Turn, Window, last_turns, turns_of
from tasks.processors.verification import NAME, TURNS, TurnReader
from tasks.session_ports import SessionFiles

EARLIER_BYTES = 2 * 1024 * 1024


class SessionRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a session says since its cursor: the last turns, those read before marked as such.

    Without a cursor the file is gone. `at` is when the file was last written, for turns without a time.
    """

    cursor: Cursor | None
    turns: Sequence[Turn]
    at: datetime
    bytes: int = 0
    lines: int = 0

    @property
    def worth_asking(self) -> bool:
        """Whether the read went well and a user said something new."""
        sound = self.cursor is not None and self.cursor.error is None
        return sound and any(turn.new and turn.role is Role.USER for turn in self.turns)


def read_session(files: SessionFiles, work: Work) -> SessionRead:
    """Read what is new in a session, and what was said before it."""
    window = Window()

    def add(rows: Rows) -> None:
        window.add(turn for _, turn in rows[TURNS] if isinstance(turn, Turn))

    read = file_read.read(files, work, {NAME: TurnReader()}, add)
    cursor = read.cursors[0] if read.cursors else None
    earlier = _earlier(files, work) if window.turns and cursor is not None and not cursor.anew else ()
    at = datetime.fromtimestamp(work.seen.mtime_ns / 1e9, UTC)
    return SessionRead(
        cursor=cursor, turns=last_turns(earlier, window.turns), at=at, bytes=read.bytes, lines=read.lines
    )


def _earlier(files: SessionFiles, work: Work) -> Sequence[Turn]:
    """Return the turns before the cursor's offset, from its last EARLIER_BYTES; none when they can't be read."""
    end = work.positions[0].offset
    start = max(0, end - EARLIER_BYTES)
    try:
        with files.open(work.seen.path) as (_, stream):
            stream.seek(start)
            data = stream.read(end - start)
    except OSError:
        return ()
    if start:
        data = data[data.find(b"\n") + 1 :]
    window = Window()
    window.add(turns_of(decode(data, first_line=1).lines, first_line=1) if data else ())
    return window.turns
