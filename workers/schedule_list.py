"""Every schedule there is, as people see it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tasks.domain.cadence_text import parse_cadence
from tasks.domain.schedules import BEGINNING, Origin, Schedule, ScheduleState, schedule_of
from tasks.domain.slots import slot_text
from tasks.domain.stored import Stored
from tasks.ports import Services
from tasks.run_once import describe

HEADINGS = ("job", "state", "cadence", "zone", "next slot (UTC)", "runs left", "made", "remark")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One schedule: `left` None is without end; `remark` is the reason of a pause, or what is wrong."""

    job: str
    state: str
    cadence: str
    timezone: str
    next_slot: str | None
    left: int | None
    made: str
    remark: str

    def cells(self) -> Sequence[object]:
        """Return what stands below HEADINGS."""
        made = "at run time" if self.made == Origin.STORE else "in the job table"
        return (self.job, self.state, self.cadence, self.timezone, self.next_slot, self.left, made, self.remark)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def listed(services: Services, now: datetime) -> list[Listed]:
    """Return all schedules by name; raises RedisUnavailableError."""
    stored = {each.schedule.job: each for each in services.store.all()}
    rows = {name: _of_table(schedule_of(job), stored.get(name), now) for name, job in services.jobs.items()}
    rows |= {name: _of_store(services, each, now) for name, each in stored.items() if name not in services.jobs}
    return [rows[name] for name in sorted(rows)]


def _of_table(schedule: Schedule, stored: Stored | None, now: datetime) -> Listed:
    state = stored.schedule if stored is not None and stored.schedule.origin is Origin.TABLE else schedule
    return _listed(schedule, state.state, None, state.reason, now)


def _of_store(services: Services, stored: Stored, now: datetime) -> Listed:
    schedule = stored.schedule
    try:
        services.stored_jobs.decode(schedule)
    except Exception as error:  # noqa: BLE001 - somebody's entry, whatever it is
        return Listed(
            job=schedule.job,
            state="broken",
            cadence=schedule.cadence,
            timezone=schedule.timezone,
            next_slot=None,
            left=stored.left,
            made=schedule.origin,
            remark=describe(error),
        )
    return _listed(schedule, schedule.state, stored.left, schedule.reason, now)


def _listed(schedule: Schedule, state: ScheduleState, left: int | None, remark: str, now: datetime) -> Listed:
    cadence = parse_cadence(schedule.cadence, timezone=schedule.timezone, now=BEGINNING)
    following = cadence.next_after(now) if state is ScheduleState.ACTIVE else None
    return Listed(
        job=schedule.job,
        state=state,
        cadence=schedule.cadence,
        timezone=schedule.timezone,
        next_slot=None if following is None else slot_text(following),
        left=left,
        made=schedule.origin,
        remark=remark,
    )
