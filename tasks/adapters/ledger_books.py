"""The books of the ledger in DuckDB: schedules, streaks and alerts; open only while they are worked on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tasks.adapters.warehouse_open import opened
from tasks.adapters.warehouse_sql import statements
from tasks.domain.claims import LedgerEntry
from tasks.domain.schedules import ScheduleEntry
from tasks.domain.streaks import Alert, Delivery, Streak, advance_all

if TYPE_CHECKING:
    import duckdb

STREAKS_UP_TO = "streaks up to"


class DuckBooks:
    """Tables of the warehouse file, which the warehouse makes; each method writes in one transaction.

    Raises WarehouseBusyError while another process keeps the file locked.
    """

    def __init__(self, path: Path, *, patience_s: float = 60) -> None:
        self._path, self._patience_s = path, patience_s
        self._sql = statements("ledger_books.sql")
        self._schema = statements("warehouse_schema.sql")

    def append_schedules(self, entries: Sequence[ScheduleEntry]) -> None:
        """Keep schedule changes by their stream id; repeating it changes nothing."""
        if not entries:
            return
        rows = [_schedule_row(entry) for entry in entries]
        with self._writing() as connection:
            connection.execute(self._sql["append_schedules"], {"entries": _json(rows)})

    def advance_streaks(self, entries: Sequence[LedgerEntry], *, now: datetime, alerting: bool) -> int:
        """Take runs that are newer than those already taken; returns how many alerts were queued.

        Streaks, alerts and the mark of how far they are go into one transaction: an event is queued once.
        """
        if not entries:
            return 0
        with self._writing() as connection:
            mark = self._mark(connection)
            new = [each for each in entries if mark is None or _order(each.stream_id) > _order(mark)]
            if not new:
                return 0
            streaks, alerts = advance_all(self._streaks(connection, {each.run.job for each in new}), new)
            connection.execute(self._sql["write_streaks"], {"streaks": _json(list(streaks.values()))})
            connection.execute(self._schema["write_mark"], {"name": STREAKS_UP_TO, "value": new[-1].stream_id})
            if alerts and alerting:
                rows = [{"id": alert.id, "alert": alert} for alert in alerts]
                connection.execute(self._sql["queue_alerts"], {"alerts": _json(rows), "now": now})
            return len(alerts) if alerting else 0

    def streaks_up_to(self) -> str | None:
        """Return the stream id of the newest run that the streaks know."""
        with self._writing() as connection:
            return self._mark(connection)

    def take_alerts(self, most: int) -> list[Alert]:
        """Take queued alerts, each once: who takes them sends them or nobody does."""
        with self._writing() as connection:
            rows = connection.execute(self._sql["take_alerts"], {"most": most}).fetchall()
        return sorted(
            (msgspec.json.decode(row[0], type=Alert) for row in rows), key=lambda each: (str(each.at), each.id)
        )

    def end_alerts(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Note what became of taken alerts."""
        with self._writing() as connection:
            for each in deliveries:
                state = "failed" if each.error else "sent"
                values = {"id": each.id, "state": state, "attempts": each.attempts, "error": each.error, "now": now}
                connection.execute(self._sql["end_alert"], values)

    def forget_taken(self, now: datetime) -> None:
        """Give up on alerts that a process took and died with."""
        with self._writing() as connection:
            connection.execute(self._sql["forget_taken"], {"now": now})

    def prune_alerts(self, older_than: datetime) -> None:
        """Forget alerts that were queued before an instant and have ended."""
        with self._writing() as connection:
            connection.execute(self._sql["prune_alerts"], {"older_than": older_than})

    @contextmanager
    def _writing(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        with opened(self._path, patience_s=self._patience_s) as connection:
            connection.execute(self._schema["session"])
            connection.begin()
            yield connection
            connection.commit()

    def _mark(self, connection: "duckdb.DuckDBPyConnection") -> str | None:
        row = connection.execute(self._sql["mark"], {"name": STREAKS_UP_TO}).fetchone()
        return row[0] if row else None

    def _streaks(self, connection: "duckdb.DuckDBPyConnection", jobs: set[str]) -> Mapping[str, Streak]:
        rows = connection.execute(self._sql["read_streaks"], {"jobs": sorted(jobs)}).fetchall()
        found = (Streak(**dict(zip(Streak.__struct_fields__, row, strict=True))) for row in rows)
        return {streak.job: streak for streak in found}


def _schedule_row(entry: ScheduleEntry) -> dict[str, Any]:
    change = entry.change
    row: dict[str, Any] = msgspec.to_builtins(change.schedule)
    return row | {"stream_id": entry.stream_id, "since": change.since.isoformat(), "author": change.by}


def _json(rows: Sequence[Any]) -> str:
    return msgspec.json.encode(rows).decode()


def _order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence or 0)
