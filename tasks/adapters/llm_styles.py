"""The two ways in which language models are spoken to over HTTP: what is sent, and where the answer stands."""

from collections.abc import Mapping
from typing import Any

import msgspec

from tasks.domain.verification import AnswerError
from tasks.domain.verification_questions import Question, Style
from tasks.verification_ports import Answer

ANTHROPIC_VERSION = "2023-06-01"
ANTHROPIC_MOST_TOKENS = 8_192


class _OpenAiMessage(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _OpenAiChoice(msgspec.Struct):
    message: _OpenAiMessage
    finish_reason: str | None = None


class _OpenAiUsage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _OpenAi(msgspec.Struct):
    choices: list[_OpenAiChoice]
    usage: _OpenAiUsage | None = None


class _AnthropicBlock(msgspec.Struct):
    type: str
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")


class _AnthropicUsage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Anthropic(msgspec.Struct):
    content: list[_AnthropicBlock]
    stop_reason: str | None = None
    usage: _AnthropicUsage | None = None


def headers(style: Style, key: str | None) -> dict[str, str]:
    """Return the headers of a request, with the key where this style expects it."""
    found = {"Accept-Encoding": "identity", "Content-Type": "application/json", "User-Agent": "escapement"}
    if style is Style.ANTHROPIC:
        found["anthropic-version"] = ANTHROPIC_VERSION
    if key is not None:
        found |= {"x-api-key": key} if style is Style.ANTHROPIC else {"Authorization": f"Bearer {key}"}
    return found


def body(style: Style, model: str, question: Question) -> bytes:
    """Return the request that enforces the question's schema."""
    return msgspec.json.encode((_anthropic if style is Style.ANTHROPIC else _openai)(model, question))


def answer(style: Style, reply: bytes, question: Question) -> Answer:
    """Take the answer out of a reply; AnswerError when it is refused, cut short, or not where it should be."""
    try:
        return _anthropic_answer(reply, question.name) if style is Style.ANTHROPIC else _openai_answer(reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"the endpoint's reply is no {style} reply: {error}") from None


def _openai(model: str, question: Question) -> Mapping[str, Any]:
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": question.instructions},
            {"role": "user", "content": question.data},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": question.name, "strict": True, "schema": question.schema},
        },
    }


def _anthropic(model: str, question: Question) -> Mapping[str, Any]:
    tool = {"name": question.name, "description": "Give the answer.", "input_schema": question.schema}
    return {
        "model": model,
        "max_tokens": ANTHROPIC_MOST_TOKENS,
        "system": question.instructions,
        "messages": [{"role": "user", "content": question.data}],
        "tools": [tool],
        "tool_choice": {"type": "tool", "name": question.name},
    }


def _openai_answer(reply: bytes) -> Answer:
    said = msgspec.json.decode(reply, type=_OpenAi)
    if not said.choices:
        raise AnswerError("the model gave no choice")
    choice, usage = said.choices[0], said.usage or _OpenAiUsage()
    if choice.message.refusal:
        raise AnswerError(f"the model refused: {choice.message.refusal}")
    if choice.finish_reason not in {None, "stop"}:
        raise AnswerError(f"the model did not finish: {choice.finish_reason}")
    text = choice.message.content or ""
    return Answer(body=text.encode(), input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)


def _anthropic_answer(reply: bytes, name: str) -> Answer:
    said = msgspec.json.decode(reply, type=_Anthropic)
    if said.stop_reason not in {None, "tool_use", "end_turn"}:
        raise AnswerError(f"the model did not finish: {said.stop_reason}")
    found = [block.input for block in said.content if block.type == "tool_use" and block.name == name]
    if len(found) != 1:
        raise AnswerError(f"the model called {name} {len(found)} times, not once")
    usage = said.usage or _AnthropicUsage()
    return Answer(body=bytes(found[0]), input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
