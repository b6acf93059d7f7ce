"""What travels between the tasks of a verification run."""

import msgspec

from tasks.domain.batches import Batch, Staged
from tasks.domain.knowledge import Contradiction, Suspect
from tasks.domain.verification import AnswerError
from tasks.domain.verification_questions import contradictions_of
from tasks.verification_ports import Answer

FIGURES = (
    "files",
    "asked",
    "evidence",
    "knowledge",
    "unquoted",
    "repeated",
    "oversized",
    "failed",
    "moved",
    "contradictions",
    "uncompared",
    "input_tokens",
    "output_tokens",
)
"""What a run counts; docs/verification.md says what each means."""


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One part of a run, by its number: a session, or sub-agents' files, which nobody is asked about."""

    number: int
    batch: Batch


Lane = tuple[Part, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was asked about, on its way to the warehouse; `outage` says that the `problem` is the endpoint's."""

    number: int
    staged: Staged
    figures: dict[str, int]
    problem: str = ""
    outage: bool = False


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to the second question of a part; `figures` are those of the part so far."""

    number: int
    asked: tuple[Suspect, ...]
    found: tuple[Contradiction, ...]
    figures: dict[str, int]
    problem: str


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """The second question of a part: whether what was just learned contradicts what was known."""

    number: int
    suspects: tuple[Suspect, ...]
    figures: dict[str, int]
    problem: str

    def compared(self, reply: Answer) -> Compared | None:
        """Return what the reply says, with its tokens counted; None when it has another form than asked for."""
        try:
            found = contradictions_of(reply.body, self.suspects)
        except AnswerError:
            return None
        figures = dict(self.figures)
        figures["input_tokens"] += reply.input_tokens
        figures["output_tokens"] += reply.output_tokens
        return Compared(number=self.number, asked=self.suspects, found=found, figures=figures, problem=self.problem)
