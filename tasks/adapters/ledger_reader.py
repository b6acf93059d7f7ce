"""Reads the ledger as it is now: what the warehouse holds, and what is still in the stream on its way there."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tasks.adapters.warehouse_open import opened
from tasks.adapters.warehouse_sql import statements
from tasks.domain.backlog import row_of
from tasks.domain.claims import LedgerEntry
from tasks.domain.history import Wanted, time_of
from tasks.domain.outcomes import Outcome, Run
from tasks.domain.schedules import Schedule, ScheduleChange, ScheduleEntry
from tasks.domain.slots import parse_slot
from tasks.domain.streaks import Streak
from tasks.ports import Ledger

ENTRIES_AT_ONCE = 5_000
OLDEST = "0"
NEWEST_RUN = "newest stream id"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[Any, ...]
Entry = LedgerEntry | ScheduleEntry


class LedgerReader:
    """Answers questions about runs and schedules, read-only.

    The warehouse is read before the stream, and the stream keeps what was drained last: nothing can slip between.
    `stream` None leaves out what is not drained yet. Raises RedisUnavailableError and WarehouseBusyError.
    """

    def __init__(self, path: Path, stream: Ledger | None, *, patience_s: float = 60) -> None:
        self._path, self._stream, self._patience_s = path, stream, patience_s
        self._sql = statements("ledger_books.sql")
        self._session = statements("warehouse_schema.sql")["session"]

    @property
    def has_warehouse(self) -> bool:
        return self._path.exists()

    def without_stream(self) -> "LedgerReader":
        """Return a reader of the warehouse alone."""
        return LedgerReader(self._path, None, patience_s=self._patience_s)

    def runs(self, wanted: Wanted) -> list[Run]:
        """Return runs, the newest first."""
        mark, rows = self._ask("runs", job=wanted.job, since=wanted.since, outcome=wanted.outcome, most=wanted.most)
        found = _by_identity(_run(row) for row in rows)
        for run in _runs_in(self._tail(mark)):
            found.pop((run.job, run.key), None)
            if wanted.includes(run):
                found[run.job, run.key] = run
        return sorted(found.values(), key=_when, reverse=True)[: wanted.most]

    def run(self, job: str, key: str) -> Run | None:
        """Return the run of a slot, or the one with this run id."""
        mark, rows = self._ask("run", job=job, key=key)
        found = [run for run in _runs_in(self._tail(mark)) if run.job == job and key in {run.key, run.run_id}]
        return found[-1] if found else next((_run(row) for row in rows), None)

    def outcomes(self, since: datetime) -> Mapping[str, Mapping[str, Outcome]]:
        """Return the outcome of every slot after an instant, by job and key."""
        mark, rows = self._ask("outcomes", since=since)
        found: dict[str, dict[str, Outcome]] = {}
        for job, key, outcome in rows:
            found.setdefault(job, {})[key] = Outcome(outcome)
        for run in _runs_in(self._tail(mark)):
            found.setdefault(run.job, {})[run.key] = run.outcome
        return found

    def rows_of_missed(self) -> Mapping[str, Sequence[tuple[datetime, datetime, Outcome]]]:
        """Return the entries that stand for many slots, by job: the first slot, the last, and the outcome of all."""
        mark, rows = self._ask("rows_of_missed")
        found = {(job, slot): (_utc(slot), parse_slot(last), Outcome(outcome)) for job, slot, last, outcome in rows}
        for run in _runs_in(self._tail(mark)):
            if row := row_of(run):
                found[run.job, row.first] = (row.first, row.last, run.outcome)
        by_job: dict[str, list[tuple[datetime, datetime, Outcome]]] = {}
        for (job, _), entry in found.items():
            by_job.setdefault(job, []).append(entry)
        return by_job

    def newest_slots(self) -> Mapping[str, datetime]:
        """Return the newest slot of each job that is recorded in the warehouse."""
        return {job: _utc(newest) for job, newest in self._ask("newest_slots")[1]}

    def consumed(self, job: str, since: datetime) -> int:
        """Count the slots of a job after an instant that were run, skipped or cancelled, by the warehouse alone."""
        rows = self._ask("consumed", job=job, since=since)[1]
        return int(rows[0][0]) if rows else 0

    def schedule_changes(self) -> Sequence[ScheduleChange]:
        """Return the whole history of schedules in the order of the ledger."""
        mark, rows = self._ask("read_schedules")
        changes = dict(_change(row) for row in rows)
        changes |= {each.stream_id: each.change for each in self._tail(mark) if isinstance(each, ScheduleEntry)}
        return list(changes.values())

    def streak(self, job: str) -> Streak | None:
        """Return a job's streak as far as it is drained."""
        _, rows = self._ask("read_streaks", jobs=[job])
        return Streak(**dict(zip(Streak.__struct_fields__, rows[0], strict=True))) if rows else None

    def _ask(self, question: str, **values: Any) -> tuple[str, Sequence[Row]]:
        """Answer one named question, together with the stream id up to which the warehouse knows the runs."""
        if not self.has_warehouse:
            return OLDEST, ()
        with opened(self._path, patience_s=self._patience_s, read_only=True) as connection:
            connection.execute(self._session)
            tables = connection.execute(self._sql["has_tables"]).fetchone()
            if not tables or not tables[0]:
                return OLDEST, ()
            mark = connection.execute(self._sql["mark"], {"name": NEWEST_RUN}).fetchone()
            return mark[0] if mark else OLDEST, connection.execute(self._sql[question], values or None).fetchall()

    def _tail(self, after: str) -> Iterator[Entry]:
        while self._stream is not None and (entries := self._stream.read(after, ENTRIES_AT_ONCE)):
            yield from entries
            after = entries[-1].stream_id


def _runs_in(entries: Iterator[Entry]) -> Iterator[Run]:
    return (each.run for each in entries if isinstance(each, LedgerEntry))


def _by_identity(runs: Iterator[Run]) -> dict[tuple[str, str], Run]:
    return {(run.job, run.key): run for run in runs}


def _run(row: Row) -> Run:
    names = ("job", "key", "source", "outcome", "run_id", "slot", "error", "lateness_s", "duration_s", "worker")
    later = ("attempt", "token", "dispatched_at", "claimed_at", "started_at", "finished_at", "detail")
    fields = {name: _utc(each) for name, each in zip((*names, *later), row, strict=True)}
    return msgspec.convert(fields | {"detail": msgspec.json.decode(fields["detail"] or "{}")}, Run)


def _change(row: Row) -> tuple[str, ScheduleChange]:
    stream_id, *words, since, by = row
    schedule = msgspec.convert(dict(zip(Schedule.__struct_fields__, words, strict=True)), Schedule)
    return stream_id, ScheduleChange(schedule=schedule, since=_utc(since), by=by)


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _when(run: Run) -> datetime:
    return time_of(run) or LONG_AGO
