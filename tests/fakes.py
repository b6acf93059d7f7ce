"""Fakes that obey the same contracts as the real adapters; the contract tests run on both."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from tasks.domain.backlog import Backlog, Row, row_run
from tasks.domain.claims import Dispatch, Hold, Lease, LedgerEntry, Progress, Refusal, Refused, Terms
from tasks.domain.outcomes import Launch, Outcome, Run
from tasks.domain.policies import Overlap
from tasks.domain.schedules import Origin, Schedule, ScheduleState
from tasks.domain.stored import Changes, Restored, Stored, Wish

TAKEOVER = timedelta(seconds=2)
NO_FIGURES: Mapping[str, int] = {}


@dataclass(kw_only=True)
class FakeClock:
    """A clock that only moves when it is told to."""

    at: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass(kw_only=True)
class Slot:
    launch: Launch
    state: str
    at: datetime
    beat: str = ""
    window_end: datetime | None = None
    token: int = 0
    expiry: datetime | None = None
    outcome: Outcome | None = None
    parts: dict[int, Mapping[str, int]] = field(default_factory=dict)
    begun_with: Mapping[str, int] | None = None
    parts_left: int = 0
    error: str = ""
    terms: Terms = field(default_factory=Terms)
    cancelled_by: str = ""

    def progress(self, names: Iterable[str]) -> Progress:
        added = [self.begun_with or NO_FIGURES, *self.parts.values()]
        sums = {name: sum(each.get(name, 0) for each in added) for name in names}
        return Progress(parts_left=self.parts_left, error=self.error or None, figures=sums)


@dataclass(kw_only=True)
class MemoryClaims:
    """The contract of claims, dispatches and ledger, in one process."""

    clock: FakeClock
    slots: dict[str, Slot] = field(default_factory=dict)
    entries: list[LedgerEntry] = field(default_factory=list)
    epoch: datetime | None = None
    newest_slots: dict[str, datetime] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    backlogs: dict[str, Backlog] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    token: int = 0

    def open(self) -> None:
        self.epoch = self.epoch or self.clock.now()

    def claim(self, launch: Launch, terms: Terms, *, worker: str) -> Lease | Refused:
        now, slot = self.clock.now(), self.slots.get(launch.identity)
        if slot is not None and slot.state in {"running", "done"}:
            return Refused(reason=Refusal.DUPLICATE, by=slot.outcome or slot.state)
        if slot is None and self._lost(launch.slot):
            return self._refuse(launch, Outcome.MISSED, Refused(reason=Refusal.LOST))
        if terms.window_end is not None and now > terms.window_end:
            return self._refuse(launch, Outcome.MISSED, Refused(reason=Refusal.LATE))
        if launch.slot is not None and launch.job in self.paused:
            by = f"paused: {self.paused[launch.job]}"
            return self._refuse(launch, Outcome.SKIPPED, Refused(reason=Refusal.PAUSED, by=by))
        by = self._in_the_way(launch.job, terms)
        if by:
            return self._wait_or_skip(launch, terms, by)
        self.token += 1
        self.slots[launch.identity] = Slot(
            launch=launch, state="running", at=now, token=self.token, expiry=now + terms.lease, terms=terms
        )
        lease_ms = terms.lease // timedelta(milliseconds=1)
        return Lease(launch=launch, token=self.token, lease_ms=lease_ms, claimed_at=now)

    def renew(self, lease: Lease) -> Hold:
        slot = self._held(lease)
        if slot is None:
            return Hold.LOST
        slot.expiry = self.clock.now() + timedelta(milliseconds=lease.lease_ms)
        return Hold.CANCELLED if slot.cancelled_by else Hold.HELD

    def give_back(self, lease: Lease, window_end: datetime | None) -> bool:
        slot = self._held(lease)
        if slot is not None:
            slot.state, slot.window_end, slot.expiry = "sent", window_end, None
        return slot is not None

    def hand_over(self, lease: Lease, parts: int, figures: Mapping[str, int] = NO_FIGURES) -> bool:
        slot = self._held(lease)
        if slot is not None:
            slot.parts_left, slot.begun_with = parts, figures
        return self.renew(lease) is not Hold.LOST

    def part_done(self, lease: Lease, part: int, figures: Mapping[str, int], error: str = "") -> Progress | None:
        slot = self._held(lease)
        if slot is None:
            return None
        if part not in slot.parts:
            slot.parts[part] = figures
            slot.parts_left -= 1
            slot.error = slot.error or error
        return slot.progress(figures)

    def progress(self, identity: str) -> Progress | None:
        slot = self.slots.get(identity)
        if slot is None or slot.begun_with is None:
            return None
        return slot.progress([name for each in (slot.begun_with, *slot.parts.values()) for name in each])

    def record(self, lease: Lease, run: Run, *, busy_for: timedelta = timedelta(0)) -> Outcome | None:
        slot = self.slots.get(lease.launch.identity)
        forgotten = slot is None or (not slot.token and slot.outcome is Outcome.MISSED)
        if slot is None or forgotten or (slot.state == "running" and slot.token == lease.token):
            self._close(lease.launch, run.outcome, run)
            closed = self.slots[lease.launch.identity]
            closed.token = lease.token
            closed.expiry = self.clock.now() + busy_for if busy_for else None
            return run.outcome
        if slot.token != lease.token:
            return None
        if slot.outcome not in {run.outcome, Outcome.FENCED, Outcome.CANCELLED}:
            self._close(lease.launch, Outcome.FENCED, run)
        return self.slots[lease.launch.identity].outcome

    def forget(self, launch: Launch) -> None:
        """Do what a Redis does that loses its data."""
        self.slots.pop(launch.identity, None)

    def settle(self, launch: Launch, outcome: Outcome, error: str) -> bool:
        slot = self.slots.get(launch.identity)
        if slot is not None and slot.state in {"running", "done"}:
            return False
        self._close(launch, outcome)
        return True

    def cancel(self, launch: Launch, who: str) -> str:
        slot = self.slots.get(launch.identity)
        if slot is not None and slot.state == "done":
            return str(slot.outcome)
        if slot is not None and slot.state == "running":
            slot.cancelled_by = who
            return "stopping"
        self._close(launch, Outcome.CANCELLED)
        return "cancelled"

    def resolve(self, identity: str, outcome: Outcome, who: str) -> str:
        slot = self.slots.get(identity)
        if slot is None or slot.state != "done":
            return slot.state if slot else ""
        before = str(slot.outcome)
        if slot.outcome is Outcome.UNKNOWN:
            self._close(slot.launch, outcome)
        return before

    def reap(self) -> Sequence[str]:
        now = self.clock.now()
        died = [each for each in self.slots.values() if each.state == "running" and (each.expiry or now) < now]
        unrun = [
            each
            for each in self.slots.values()
            if each.state in {"dispatched", "sent"} and each.window_end is not None and each.window_end < now
        ]
        for each in died:
            self._close_dead(each)
        for each in unrun:
            self._close(each.launch, Outcome.MISSED)
        return [each.launch.identity for each in (*died, *unrun)]

    def dispatch(self, launches: Sequence[tuple[Launch, datetime]], *, beat: str) -> list[Dispatch]:
        return [self._dispatch(launch, window_end, beat) for launch, window_end in launches]

    def sent(self, launches: Sequence[Launch], *, beat: str, after: datetime | None = None) -> None:
        for launch in launches:
            if after is None or self.newest_slots.get(launch.job, datetime.min.replace(tzinfo=UTC)) >= after:
                self._note_newest(launch)
            slot = self.slots.get(launch.identity)
            if slot is not None and slot.state == "dispatched" and slot.beat == beat:
                slot.state = "sent"

    def miss(self, launches: Sequence[Launch], error: str) -> int:
        unknown = [each for each in launches if each.identity not in self.slots]
        for launch in unknown:
            self._close(launch, Outcome.MISSED)
            self._note_newest(launch)
        return len(unknown)

    def miss_row(self, backlog: Backlog, row: Row, error: str) -> bool:
        run = row_run(backlog, row)
        launch = Launch(job=run.job, key=run.key, slot=row.last, source=run.source, run_id=run.run_id)
        if launch.identity in self.slots:
            return False
        self._close(launch, Outcome.MISSED, run)
        self._note_newest(launch)
        return True

    def owe(self, backlogs: Sequence[Backlog]) -> None:
        for each in backlogs:
            self.backlogs[each.name] = each

    def owed(self) -> Sequence[Backlog]:
        return list(self.backlogs.values())

    def settled(self, backlog: Backlog) -> None:
        self.backlogs.pop(backlog.name, None)

    def hold_name(self, name: str, holder: str) -> str:
        return self.names.setdefault(name, holder)

    def release_name(self, name: str, holder: str) -> None:
        if self.names.get(name) == holder:
            del self.names[name]

    def newest(self) -> Mapping[str, datetime]:
        return self.newest_slots

    def read(self, after: str, most: int) -> Sequence[LedgerEntry]:
        found = [each for each in self.entries if _order(each.stream_id) > _order(after)]
        return found[:most]

    def trim(self, up_to: str, keep: int) -> None:
        drained = [each for each in self.entries if _order(each.stream_id) <= _order(up_to)]
        self.entries = drained[-keep:] + self.entries[len(drained) :]

    def _dispatch(self, launch: Launch, window_end: datetime, beat: str) -> Dispatch:
        slot, now = self.slots.get(launch.identity), self.clock.now()
        if slot is not None and slot.state != "dispatched":
            return Dispatch.GONE
        if launch.job in self.paused:
            self._close(launch, Outcome.SKIPPED)
            return Dispatch.PAUSED
        if slot is not None and slot.beat != beat and now - slot.at < TAKEOVER:
            return Dispatch.THEIRS
        if slot is None and not self._is_left(launch.job):
            return Dispatch.GONE
        if slot is None and self._lost(launch.slot):
            self._close(launch, Outcome.MISSED)
            return Dispatch.LOST
        self.slots[launch.identity] = Slot(launch=launch, state="dispatched", at=now, beat=beat, window_end=window_end)
        return Dispatch.YOURS

    def _is_left(self, job: str) -> bool:
        left = self.repeats.get(job, 1)
        if job in self.repeats:
            self.repeats[job] = max(left - 1, 0)
        return left > 0

    def _lost(self, slot: datetime | None) -> bool:
        self.open()
        return slot is not None and self.epoch is not None and slot <= self.epoch

    def _in_the_way(self, job: str, terms: Terms) -> str | None:
        for each in [each for each in self.slots.values() if each.state == "running" and not self._alive(each)]:
            self._close_dead(each)
        busy = [each for each in self.slots.values() if self._alive(each)]
        holder = next(
            (each for each in busy if each.launch.job == job and each.terms.overlap is not Overlap.ALLOW), None
        )
        if holder is not None and terms.overlap is not Overlap.ALLOW:
            return f"{holder.launch.identity} is still running"
        in_group = [each for each in busy if each.state == "running" and each.terms.group == terms.group]
        if terms.group and terms.group_limit and len(in_group) >= terms.group_limit:
            return f"the group {terms.group} runs {terms.group_limit} at once"
        return None

    def _wait_or_skip(self, launch: Launch, terms: Terms, by: str) -> Refused:
        if terms.overlap is Overlap.DEFER:
            return Refused(reason=Refusal.WAIT, by=by)
        if terms.overlap is Overlap.QUEUE:
            waiting = self.slots.get(self.waiting.get(launch.job, ""))
            if self.waiting.get(launch.job, launch.identity) == launch.identity or (
                waiting and waiting.state == "done"
            ):
                self.waiting[launch.job] = launch.identity
                return Refused(reason=Refusal.WAIT, by=by)
            by = f"{self.waiting[launch.job]} is waiting already"
        return self._refuse(launch, Outcome.SKIPPED, Refused(reason=Refusal.BUSY, by=by))

    def _alive(self, slot: Slot) -> bool:
        return slot.expiry is not None and slot.expiry > self.clock.now()

    def _close_dead(self, slot: Slot) -> None:
        self._close(slot.launch, Outcome.CANCELLED if slot.cancelled_by else Outcome.UNKNOWN)

    def _held(self, lease: Lease) -> Slot | None:
        slot = self.slots.get(lease.launch.identity)
        return slot if slot is not None and slot.state == "running" and slot.token == lease.token else None

    def _refuse(self, launch: Launch, outcome: Outcome, refused: Refused) -> Refused:
        self._close(launch, outcome)
        return refused

    def _close(self, launch: Launch, outcome: Outcome, run: Run | None = None) -> None:
        old = self.slots.get(launch.identity)
        token = old.token if old else 0
        self.slots[launch.identity] = Slot(
            launch=launch, state="done", at=self.clock.now(), token=token, outcome=outcome
        )
        ended = run or Run(
            job=launch.job,
            key=launch.key,
            slot=launch.slot,
            source=launch.source,
            outcome=outcome,
            run_id=launch.run_id,
        )
        stream_id = f"{int(self.clock.now().timestamp() * 1000)}-{len(self.entries)}"
        self.entries.append(LedgerEntry(stream_id=stream_id, run=msgspec.structs.replace(ended, outcome=outcome)))

    def _note_newest(self, launch: Launch) -> None:
        if launch.slot is not None:
            self.newest_slots[launch.job] = max(launch.slot, self.newest_slots.get(launch.job, launch.slot))


@dataclass(kw_only=True)
class MemoryScheduleStore:
    """The contract of the schedule store, beside the claims of the same process."""

    claims: MemoryClaims
    schedules: dict[str, tuple[Schedule, datetime]] = field(default_factory=dict)
    log: list[str] | None = None

    def is_open(self) -> bool:
        return self.log is not None

    def version(self) -> int:
        return len(self.log or ())

    def changes(self, after: int | None) -> Changes:
        version, now = self.version(), self.claims.clock.now()
        if after is None or after > version:
            found = {each.schedule.job: each for each in self.all()}
            return Changes(version=version, now=now, schedules=found, complete=True)
        jobs = dict.fromkeys((self.log or [])[after:])
        return Changes(version=version, now=now, schedules={job: self.find(job) for job in jobs})

    def find(self, job: str) -> Stored | None:
        if job not in self.schedules:
            return None
        schedule, since = self.schedules[job]
        return Stored(schedule=schedule, since=since, left=self.claims.repeats.get(job))

    def all(self) -> Sequence[Stored]:
        found = [self.find(job) for job in sorted(self.schedules)]
        return [
            each
            for each in found
            if each is not None
            and (each.schedule.origin is Origin.STORE or each.schedule.state is ScheduleState.PAUSED)
        ]

    def change(self, wish: Wish) -> datetime | None:
        job, now = wish.schedule.job, self.claims.clock.now()
        known = self.schedules.get(job)
        if wish.replaces != (known[0] if known else None):
            return None
        if wish.schedule.state is ScheduleState.REMOVED:
            for book in (self.schedules, self.claims.paused, self.claims.repeats):
                book.pop(job, None)
            self.claims.paused[job] = "deleted"
        else:
            self._keep(wish.schedule, now, wish.times)
        self.log = [*(self.log or []), job]
        return now

    def restore(self, jobs: Sequence[Restored]) -> int | None:
        if self.is_open():
            return None
        kept = [each for each in jobs if each.schedule is not None]
        for each in kept:
            if each.schedule is not None:
                self._keep(each.schedule, each.taken_care_of, each.left)
        self.log = [""]
        return len(kept)

    def _keep(self, schedule: Schedule, since: datetime, times: int | None) -> None:
        self.schedules[schedule.job] = (schedule, since)
        self.claims.paused.pop(schedule.job, None)
        if schedule.state is ScheduleState.PAUSED:
            self.claims.paused[schedule.job] = schedule.reason
        if times:
            self.claims.repeats[schedule.job] = times
        elif times == 0:
            self.claims.repeats.pop(schedule.job, None)


def _order(stream_id: str) -> tuple[int, int]:
    ms, _, sequence = stream_id.partition("-")
    return int(ms), int(sequence or 0)
