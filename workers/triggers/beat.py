"""The built-in provider: beat's own timetable fires every slot at its instant."""

from typing import ClassVar

from workers.triggers.base import TriggerProvider


class BeatTrigger(TriggerProvider):
    """Leaves everything to the sweep, which waits for nobody: `hold` is zero."""

    name: ClassVar[str] = "beat"

    def start(self) -> None:
        """Do nothing: beat ticks."""
