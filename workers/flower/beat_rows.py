"""Beat's row in Flower's list of workers: its count of fires stands in the column *Processed*."""

from typing import Any

import flower.events

from workers.beat_events import IDENTITY


class BeatAwareState(flower.events.EventsState):  # type: ignore[misc]
    """Flower counts a worker's `task-received` events as processed; a beat says the figure in its heartbeats."""

    def event(self, event: dict[str, Any]) -> None:
        super().event(event)
        if event.get("sw_ident") == IDENTITY["sw_ident"] and "processed" in event:
            self.counter[event["hostname"]]["task-received"] = event["processed"]


def show_fires_as_processed() -> None:
    """Let Flower keep its events in a BeatAwareState; it looks the class up when it starts."""
    flower.events.EventsState = BeatAwareState
