"""Lines of an agent's transcript: what a processor may see of them, and how bytes become them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from tasks.domain.salvage import salvage, valid_utf8

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_OPENING, _CLOSING = b"{}"
_NOTHING = msgspec.Raw()
GIANT_LINE_BYTES = 16 * 1024 * 1024


class Tokens(msgspec.Struct, gc=False):
    """The `usage` of a message: tokens by kind."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class Block(msgspec.Struct, gc=False):
    """One block of a message's content; `input` and `content` stay undecoded JSON, empty when absent."""

    type: str | None = None
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NOTHING
    tool_use_id: str | None = None
    is_error: bool | None = None
    content: msgspec.Raw = _NOTHING


Content = str | list[Block] | None


class Message(msgspec.Struct, gc=False):
    """The message that a line carries; a long answer is split over several lines that repeat `id` and `usage`."""

    id: str | None = None
    role: str | None = None
    model: str | None = None
    usage: Tokens | None = None
    content: Content = None


class Line(msgspec.Struct, gc=False, rename="camel"):
    """One line of a transcript; an unreadable or blank line is a `Line` without any field set.

    Fields as Claude Code writes them; `role`, `content`, `tool_use_id` and `is_error` stand at the top level in lines
    of old or flat clients only.
    """

    type: str | None = None
    uuid: str | None = None
    session_id: str | None = None
    timestamp: Instant | None = None
    message: Message | None = None
    request_id: str | None = None
    agent_id: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    role: str | None = None
    content: Content = None
    tool_use_id: str | None = msgspec.field(default=None, name="tool_use_id")
    is_error: bool | None = msgspec.field(default=None, name="is_error")


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """Lines in the order of the file, one for each line of it, and the numbers of those that are bad."""

    lines: Sequence[Line]
    bad: Sequence[int] = ()


_decoder = msgspec.json.Decoder(Line)


def decode(block: bytes, *, first_line: int) -> Decoded:
    """Decode whole lines, the first of which has the number `first_line`; a bad line is counted, never fatal."""
    if block.isascii() or valid_utf8(block):
        lines = _decode_regular(block)
        if lines is not None:
            return Decoded(lines=lines)
    return _decode_each(block, first_line)


def _decode_regular(block: bytes) -> list[Line] | None:
    """Decode at full speed when every line is `{…}`: no value spans lines then, and a line of two is noticed."""
    count = _count_regular(block)
    if not count or len(block) > GIANT_LINE_BYTES:
        return None
    try:
        lines = _decoder.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return lines if len(lines) == count else None


def _count_regular(block: bytes) -> int:
    """Return how many lines there are, 0 when one of them does not start and end with a brace."""
    start, size, count = 0, len(block), 0
    while start < size:
        end = block.find(b"\n", start)
        if end < 0 or block[start] != _OPENING or block[end - 1] != _CLOSING:
            return 0
        start, count = end + 1, count + 1
    return count


def _decode_each(block: bytes, first_line: int) -> Decoded:
    lines: list[Line] = []
    bad: list[int] = []
    for number, raw in enumerate(_split(block), first_line):
        line = Line() if raw.isspace() or not raw else _decode_one(raw)
        if line is None:
            bad.append(number)
        lines.append(line or Line())
    return Decoded(lines=lines, bad=bad)


def _split(block: bytes) -> Iterator[bytes]:
    """Yield line after line, so that a giant one is held only twice."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        yield block[start:end]
        start = end + 1


def _decode_one(raw: bytes) -> Line | None:
    """Return the line, or None when it is malformed, no object or not UTF-8."""
    text = raw.removeprefix(b"\xef\xbb\xbf")
    if not valid_utf8(text):
        return None
    if len(text) <= GIANT_LINE_BYTES:
        try:
            return _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    return salvage(text, Line, longest=GIANT_LINE_BYTES)


def complete_object(tail: bytes) -> bool:
    """Tell whether a last line without its newline is a whole JSON object (it can't grow into another one)."""
    if not tail.lstrip().startswith(b"{") or not tail.rstrip().endswith(b"}"):
        return False
    return salvage(tail, Line, longest=GIANT_LINE_BYTES) is not None
