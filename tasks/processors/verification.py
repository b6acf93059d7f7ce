"""The processor `verification`: its tables, and the reader that feeds the questions to the language model."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tasks.domain.processor import Context, Rows
from tasks.domain.transcript import Line
from tasks.domain.verification_turns import is_subagent, turns_of
from tasks.errors import ProcessorError

NAME = "verification"
VERSION = 1
EVIDENCE = "verifications"
TURNS = "turns"


class VerificationProcessor:
    """Owns the tables described in `verification.sql`; rows come from questions, never from reading alone."""

    name = NAME
    version = VERSION
    tables = (EVIDENCE,)
    compared = ()

    @cached_property
    def ddl(self) -> str:
        """The tables and views, idempotent."""
        return Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

    def extract(self, lines: Sequence[Line], context: Context) -> Rows:
        """Raise ProcessorError: a session that was only read must not count as verified."""
        del lines
        raise ProcessorError(f"processor {NAME!r} asks a model about {context.path}: it runs as a job of its own")


class TurnReader:
    """Reads the turns of a session for the same cursors; a sub-agent's have no user, so it reads none."""

    name = NAME
    version = VERSION
    tables = (TURNS,)
    compared = ()
    ddl = ""

    def extract(self, lines: Sequence[Line], context: Context) -> Rows:
        """Return the turns as rows (file, turn)."""
        if is_subagent(context.path):
            return {TURNS: []}
        return {TURNS: [(context.file, turn) for turn in turns_of(lines, first_line=context.first_line)]}
