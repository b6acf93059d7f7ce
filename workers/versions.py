"""Packages that don't work together are refused at start; an installer that ignores our limits gets here."""

from collections.abc import Mapping
from importlib.metadata import version

from tasks.errors import ConfigurationError

PACKAGES = ("celery", "kombu", "redis")


def installed() -> dict[str, str]:
    """Return the versions of the packages that must fit together."""
    return {name: version(name) for name in PACKAGES}


def refuse_known_bad(versions: Mapping[str, str]) -> None:
    """Raise ConfigurationError for a pair of packages that is known to fail."""
    celery, kombu, redis = (_release(versions[name]) for name in PACKAGES)
    if kombu < (5, 7) and redis >= (8,):
        raise ConfigurationError(
            f"kombu {versions['kombu']} with redis {versions['redis']} leaves workers deaf after a lost connection; "
            "accepted: kombu 5.7 or newer, or redis older than 8"
        )
    if celery < (5, 7):
        raise ConfigurationError(f"celery {versions['celery']} is too old; accepted: 5.7 or newer")


def _release(text: str) -> tuple[int, ...]:
    numbers = text.split(".")[:2]
    return tuple(int("".join(each for each in number if each.isdigit()) or 0) for number in numbers)
