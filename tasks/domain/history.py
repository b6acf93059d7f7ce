"""Questions about runs that were recorded."""

from dataclasses import dataclass
from datetime import datetime

from tasks.domain.outcomes import Outcome, Run

DEFAULT_MOST = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which runs are asked for: of one job or all, not older than `since`, of one outcome or any, at most `most`."""

    job: str | None = None
    since: datetime | None = None
    outcome: Outcome | None = None
    most: int = DEFAULT_MOST

    def includes(self, run: Run) -> bool:
        """Whether a run is asked for; `most` aside."""
        when = time_of(run)
        return (
            self.job in {None, run.job}
            and self.outcome in {None, run.outcome}
            and (self.since is None or (when is not None and when >= self.since))
        )


def time_of(run: Run) -> datetime | None:
    """Give the instant by which runs are listed: the slot, or when a run without one was claimed or ended."""
    return run.slot or run.claimed_at or run.finished_at
