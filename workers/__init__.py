"""HOW it runs: the Celery app, its processes and its commands.

`celery -A workers` finds the app as `workers.celery`. It is made when it is asked for; a configuration that can't be
used then ends the process with code 2 and says why.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.app import app as celery

__all__ = ["celery"]


def __getattr__(name: str) -> Any:
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _app_or_exit()


def _app_or_exit() -> Any:
    from tasks.domain.cadence import CadenceError  # noqa: PLC0415 - asked for together with the app
    from tasks.errors import ConfigurationError  # noqa: PLC0415

    try:
        from workers.app import app  # noqa: PLC0415
    except (ConfigurationError, CadenceError) as error:
        sys.stderr.write(f"escapement: {error}\n")
        raise SystemExit(2) from None
    return app
