"""Knowledge: what several verifications say together, how sure it is, and what it may contradict."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from difflib import SequenceMatcher
from hashlib import blake2b

import msgspec

from tasks.domain.verification import Kind, normal

BASE = {Kind.CORRECTION: 0.90, Kind.CONFIRMATION: 0.60, Kind.DEFINITION: 0.90}
PER_FURTHER_VERIFIER = 0.05
CEILING = 0.99
HALF_LIFE = timedelta(days=365)
SAME_RATIO = 0.82
RELATED_RATIO = 0.65
SHARED_ENTITIES = 2
MOST_NEIGHBOURS = 20
MOST_CANDIDATES = 200


class Knowledge(msgspec.Struct, frozen=True, array_like=True):
    """What is known: one wording for every verification that says the same."""

    id: str
    kind: Kind
    title: str
    content: str
    domain: str
    entities: tuple[str, ...]


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """New knowledge and what of the same domain it may contradict."""

    new: Knowledge
    known: tuple[Knowledge, ...]


class Contradiction(msgspec.Struct, frozen=True, array_like=True):
    """Two pieces of knowledge of which at most one holds; both are kept."""

    id: str
    other_id: str
    reason: str


def confidence(kinds: Iterable[Kind], *, verifiers: int, age: timedelta) -> float:
    """Return how sure knowledge is: by its surest kind, more with each further verifier, halved every twelve months.

    `age` is the time since it was verified last; a negative one counts as none.
    """
    sure = min(CEILING, max(BASE[kind] for kind in kinds) + PER_FURTHER_VERIFIER * (verifiers - 1))
    return float(sure * 0.5 ** max(0.0, age / HALF_LIFE))


def knowledge_of(kind: Kind, title: str, content: str, domain: str, entities: Iterable[str]) -> Knowledge:
    """Return the knowledge that a verification founds; the same words in the same domain have the same id."""
    identity = blake2b(f"{domain}\0{_words(content)}".encode(), digest_size=8).hexdigest()
    return Knowledge(identity, kind, title, content, domain, tuple(entities))


def match(new: Knowledge, known: Sequence[Knowledge]) -> Knowledge | None:
    """Return the knowledge that `new` is one more piece of evidence for, the most similar first; None if it is new.

    The same words always are; similar ones only when neither is a correction. Letters are compared with the
    MOST_CANDIDATES that share the most words: with all of a large domain it would take too long.
    """
    same = next((each for each in known if each.id == new.id), None)
    if same is not None or new.kind is Kind.CORRECTION:
        return same
    others = [each for each in known if each.kind is not Kind.CORRECTION and each.domain == new.domain]
    nearest = sorted(others, key=lambda each: (-_common_words(new, each), each.id))[:MOST_CANDIDATES]
    ratios = [(similarity(new, each, _threshold(new, each)), each) for each in nearest]
    ratio, best = max(ratios, key=lambda found: (found[0], found[1].id), default=(0.0, new))
    return best if ratio else None


def neighbours(new: Knowledge, known: Sequence[Knowledge]) -> tuple[Knowledge, ...]:
    """Return what else is known in the domain, at most MOST_NEIGHBOURS, what it shares most with first."""
    others = [each for each in known if each.id != new.id and each.domain == new.domain]
    others.sort(key=lambda each: (-len(_shared(new, each)), -_common_words(new, each), each.id))
    return tuple(others[:MOST_NEIGHBOURS])


def similarity(new: Knowledge, old: Knowledge, threshold: float = 0.0) -> float:
    """Return difflib's ratio of two contents, or 0 when it does not reach the threshold."""
    matcher = SequenceMatcher(None, _words(old.content), _words(new.content), autojunk=False)
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return matcher.ratio() if all(bound() >= threshold for bound in bounds) else 0.0


def _threshold(one: Knowledge, other: Knowledge) -> float:
    return RELATED_RATIO if len(_shared(one, other)) >= SHARED_ENTITIES else SAME_RATIO


def _shared(one: Knowledge, other: Knowledge) -> set[str]:
    return {each.casefold() for each in one.entities} & {each.casefold() for each in other.entities}


def _common_words(one: Knowledge, other: Knowledge) -> int:
    return len(set(_words(one.content).split()) & set(_words(other.content).split()))


def _words(text: str) -> str:
    return normal(text).casefold().rstrip(".")
