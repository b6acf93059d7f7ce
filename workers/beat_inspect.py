"""What beat answers when Flower or `celery inspect` asks for more than a ping, so that its page opens."""

import os
import resource
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery

Answer = Callable[..., Any]


def handlers(app: Celery, fires: Callable[[], int]) -> Mapping[str, Answer]:
    """Return the remote control commands that a beat answers beyond `ping`; `fires` counts the slots it has sent."""
    lists = dict.fromkeys(("active", "scheduled", "reserved", "revoked", "registered", "active_queues"), _nothing)
    return lists | {"stats": lambda *_, **__: _stats(app, fires()), "conf": lambda *_, **__: _conf(app)}


def _nothing(*_: object, **__: object) -> list[object]:
    return []


def _stats(app: Celery, fires: int) -> dict[str, Any]:
    with app.connection_for_read() as connection:
        broker = connection.info()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pid": os.getpid(),
        "broker": {name: broker.get(name) for name in ("transport", "hostname", "port", "virtual_host")},
        "pool": {"kind": "beat: sends slots, runs nothing"},
        "total": {"slots sent": fires},
        "rusage": {"utime": usage.ru_utime, "stime": usage.ru_stime, "maxrss": usage.ru_maxrss},
    }


def _conf(app: Celery) -> dict[str, Any]:
    shown: dict[str, Any] = app.conf.table(with_defaults=False, censored=True)
    return {name: str(value) for name, value in shown.items()}
