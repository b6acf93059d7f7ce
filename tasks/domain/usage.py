"""Usage facts: what one part of a transcript says of messages, tokens, tools, commands and activity.

Facts are kept per file and line; what belongs to one message or tool call may stand in several lines, reads and
files, and is joined by the views in `usage.sql`.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tasks.domain.processor import Context, Row, Rows
from tasks.domain.transcript import Block, Content, Line, Tokens

ACTIVE_GAP = timedelta(seconds=600)
COMMAND = re.compile(r"<command-name>/([A-Za-z][\w:-]*)</command-name>", re.ASCII)
COMMAND_OUTPUT = "<local-command-stdout>"
MCP_PREFIX = "mcp__"
NAMED_INSIDE = frozenset({"Task", "Agent", "Skill"})
_NO_TOKENS = Tokens()


class ToolInput(msgspec.Struct):
    """The parts of a tool's input that name a sub-agent or a skill."""

    subagent_type: str | None = None
    skill: str | None = None
    name: str | None = None


_tool_input = msgspec.json.Decoder(ToolInput)


class Span:
    """A stretch of activity of one session, and the last line in it that says where it happened."""

    __slots__ = ("about", "about_line", "end", "start")

    def __init__(self, at: datetime, number: int, line: Line) -> None:
        self.start = self.end = at
        self.about, self.about_line = line, number


class Extraction:
    """Collects the rows of one call; its tables are those of `usage.sql`, column by column."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.messages: dict[tuple[str, str], Row] = {}
        self.calls: list[Row] = []
        self.results: list[Row] = []
        self.prompts: list[Row] = []
        self.commands: list[Row] = []
        self.spans: dict[str, list[Span]] = {}

    def rows(self) -> Rows:
        """Return everything collected, by table."""
        return {
            "usage_messages": list(self.messages.values()),
            "usage_tool_calls": self.calls,
            "usage_tool_results": self.results,
            "usage_prompts": self.prompts,
            "usage_commands": self.commands,
            "usage_spans": [self._span(session, span) for session, spans in self.spans.items() for span in spans],
        }

    def active(self, number: int, line: Line, session: str, at: datetime) -> None:
        """Stretch the session's last span, or begin another one; spans that meet are merged by the views."""
        spans = self.spans.setdefault(session, [])
        last = spans[-1] if spans else None
        if last is None or at < last.start or at - last.end > ACTIVE_GAP:
            spans.append(Span(at, number, line))
        elif at >= last.end:
            last.end = at
            if line.cwd is not None:
                last.about, last.about_line = line, number

    def assistant(self, number: int, line: Line, session: str) -> None:
        """Keep the message's latest figures, and each tool call."""
        at, message, context = line.timestamp, line.message, self.context
        identity, model, tokens = line.uuid or f"{context.file}:{number}", None, _NO_TOKENS
        content = line.content
        if message is not None:
            identity, model, content = message.id or identity, message.model, message.content
            tokens = message.usage or _NO_TOKENS
        key = (identity, line.request_id or "")
        before = self.messages.get(key)
        self.messages[key] = (
            context.file,
            number,
            context.username,
            session,
            session == context.session_id,
            identity,
            key[1],
            model,
            at if before is None or before[8] is None else before[8],
            at,
            tokens.input_tokens or 0,
            tokens.output_tokens or 0,
            tokens.cache_read_input_tokens or 0,
            tokens.cache_creation_input_tokens or 0,
        )
        if isinstance(content, list):
            for index, block in enumerate(content):
                if block.type == "tool_use":
                    self._call(number, index, block, session, at)

    def _call(self, number: int, index: int, block: Block, session: str, at: datetime | None) -> None:
        name, context = block.name or "", self.context
        server = tool = inside = None
        if name.startswith(MCP_PREFIX):
            server, _, tool = name.removeprefix(MCP_PREFIX).partition("__")
        elif name in NAMED_INSIDE:
            inside = _named_inside(block.input)
        identity = block.id or f"{context.file}:{number}:{index}"
        home = session == context.session_id
        self.calls.append(
            (context.file, number, context.username, session, home, identity, name, server, tool, inside, at)
        )

    def user(self, number: int, line: Line, session: str) -> None:
        """Keep tool results, the person's messages and slash commands."""
        content = line.content if line.message is None else line.message.content
        if isinstance(content, list):
            for block in content:
                if block.type == "tool_result" and block.tool_use_id:
                    self.result(number, block.tool_use_id, line.timestamp, error=block.is_error)
        text = _text(content)
        if text:
            self._prompt(number, line, session, text)

    def _prompt(self, number: int, line: Line, session: str, text: str) -> None:
        context = self.context
        about = (context.file, number, context.username, session, session == context.session_id)
        identity = line.uuid or f"{context.file}:{number}"
        if not (line.is_meta or line.is_compact_summary or line.is_sidechain or text.startswith(COMMAND_OUTPUT)):
            self.prompts.append((*about, identity, line.timestamp))
        if "<command-name>" in text:
            for index, name in enumerate(COMMAND.findall(text)):
                self.commands.append((*about, f"{identity}:{index}", name, line.timestamp))

    def result(self, number: int, call: str, at: datetime | None, *, error: bool | None) -> None:
        """Keep what became of a tool call, whenever it arrives."""
        self.results.append((self.context.file, number, call, error or False, at))

    def _span(self, session: str, span: Span) -> Row:
        about, context = span.about, self.context
        where = (about.cwd, about.git_branch, about.version)
        return (context.file, span.about_line, context.username, session, span.start, span.end, about.timestamp, *where)


def extract(lines: Sequence[Line], context: Context) -> Rows:
    """Return the usage facts of consecutive lines."""
    found = Extraction(context)
    for number, line in enumerate(lines, context.first_line):
        session = line.session_id or context.session_id
        if line.timestamp is not None:
            found.active(number, line, session, line.timestamp)
        kind = line.type or line.role
        if kind == "assistant":
            found.assistant(number, line, session)
        elif kind == "user":
            found.user(number, line, session)
        elif kind == "tool_use_result" and line.tool_use_id:
            found.result(number, line.tool_use_id, line.timestamp, error=line.is_error)
    return found.rows()


def _text(content: Content) -> str:
    if isinstance(content, list):
        return "\n".join(block.text for block in content if block.text and block.type == "text")
    return content or ""


def _named_inside(raw: msgspec.Raw) -> str | None:
    """Return the kind of sub-agent or the skill that a tool's input names."""
    try:
        said = _tool_input.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return said.subagent_type or said.skill or said.name
