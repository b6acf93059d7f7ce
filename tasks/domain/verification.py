"""Verifications: what a user confirmed, corrected or defined, each held by a quote of the user's own words."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from tasks.domain.verification_turns import Role, Turn

MOST_ITEMS = 20
LONGEST_TITLE = 60
LONGEST_CONTENT = 500
LONGEST_QUOTE = 2_000
LONGEST_NAME = 60
MOST_ENTITIES = 10
TAG = "\u2039"


class AnswerError(ValueError):
    """A language model's answer has another form than was asked for."""


class Kind(StrEnum):
    """How a user came to vouch for something."""

    CORRECTION = "correction"
    CONFIRMATION = "confirmation"
    DEFINITION = "unprompted_definition"


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a user vouched for; `line` and `at` are those of the turn that the quote stands in."""

    kind: Kind
    title: str
    content: str
    quote: str
    domain: str
    entities: tuple[str, ...]
    line: int
    at: datetime | None


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is worth: its verifications, and how many were dropped.

    `unquoted` have no quote of the user's, `repeated` quote only what an earlier run has read, `oversized` are longer
    than allowed, or beyond the MOST_ITEMS of one answer.
    """

    items: tuple[Verification, ...]
    unquoted: int = 0
    repeated: int = 0
    oversized: int = 0


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Kind
    title: str
    content: str
    quote: str
    domain: str
    entities: list[str]


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verifications: list[_Said]


_decoder = msgspec.json.Decoder(_Answer)


def findings_of(answer: bytes, turns: Sequence[Turn]) -> Findings:
    """Decode the answer to a question about these turns; raises AnswerError when it has another form than asked for."""
    try:
        said = _decoder.decode(answer).verifications
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"the model's answer is not what was asked for: {error}") from None
    if any(not (each.title.strip() and each.content.strip() and each.domain.strip()) for each in said):
        raise AnswerError("the model's answer is not what was asked for: a title, content or domain is empty")
    fitting = [each for each in said if _fits(each)][:MOST_ITEMS]
    held = [(each, turn) for each in fitting if (turn := _quoted_turn(each.quote, turns)) is not None]
    return Findings(
        items=tuple(_verification(each, turn) for each, turn in held if turn.new),
        unquoted=len(fitting) - len(held),
        repeated=sum(not turn.new for _, turn in held),
        oversized=len(said) - len(fitting),
    )


def normal(text: str) -> str:
    """Return a text with single spaces for any white space, for comparing."""
    return " ".join(text.split())


def plain_domain(text: str) -> str:
    """Return the one spelling of a domain's name."""
    return "-".join(text.casefold().replace("_", " ").replace("-", " ").split())[:LONGEST_NAME]


def _fits(said: _Said) -> bool:
    return (
        len(said.title.strip()) <= LONGEST_TITLE
        and len(said.content.strip()) <= LONGEST_CONTENT
        and len(said.quote) <= LONGEST_QUOTE
    )


def _quoted_turn(quote: str, turns: Sequence[Turn]) -> Turn | None:
    """Return the turn of a user that has the quote word for word, a new one if there is any."""
    wanted = normal(quote).replace(TAG, "<")
    found = [turn for turn in turns if turn.role is Role.USER and wanted in normal(turn.text).replace(TAG, "<")]
    return max(found, key=lambda turn: turn.new, default=None) if wanted else None


def _verification(said: _Said, turn: Turn) -> Verification:
    names = (normal(each)[:LONGEST_NAME] for each in said.entities)
    return Verification(
        kind=said.kind,
        title=normal(said.title),
        content=said.content.strip(),
        quote=normal(said.quote).replace(TAG, "<"),
        domain=plain_domain(said.domain) or "general",
        entities=tuple(sorted(dict.fromkeys(filter(None, names)))[:MOST_ENTITIES]),
        line=turn.line,
        at=turn.at,
    )
