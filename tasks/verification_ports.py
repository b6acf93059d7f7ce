"""Ports of the verification processor: a language model, and the knowledge in the warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from tasks.domain.batches import Committed, Fence, Staged
from tasks.domain.knowledge import Contradiction, Suspect
from tasks.domain.verification_questions import Question


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the model said, as JSON that nobody has checked yet, and the tokens it took."""

    body: bytes
    input_tokens: int = 0
    output_tokens: int = 0


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer; `outage` is true when another question would fare no better."""

    problem: str
    outage: bool


class LanguageModel(Protocol):
    """A model that answers in a given form."""

    @property
    def name(self) -> str:
        """What the model is called."""
        ...

    def ask(self, question: Question) -> Answer | Unanswered:
        """Ask one question; every failure comes back as a value, nothing is raised."""
        ...


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit of verifications did: the rows that count as evidence, what is new, and what may contradict it."""

    committed: Committed
    evidence: int = 0
    knowledge: int = 0
    suspects: tuple[Suspect, ...] = ()


class KnowledgeStore(Protocol):
    """Verifications and knowledge in the warehouse."""

    def commit(self, staged: Staged, paths: Sequence[Path], fence: Fence, *, outage: bool) -> Learned:
        """Write staged verifications, move their cursors and merge the knowledge in one transaction.

        With `outage` the failures of this batch never lead to quarantine. Raises FencedError for an old token.
        """
        ...

    def flag(self, asked: Sequence[Suspect], found: Sequence[Contradiction], fence: Fence) -> int:
        """Note which of the suspects contradict something; returns how many pairs are new."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class VerificationServices:
    """What verification needs beside the services of every job; without a model it is not configured."""

    knowledge: KnowledgeStore
    model: LanguageModel | None = None
