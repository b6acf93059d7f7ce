"""What there is to say about the table of jobs before beat starts."""

from beat_schedule import job_table, remarks
from tasks.domain.coprime_advice import Coprime, shared_factors
from tasks.errors import ConfigurationError
from workers.settings import Settings

MOST_LINES = 20


def notes_for_beat(settings: Settings) -> list[str]:
    """Return what is to be said about the jobs; raises ConfigurationError where SCHEDULER_COPRIME forbids to start."""
    notes = [*remarks(settings), *_coprime_notes(settings)]
    return [*notes[:MOST_LINES], *([f"and {len(notes) - MOST_LINES} more"] if len(notes) > MOST_LINES else [])]


def _coprime_notes(settings: Settings) -> list[str]:
    if settings.scheduler_coprime is Coprime.OFF:
        return []
    shared = [str(each) for each in shared_factors(job_table(settings).values())]
    if shared and settings.scheduler_coprime is Coprime.REQUIRE:
        lines = [f"SCHEDULER_COPRIME=require: {len(shared)} pair(s) of jobs share a factor:", *shared]
        raise ConfigurationError("\n  ".join(lines))
    return shared
