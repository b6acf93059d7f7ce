"""A slot's text: the one spelling of an instant that identities are built from."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


def slot_text(instant: datetime) -> str:
    """Spell an aware instant in RFC 3339 with ``Z``, and a fraction only when it is not zero.

    The spelling is canonical: equal instants give equal texts. Raises ValueError for a naive instant.
    """
    if instant.tzinfo is None:
        raise ValueError(f"a slot needs an aware instant, got the naive {instant.isoformat()}")
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0')}Z" if instant.microsecond else f"{text}Z"


def parse_slot(text: str) -> datetime:
    """Read an RFC 3339 instant as aware UTC; raises ValueError for anything else, a naive instant included."""
    if _RFC3339.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an instant like 2026-11-20T21:45:00Z")
    return datetime.fromisoformat(text).astimezone(UTC)


def epoch_microseconds(instant: datetime) -> int:
    """Whole microseconds from 1970-01-01T00:00:00Z to an aware instant, exact."""
    return (instant - EPOCH) // MICROSECOND


def from_epoch_microseconds(microseconds: int) -> datetime:
    """Give the aware UTC instant that many microseconds after 1970-01-01T00:00:00Z."""
    return EPOCH + timedelta(microseconds=microseconds)
