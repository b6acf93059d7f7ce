"""The one path that runs a job: claim, act, record."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from tasks.domain.claims import Again, Lease, Refused, Terms
from tasks.domain.outcomes import Launch, Outcome, Result, Run, cut_error
from tasks.domain.policies import retry_pause
from tasks.errors import FencedError, LeaseLostError, RunCancelledError
from tasks.ports import Claims, Clock, Stop, Watchdog


class RunServices(Protocol):
    """What a run needs."""

    @property
    def claims(self) -> Claims: ...
    @property
    def watchdog(self) -> Watchdog: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def worker(self) -> str: ...


Act = Callable[[Lease, Stop], Result | None]
Ended = Run | Refused | Again | None


def run_once(services: RunServices, launch: Launch, terms: Terms, act: Act) -> Ended:
    """Run a slot if nobody else has, and record what became of it.

    `act` does the work and returns its Result, or None when it has handed the run over to tasks that will record it;
    whatever it raises becomes an outcome. Returns the Run as recorded, the loser's Refused, or Again when nothing was
    done and the slot is given back. Raises RedisUnavailableError when the slot could not be claimed: then nothing was
    done.
    """
    lease = services.claims.claim(launch, terms, worker=services.worker)
    if isinstance(lease, Refused):
        return lease
    started = services.clock.now()
    try:
        with services.watchdog.renewing(lease) as stop:
            result = act(lease, stop)
    except (LeaseLostError, FencedError) as error:
        result = Result(outcome=Outcome.FENCED, error=cut_error(str(error)))
    except RunCancelledError as error:
        result = Result(outcome=Outcome.CANCELLED, error=cut_error(str(error)))
    except Exception as error:  # noqa: BLE001 - the run boundary
        result = Result(outcome=Outcome.FAILED, error=describe(error))
    except BaseException as error:
        record(services, lease, started, Result(outcome=Outcome.UNKNOWN, error=f"stopped by {describe(error)}"))
        raise
    if result is None:
        return None
    return _tried_again(services, lease, terms, result) or record(services, lease, started, result, terms)


def _tried_again(services: RunServices, lease: Lease, terms: Terms, result: Result) -> Again | None:
    """Give the slot back if its work may be repeated in time."""
    pause = retry_pause(lease.launch.attempt, services.clock.now(), terms.retry_until) if result.repeatable else None
    if pause is None or not services.claims.give_back(lease, terms.window_end):
        return None
    return Again(pause=pause)


def record(services: RunServices, lease: Lease, started: datetime, result: Result, terms: Terms | None = None) -> Run:
    """End a run: release its lease and write its outcome to the ledger, in one act."""
    finished = services.clock.now()
    run = ended(lease, started, finished, result, services.worker)
    runs_on = terms is not None and result.outcome is Outcome.UNKNOWN
    stands = services.claims.record(lease, run, busy_for=terms.remote_runs_on if terms and runs_on else timedelta(0))
    if stands is None or stands is result.outcome:
        return run
    return ended(lease, started, finished, Result(outcome=stands, error=run.error), services.worker)


def ended(lease: Lease, started: datetime, finished: datetime, result: Result, worker: str) -> Run:
    """Put together what the ledger keeps of a run."""
    launch = lease.launch
    return Run(
        job=launch.job,
        key=launch.key,
        slot=launch.slot,
        source=launch.source,
        run_id=launch.run_id,
        outcome=result.outcome,
        error=result.error,
        detail=result.detail,
        lateness_s=None if launch.slot is None else _seconds(started - launch.slot),
        duration_s=_seconds(finished - started),
        worker=worker,
        attempt=launch.attempt,
        token=lease.token,
        dispatched_at=launch.dispatched_at,
        claimed_at=lease.claimed_at,
        started_at=started,
        finished_at=finished,
    )


def describe(error: BaseException) -> str:
    """Name an error in at most 200 bytes."""
    return cut_error(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 6)
