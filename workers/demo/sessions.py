"""Synthetic session files, as Claude Code writes them: for the demo, the tests and the benchmarks.

Everything follows from a seed. A `Script` counts what it writes, so a test knows the right answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import msgspec

BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
USERS = ("alice", "bob", "carol", "dave", "erin")
MODELS = ("claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
TOOLS = ("Bash", "Read", "Edit", "Grep", "Write")
MCP_TOOLS = ("mcp__github__create_issue", "mcp__postgres__query", "mcp__browser__open_page")
COMMANDS = ("compact", "review", "plugin:deploy-all", "init")
WORDS = ("the slot runs", "at most once and", "a worker reads", "every line of its session", "before it commits rows")
ODDS = {"command": 0.15, "snapshot": 0.5, "late": 0.05, "error": 0.1, "accents": 0.1}
KINDS, KIND_WEIGHTS = ("subagent", "skill", "mcp", "tool"), (5, 3, 12, 80)
AGENT_EVERY = 10
VERSION = "2.0.76"


@dataclass(kw_only=True, slots=True)
class Figures:
    """What a correct usage processor finds."""

    messages: int = 0
    user_messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    mcp_calls: int = 0
    subagents: int = 0
    skills: int = 0
    slash_commands: int = 0


@dataclass(kw_only=True)
class Script:
    """Writes one session, line after line; `agent` makes it the transcript of a sub-agent of that session."""

    seed: int
    session_id: str
    agent: str | None = None
    text_bytes: int = 600
    figures: Figures = field(default_factory=Figures)

    def __post_init__(self) -> None:
        self.random: Random = Random(f"{self.seed}/{self.agent}")
        self.at = BEGIN + timedelta(minutes=self.random.randrange(60 * 24 * 30))
        self.parent: str | None = None
        self.late: list[dict[str, Any]] = []

    def lines(self) -> Iterator[bytes]:
        """Yield the session's lines for ever, each with its newline."""
        while True:
            for line in self._turn():
                yield msgspec.json.encode(line) + b"\n"

    def turns(self, count: int) -> list[bytes]:
        """Return the lines of whole turns with all results: `figures` are exact after it."""
        turns = [line for _ in range(count) for line in self._turn()]
        late, self.late = self.late, []
        return [msgspec.json.encode(line) + b"\n" for line in [*turns, *late]]

    def _turn(self) -> Iterator[dict[str, Any]]:
        yield self._prompt()
        yield from self.late
        self.late = []
        for _ in range(self.random.randint(1, 4)):
            yield from self._answer()
        yield self._line("system", subtype="stop_hook_summary", hookCount=1, level="suggestion")
        if self._happens("snapshot"):
            yield {"type": "file-history-snapshot", "messageId": self._uuid(), "snapshot": {"trackedFileBackups": {}}}

    def _prompt(self) -> dict[str, Any]:
        text = self._text(self.text_bytes // 3)
        if self._happens("command"):
            command = self.random.choice(COMMANDS)
            text = f"<command-name>/{command}</command-name>\n<command-message>{command}</command-message>"
            self.figures.slash_commands += 1
        self.figures.user_messages += self.agent is None
        return self._line("user", message={"role": "user", "content": text})

    def _answer(self) -> Iterator[dict[str, Any]]:
        """Yield one message, split over several lines that repeat its usage, and the results of its tools."""
        calls = [self._call() for _ in range(self.random.choice((1, 1, 1, 2)))]
        blocks: list[dict[str, Any]] = [{"type": "thinking", "thinking": self._text(self.text_bytes)}]
        blocks += [{"type": "text", "text": self._text(self.text_bytes)}, *calls]
        yield from self._message(blocks)
        for call in calls:
            result = self._result(call)
            if self._happens("late"):
                self.late.append(result)
            else:
                yield result

    def _message(self, blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        identity, request = f"msg_{self._hex(24)}", f"req_{self._hex(24)}"
        model, usage = self.random.choice(MODELS), self._usage()
        for number, block in enumerate(blocks, 1):
            said = dict(usage) if number == len(blocks) else {**usage, "output_tokens": 1}
            message = {"model": model, "id": identity, "type": "message", "role": "assistant", "content": [block]}
            yield self._line("assistant", message={**message, "stop_reason": None, "usage": said}, requestId=request)

    def _usage(self) -> dict[str, Any]:
        usage = {
            "input_tokens": self.random.randint(3, 40),
            "cache_creation_input_tokens": self.random.randint(0, 5000),
            "cache_read_input_tokens": self.random.randint(0, 90000),
            "output_tokens": self.random.randint(20, 2000),
        }
        self.figures.messages += 1
        self.figures.input_tokens += usage["input_tokens"]
        self.figures.output_tokens += usage["output_tokens"]
        self.figures.cache_read_tokens += usage["cache_read_input_tokens"]
        self.figures.cache_creation_tokens += usage["cache_creation_input_tokens"]
        return {**usage, "service_tier": "standard"}

    def _call(self) -> dict[str, Any]:
        (kind,) = self.random.choices(KINDS, KIND_WEIGHTS)
        self.figures.tool_calls += 1
        if kind == "subagent":
            self.figures.subagents += 1
            name, given = "Task", {"subagent_type": "Explore", "prompt": self._text(200)}
        elif kind == "skill":
            self.figures.skills += 1
            name, given = "Skill", {"skill": "pdf"}
        elif kind == "mcp":
            self.figures.mcp_calls += 1
            name, given = self.random.choice(MCP_TOOLS), {"query": self._text(100)}
        else:
            name, given = self.random.choice(TOOLS), {"command": self._text(150), "description": self._text(40)}
        return {"type": "tool_use", "id": f"toolu_{self._hex(24)}", "name": name, "input": given}

    def _result(self, call: dict[str, Any]) -> dict[str, Any]:
        failed = self._happens("error")
        self.figures.tool_errors += failed
        output = self._text(self.text_bytes)
        block = {"type": "tool_result", "tool_use_id": call["id"], "content": output, "is_error": failed}
        result = {"stdout": output, "stderr": "", "interrupted": False, "isImage": False}
        return self._line("user", message={"role": "user", "content": [block]}, toolUseResult=result)

    def _line(self, kind: str, **more: Any) -> dict[str, Any]:
        self.at += timedelta(milliseconds=self.random.randint(20, 20_000))
        parent, self.parent = self.parent, self._uuid()
        about = {"cwd": "/workspace/project", "sessionId": self.session_id, "version": VERSION, "gitBranch": "main"}
        agent = {"agentId": self.agent} if self.agent else {}
        stamp = {"uuid": self.parent, "timestamp": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        base = {"parentUuid": parent, "isSidechain": self.agent is not None, "userType": "external"}
        return {**base, **about, **agent, "type": kind, **more, **stamp}

    def _text(self, size: int) -> str:
        """Return words of at least `size` bytes, some of them not ASCII."""
        start = self.random.randrange(len(WORDS))
        text = " ".join(WORDS[start:] + WORDS[:start]) + (" naïve\n" if self._happens("accents") else "\n")
        return text * (size // len(text) + 1)

    def _happens(self, what: str) -> bool:
        return self.random.random() < ODDS[what]

    def _hex(self, digits: int) -> str:
        return f"{self.random.getrandbits(4 * digits):0{digits}x}"

    def _uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))


def session_id(seed: int) -> str:
    """Return the session id that a seed stands for."""
    return str(UUID(int=Random(f"session/{seed}").getrandbits(128), version=4))


def write_session(  # noqa: PLR0913 - each is a property of the file
    path: Path, *, seed: int, lines: int, session: str | None = None, agent: str | None = None, text_bytes: int = 600
) -> int:
    """Write a new session file of so many lines; returns its bytes."""
    script = Script(seed=seed, session_id=session or path.stem, agent=agent, text_bytes=text_bytes)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(b"".join(islice(script.lines(), lines)))


def append_session(path: Path, *, seed: int, lines: int, text_bytes: int = 600) -> None:
    """Append so many lines to a session file; the seed must be another one than those used for it before."""
    script = Script(seed=seed, session_id=path.stem, text_bytes=text_bytes)
    with path.open("ab") as stream:
        stream.writelines(islice(script.lines(), lines))


def write_sessions(root: Path, *, files: int, lines: int, seed: int = 0, text_bytes: int = 600) -> int:
    """Write `files` sessions of `lines` lines below a user each, every tenth that of a sub-agent; returns the bytes."""
    total = 0
    for number in range(files):
        name, user = session_id(seed + number), USERS[number % len(USERS)]
        path = root / user / "project" / f"{name}.jsonl"
        agent = f"{number:07x}" if number % AGENT_EVERY == AGENT_EVERY - 1 else None
        if agent:
            path = path.with_suffix("") / "subagents" / f"agent-{agent}.jsonl"
        total += write_session(path, seed=seed + number, lines=lines, session=name, agent=agent, text_bytes=text_bytes)
    return total
