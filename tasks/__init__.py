"""What runs: `from tasks import call_endpoint, process_sessions`.

The tasks are imported when they are asked for, so that the domain below needs no Celery.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.http_jobs import call_endpoint
    from tasks.sessions import process_sessions

__all__ = ["call_endpoint", "process_sessions"]

_HOMES = {"call_endpoint": "tasks.http_jobs", "process_sessions": "tasks.sessions"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
