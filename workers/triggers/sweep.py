"""Beat as the net below a provider: it fires the slots that nobody has fired in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.domain.claims import Dispatch
from tasks.domain.outcomes import Launch
from tasks.ports import Dispatches


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepDispatches:
    """Dispatches of a beat that comes after a provider: what it finds fired is taken care of as well.

    A provider fires out of order, so that only the sweep, which is in order, may say up to where a job is done.
    """

    inner: Dispatches

    def dispatch(self, launches: Sequence[tuple[Launch, datetime]], *, beat: str) -> list[Dispatch]:
        """Mark each launch as dispatched by this beat, once; raises RedisUnavailableError."""
        marks = self.inner.dispatch(launches, beat=beat)
        gone = [launch for mark, (launch, _) in zip(marks, launches, strict=True) if mark is Dispatch.GONE]
        if gone:
            self.inner.sent(gone, beat=beat)
        return marks
