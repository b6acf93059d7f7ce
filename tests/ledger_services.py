"""The real adapters that the upkeep of the ledger needs, on one Redis and one file."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import redis

from tasks.adapters.claims import RedisClaims, RedisDispatches, RedisLedger
from tasks.adapters.ledger_books import DuckBooks
from tasks.adapters.ledger_hot import RedisHotSlots
from tasks.adapters.ledger_reader import LedgerReader
from tasks.adapters.ledger_schedules import RedisSchedules
from tasks.adapters.schedule_store import RedisScheduleStore
from tasks.adapters.staging import StagingFolder
from tasks.adapters.warehouse import DuckWarehouse
from tasks.domain.jobs import Job
from tasks.ledger_ports import AlertHook, Records
from tests.fakes import FakeClock


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(kw_only=True)
class LedgerServices:
    client: "redis.Redis[str]"
    file: Path
    hook: AlertHook | None = None
    clock: FakeClock | RealClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.claims = RedisClaims(self.client)
        self.dispatches = RedisDispatches(self.client)
        self.jobs: dict[str, Job] = {}
        self.store = RedisScheduleStore(self.client)
        self.ledger = RedisLedger(self.client)
        self.warehouse = DuckWarehouse(self.file, {}, clock=self.clock.now)
        self.staging = StagingFolder(self.file.parent / "staging")
        self.records = Records(
            schedules=RedisSchedules(self.client),
            hot_slots=RedisHotSlots(self.client),
            view=LedgerReader(self.file, self.ledger),
            books=DuckBooks(self.file),
            hook=self.hook,
        )
