"""The one place that wires adapters to ports."""

import os
from datetime import UTC, datetime
from functools import partial
from time import sleep

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from beat_schedule import job_table
from tasks.adapters.alert_hook import HttpAlertHook
from tasks.adapters.claims import RedisClaims, RedisDispatches, RedisLedger
from tasks.adapters.knowledge import DuckKnowledge
from tasks.adapters.ledger_books import DuckBooks
from tasks.adapters.ledger_hot import RedisHotSlots
from tasks.adapters.ledger_reader import LedgerReader
from tasks.adapters.ledger_schedules import RedisSchedules
from tasks.adapters.llm import HttpLanguageModel
from tasks.adapters.schedule_store import RedisScheduleStore
from tasks.adapters.session_files import FolderOfSessions
from tasks.adapters.staging import StagingFolder
from tasks.adapters.warehouse import DuckWarehouse
from tasks.adapters.watchdog import LeaseWatchdog
from tasks.adapters.web import HttpxWeb
from tasks.domain.batches import Budget
from tasks.ledger_ports import Records
from tasks.ports import Services
from tasks.processors import registry
from tasks.processors.verification import VerificationProcessor
from tasks.verification_ports import VerificationServices
from workers.embedded import client_url, embedded_url
from workers.settings import Settings
from workers.stored_jobs import RuntimeJobs

REDIS_SECONDS = 10
REST_SECONDS = 0.005
PATIENT_TRIES = 10  # a result that is known should outlive a restart of Redis


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def connect(settings: Settings, *, tries: int = 3) -> Redis:
    """Return a client that tries a lost connection again, within 1 s (3 tries) or 8 s (10); scripts may be repeated."""
    return Redis.from_url(
        client_url(settings.redis_url or embedded_url(settings.data_dir)),
        decode_responses=True,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), tries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )


def make_services(settings: Settings) -> Services:
    """Make the services of this process; nothing is connected before its first use."""
    clock = SystemClock()
    redis = connect(settings)
    claims, store = RedisClaims(connect(settings, tries=PATIENT_TRIES)), RedisScheduleStore(redis)
    processors = registry().processors
    tables = {**processors, VerificationProcessor.name: VerificationProcessor()}
    warehouse = DuckWarehouse(settings.warehouse_file, tables, clock=clock.now)
    return Services(
        clock=clock,
        claims=claims,
        dispatches=RedisDispatches(redis),
        ledger=RedisLedger(redis),
        records=_records(settings, redis),
        watchdog=LeaseWatchdog(claims),
        web=HttpxWeb(
            api_url=str(settings.api_url),
            token=settings.token,
            secrets=settings.jobs_file.secrets,
            connections=settings.http_concurrency,
        ),
        jobs=job_table(settings),
        store=store,
        stored_jobs=RuntimeJobs(
            store=store,
            timezone=settings.scheduler_timezone,
            processors=sorted(tables),
            secrets=settings.jobs_file.secrets,
        ),
        processors=processors,
        session_files=FolderOfSessions(settings.session_data_dir),
        staging=StagingFolder(settings.data_dir / "staging"),
        warehouse=warehouse,
        budget=Budget(seconds=settings.session_processor_max_seconds, bytes=settings.session_processor_max_bytes),
        worker=f"{os.uname().nodename}:{os.getpid()}",
        verification=VerificationServices(knowledge=DuckKnowledge(warehouse=warehouse), model=_model(settings)),
    )


def _records(settings: Settings, redis: Redis) -> Records:
    address = settings.scheduler_alert_url
    return Records(
        schedules=RedisSchedules(redis, rest=partial(sleep, REST_SECONDS)),
        hot_slots=RedisHotSlots(redis),
        view=LedgerReader(settings.warehouse_file, RedisLedger(redis)),
        books=DuckBooks(settings.warehouse_file),
        hook=None if address is None else HttpAlertHook(url=str(address)),
    )


def _model(settings: Settings) -> HttpLanguageModel | None:
    """Return the model that verification asks, or None when none is configured."""
    url, name, key = settings.verification_llm_url, settings.verification_llm_model, settings.verification_llm_api_key
    if url is None or name is None:
        return None
    clear = None if key is None else key.get_secret_value()
    return HttpLanguageModel(url=str(url), name=name, style=settings.verification_llm_style, key=clear)
