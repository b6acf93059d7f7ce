"""What beat answers when Flower or `celery inspect` asks for more than a ping, so that its page opens."""

import os
import resource
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery

Answer = Callable[..., Any]


def handlers(app: Celery, state: Callable[[], Mapping[str, Any]]) -> Mapping[str, Answer]:
    """Return the remote control commands that a beat answers beyond `ping`; `state` is what it says of itself."""
    lists = dict.fromkeys(("active", "scheduled", "reserved", "revoked", "registered", "active_queues"), _nothing)
    return lists | {"stats": lambda *_, **__: _stats(app, state()), "conf": lambda *_, **__: _conf(app)}


def _nothing(*_: object, **__: object) -> list[object]:
    return []


def _stats(app: Celery, state: Mapping[str, Any]) -> dict[str, Any]:
    with app.connection_for_read() as connection:
        broker = connection.info()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pid": os.getpid(),
        "broker": {name: broker.get(name) for name in ("transport", "hostname", "port", "virtual_host")},
        "pool": {"kind": "beat: sends slots, runs nothing"},
        **state,
        "rusage": {"utime": usage.ru_utime, "stime": usage.ru_stime, "maxrss": usage.ru_maxrss},
    }


def _conf(app: Celery) -> dict[str, Any]:
    shown: dict[str, Any] = app.conf.table(with_defaults=False, censored=True)
    return {name: str(value) for name, value in shown.items()}
