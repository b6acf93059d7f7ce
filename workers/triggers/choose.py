"""Which provider is used: a built-in one, or one of another package; beat's own when it can't be."""

from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from celery.utils.log import get_logger

from workers.triggers.base import Desk, TriggerProvider
from workers.triggers.beat import BeatTrigger

GROUP = "escapement.triggers"
LONGEST_HOLD = timedelta(seconds=60)
BUILT_IN = {
    BeatTrigger.name: "workers.triggers.beat:BeatTrigger",
    "external": "workers.triggers.external:ExternalTrigger",
}

logger = get_logger(__name__)


class _UnusableError(Exception):
    """Why a provider can't be used."""


def start_provider(name: str, desk: Desk) -> TriggerProvider:
    """Start the provider of this name, or beat's own with a warning that says why. Never raises."""
    try:
        provider = _usable(name, desk)
        provider.start()
    except _UnusableError as error:
        return _fallback(name, str(error), desk)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign package may raise anything
        return _fallback(name, f"{type(error).__name__}: {error}", desk)
    logger.info("trigger: %s", name)
    return provider


def known_names(points: Sequence[EntryPoint]) -> str:
    """List the names that SCHEDULER_TRIGGER may have here."""
    return ", ".join(sorted(BUILT_IN.keys() | {point.name for point in points}))


def _usable(name: str, desk: Desk) -> TriggerProvider:
    kind = _kind(name)
    if not (isinstance(kind, type) and issubclass(kind, TriggerProvider)):
        raise _UnusableError(f"{kind!r} is no subclass of TriggerProvider")
    provider = kind(desk)
    if not isinstance(provider.name, str):
        raise _UnusableError(f"its name is {provider.name!r}")
    if not timedelta(0) <= provider.hold <= LONGEST_HOLD:
        raise _UnusableError(f"its hold is {provider.hold}, accepted is at most {LONGEST_HOLD}")
    if not provider.is_available():
        why = f": {desk.remote.problem}" if name == "external" else ""
        raise _UnusableError(f"it is not available{why}")
    return provider


def _kind(name: str) -> object:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(import_module(module), attribute)
    points = entry_points(group=GROUP)
    for point in points:
        if point.name == name:
            return point.load()
    raise _UnusableError(f"nobody provides it; known are {known_names(tuple(points))}")


def _fallback(name: str, why: str, desk: Desk) -> TriggerProvider:
    logger.warning("SCHEDULER_TRIGGER=%s can't be used, beat fires by itself: %s", name, why)
    provider = BeatTrigger(desk)
    provider.start()
    return provider
