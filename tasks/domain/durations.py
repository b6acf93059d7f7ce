"""Durations as people write them: ``90s``, ``15m``, ``1h30m``, ``250ms``."""

import re
from datetime import timedelta
from typing import Final

UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}

_PART = r"(\d+)(ms|us|d|h|m|s)"
_DURATION = re.compile(f"(?:{_PART})+")


def parse_duration(text: str) -> timedelta | None:
    """Read a duration made of whole numbers with units, None when the text is none or beyond what a timedelta holds."""
    if _DURATION.fullmatch(text) is None:
        return None
    try:
        return sum((int(number) * UNITS[unit] for number, unit in re.findall(_PART, text)), timedelta(0))
    except OverflowError:
        return None


def duration_text(duration: timedelta) -> str:
    """Spell a duration in the largest unit that divides it, such as ``90s`` or ``15m``; zero is ``0s``."""
    if not duration:
        return "0s"
    unit = next(unit for unit, size in UNITS.items() if not duration % size)
    return f"{duration // UNITS[unit]}{unit}"
