"""The turns of a conversation: who said what, in nested and flat transcripts, without what the client added itself."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

import msgspec

from tasks.domain.cursor import SUBAGENT_FOLDER
from tasks.domain.transcript import Content, Line

MOST_TURNS = 100
TURN_CHARACTERS = {"user": 8_000, "assistant": 2_000}
ALL_CHARACTERS = 160_000
LONGEST_TEXT = 200_000
LEFT_OUT = "\n[…]\n"
_SPOKEN_TYPES = frozenset({None, "user", "assistant", "message"})
_MACHINE = (
    "system-reminder|local-command-stdout|local-command-stderr|local-command-caveat|command-name|command-message"
    "|bash-stdout|bash-stderr"
)
_NOT_SAID = re.compile(rf"<({_MACHINE})>.*?</\1>", re.DOTALL)
_COMMAND_ARGUMENTS = re.compile(r"</?command-args>")


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said; it starts in `line`. `new` is false for what an earlier run has read already."""

    role: Role
    text: str
    line: int
    at: datetime | None = None
    new: bool = True


class Window:
    """The last turns of a conversation; the lines of one long answer are one turn."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque(maxlen=MOST_TURNS)

    @property
    def turns(self) -> Sequence[Turn]:
        """The turns so far, oldest first."""
        return tuple(self._turns)

    def add(self, turns: Iterable[Turn]) -> None:
        """Take the next turns."""
        for turn in turns:
            last = self._turns[-1] if self._turns else None
            if last is not None and last.role is turn.role is Role.ASSISTANT:
                text = shortened(f"{last.text}\n{turn.text}", TURN_CHARACTERS[turn.role])
                self._turns[-1] = msgspec.structs.replace(last, text=text)
            else:
                self._turns.append(turn)


def turns_of(lines: Sequence[Line], *, first_line: int) -> list[Turn]:
    """Return what people and assistants said in consecutive lines."""
    said = (_turn(line, number) for number, line in enumerate(lines, first_line))
    return [turn for turn in said if turn is not None]


def last_turns(earlier: Sequence[Turn], new: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the last turns that fit into one question: at most MOST_TURNS and ALL_CHARACTERS."""
    before = [msgspec.structs.replace(turn, new=False) for turn in earlier]
    newest_first = [*before, *new][: -MOST_TURNS - 1 : -1]
    room = ALL_CHARACTERS

    def fits(turn: Turn) -> bool:
        nonlocal room
        room -= len(turn.text)
        return room >= 0

    return tuple(takewhile(fits, newest_first))[::-1]


def is_subagent(path: str) -> bool:
    """Tell whether a transcript is a sub-agent's: its user is another agent."""
    *folders, name = path.split("/")
    return name.startswith("agent-") or SUBAGENT_FOLDER in folders


def shortened(text: str, limit: int) -> str:
    """Return the beginning and the end of a text that is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return text[: limit - tail - len(LEFT_OUT)] + LEFT_OUT + text[-tail:]


def _turn(line: Line, number: int) -> Turn | None:
    said = line.message.role if line.message is not None else None
    role = said or line.role or line.type
    if line.type not in _SPOKEN_TYPES or role not in TURN_CHARACTERS or line.is_meta or line.is_sidechain:
        return None
    text = "" if line.is_compact_summary else _text(line.content if line.message is None else line.message.content)
    if role == Role.USER:
        text = _COMMAND_ARGUMENTS.sub("", _NOT_SAID.sub("", text))
    text = text.strip()
    if not text:
        return None
    return Turn(role=Role(role), text=shortened(text, TURN_CHARACTERS[role]), line=number, at=line.timestamp)


def _text(content: Content) -> str:
    if isinstance(content, list):
        content = "\n".join(block.text for block in content if block.text and block.type == "text")
    return (content or "")[:LONGEST_TEXT]
