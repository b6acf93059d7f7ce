"""Beat says at its start what there is to say about its jobs, or refuses to start."""

import sys
from typing import Any

from celery.beat import Service
from celery.signals import beat_init
from celery.utils.log import get_logger

from tasks.errors import ConfigurationError
from workers.schedule_notes import notes_for_beat

EXIT_REFUSED = 2

logger = get_logger(__name__)


@beat_init.connect
def _say(sender: Service, **_: Any) -> None:
    app: Any = sender.app
    try:
        for note in notes_for_beat(app.settings):
            logger.warning("%s", note)
    except ConfigurationError as error:
        sys.stderr.write(f"escapement: {error}\n")
        raise SystemExit(EXIT_REFUSED) from None
