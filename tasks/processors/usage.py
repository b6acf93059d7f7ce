"""The processor `usage`: messages, tokens, tools, sub-agents, skills, MCP calls, slash commands and activity."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tasks.domain.processor import Context, Rows
from tasks.domain.transcript import Line
from tasks.domain.usage import extract


class UsageProcessor:
    """Extracts usage facts; its tables and views are described in `usage.sql`."""

    name = "usage"
    version = 1
    tables = (
        "usage_messages",
        "usage_tool_calls",
        "usage_tool_results",
        "usage_prompts",
        "usage_commands",
        "usage_spans",
    )
    compared = ("usage_messages_once", "usage_tools", "usage_prompts_once", "usage_commands_once", "usage_sessions")

    @cached_property
    def ddl(self) -> str:
        """The tables and views, idempotent."""
        return Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

    def extract(self, lines: Sequence[Line], context: Context) -> Rows:
        """Return the usage facts of consecutive lines."""
        return extract(lines, context)
