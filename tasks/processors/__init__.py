"""Session processors: those of the house, and those that other packages register as `escapement.processors`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from tasks.domain.processor import Processor
from tasks.processors.usage import UsageProcessor

GROUP = "escapement.processors"


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
        if isinstance(found, str):
            problems[point.name] = found
        elif found.name in processors:
            problems[point.name] = f"the name {found.name!r} is taken"
        else:
            processors[found.name] = found
    return Registry(processors=processors, problems=problems)


def _loaded(point: EntryPoint) -> Processor | str:
    """Return the processor, or why there is none."""
    try:
        target = point.load()
        found = target() if isinstance(target, type) else target
    except Exception as error:  # noqa: BLE001 - a foreign package may raise anything while it is imported
        return f"{point.value} can't be loaded: {type(error).__name__}: {error}"
    return found if isinstance(found, Processor) else f"{point.value} is no Processor"
