"""Secrets out of texts: what a server echoes, as far as it is read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, kw_only=True, slots=True)
class Redaction:
    """Replaces secrets, also percent-encoded or in JSON, by their names in brackets; `secrets` maps names to values."""

    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def longest(self) -> int:
        """The length of the longest text that is replaced, in characters."""
        return max((len(spelling) for spelling, _ in self._spellings()), default=0)

    def clean(self, text: str, *, cut: bool = False) -> str:
        """Return `text` without any secret; `cut` says that it may end inside of one, whose part goes as well."""
        for spelling, name in sorted(self._spellings(), key=lambda each: -len(each[0])):
            text = text.replace(spelling, f"[{name}]")
        return text[: len(text) - self._begun(text)] if cut else text

    def _begun(self, text: str) -> int:
        """Count the characters at the end that begin a secret."""
        parts = (spelling[:size] for spelling, _ in self._spellings() for size in range(1, len(spelling)))
        return max((len(part) for part in parts if text.endswith(part)), default=0)

    def _spellings(self) -> Iterator[tuple[str, str]]:
        for name, value in self.secrets.items():
            in_json = json.dumps(value)[1:-1]
            for spelling in {value, quote(value, safe=""), in_json, in_json.replace("/", "\\/")} - {""}:
                yield spelling, name
