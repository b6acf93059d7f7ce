"""Which clock slots are due by."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from celery.utils.log import get_logger

AGREES = timedelta(seconds=10)

logger = get_logger(__name__)


@dataclass(kw_only=True)
class SharedClock:
    """The clock of this machine, as long as it agrees with Redis' to within 10 s; beyond that Redis' clock counts.

    So one machine whose clock jumps can neither take future slots away from the others nor sleep through its own.
    """

    offset: timedelta = timedelta(0)
    _differs: bool = False

    def meet(self, ours: datetime, theirs: datetime) -> None:
        """Compare the clocks at one moment."""
        self.offset = theirs - ours
        differs = not -AGREES <= self.offset <= AGREES
        if differs and not self._differs:
            seconds = -self.offset.total_seconds()
            logger.error(
                "this machine's clock is %+.1f s from Redis'; slots follow Redis' clock until they agree", seconds
            )
        self._differs = differs

    def read(self, ours: datetime) -> datetime:
        """Return the time that slots are due by."""
        return ours + self.offset if self._differs else ours
