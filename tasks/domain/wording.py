"""Instants and durations in words, for people."""

from datetime import datetime, timedelta

from tasks.domain.slots import slot_text

_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_FROM_MINUTES = 120
_FROM_HOURS = 2 * 3600
_FROM_DAYS = 2 * 86_400


def instant_text(instant: datetime) -> str:
    """Spell an instant in UTC, with milliseconds at most."""
    return slot_text(instant - timedelta(microseconds=instant.microsecond % 1000))


def span_text(span: timedelta) -> str:
    """Spell a duration as roughly as people say it: `12 ms`, `1.5 s`, `3 min`, `5 h`, `4 d`."""
    seconds = abs(span).total_seconds()
    if seconds < 1:
        return f"{abs(span) // _MILLISECOND} ms"
    if seconds < _FROM_MINUTES:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < _FROM_HOURS:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < _FROM_DAYS else f"{seconds / 86_400:.0f} d"


def seconds_text(seconds: float) -> str:
    """Spell a number of seconds as `span_text` does."""
    return span_text(seconds * _SECOND)
