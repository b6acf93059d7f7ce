"""Beat's row in Flower: the fires that its heartbeats tell stand in the column *Processed*."""

from time import time
from typing import Any

from workers.beat_events import IDENTITY
from workers.flower.beat_rows import BeatAwareState

BEAT = "celerybeat@here"


def heartbeat(node: str, **fields: Any) -> dict[str, Any]:
    now = time()
    return {"type": "worker-heartbeat", "hostname": node, "timestamp": now, "local_received": now, "freq": 2} | fields


def test_the_fires_of_a_beat_are_its_processed_tasks() -> None:
    state = BeatAwareState()
    state.event(heartbeat(BEAT, processed=7, **IDENTITY))
    state.event(heartbeat(BEAT, processed=9, **IDENTITY))
    assert state.counter[BEAT]["task-received"] == 9
    assert state.workers[BEAT].alive


def test_a_worker_is_still_counted_by_the_tasks_it_received() -> None:
    state = BeatAwareState()
    state.event(heartbeat("http@here", processed=7, sw_ident="py-celery"))
    assert state.counter["http@here"]["task-received"] == 0
