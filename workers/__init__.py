"""HOW it runs: the Celery app, its processes and its commands.

`celery -A workers` finds the app here. A configuration that can't be used ends the process with code 2 and says why.
"""

import sys

from tasks.domain.cadence import CadenceError
from tasks.errors import ConfigurationError


def __getattr__(name: str) -> object:
    """Make the app when it is first asked for: the supervisor and the demo run without it."""
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from workers.app import app  # noqa: PLC0415 - see above
    except (ConfigurationError, CadenceError) as error:
        sys.stderr.write(f"escapement: {error}\n")
        raise SystemExit(2) from None
    return app
