"""Session processors: those of the house, and those that other packages register as `escapement.processors`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from tasks.domain.processor import Processor
from tasks.processors.usage import UsageProcessor
from tasks.processors.verification import NAME as VERIFICATION

GROUP = "escapement.processors"
NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,58}[a-z0-9])?")
NAMES_ACCEPTED = "up to 60 of a-z, 0-9, _ and -, with a letter or digit at both ends"


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """The processors by name, and for each entry point that can't be used the reason."""

    processors: Mapping[str, Processor]
    problems: Mapping[str, str]


@cache
def registry() -> Registry:
    """Load every processor once; a broken package never stops the others."""
    return load(tuple(entry_points(group=GROUP)))


def load(points: tuple[EntryPoint, ...]) -> Registry:
    """Return the processors of the house and of these entry points, each a Processor or a class of one."""
    processors: dict[str, Processor] = {processor.name: processor for processor in (UsageProcessor(),)}
    problems: dict[str, str] = {}
    for point in points:
        found = _loaded(point)
        problem = found if isinstance(found, str) else _problem(found.name, {*processors, VERIFICATION})
        if problem:
            problems[point.name] = problem
        elif isinstance(found, Processor):
            processors[found.name] = found
    return Registry(processors=processors, problems=problems)


def others() -> tuple[str, ...]:
    """Return the names of the processors that other packages registered, in their order."""
    return tuple(sorted(set(registry().processors) - {UsageProcessor.name}))


def _loaded(point: EntryPoint) -> Processor | str:
    """Return the processor, or why there is none."""
    try:
        target = point.load()
        found = target() if isinstance(target, type) else target
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign package may raise anything while it is imported
        return f"{point.value} can't be loaded: {type(error).__name__}: {error}"
    return found if isinstance(found, Processor) else f"{point.value} is no Processor"


def _problem(name: object, taken: set[str]) -> str:
    if name in taken:
        return f"the name {name!r} is taken"
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        return f"the name {name!r} can't be used; accepted: {NAMES_ACCEPTED}"
    if any(_variable(name) == _variable(other) for other in taken):
        return f"the name {name!r} has the variables of another one"
    return ""


def _variable(name: str) -> str:
    return name.replace("-", "_")
