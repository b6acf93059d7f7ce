"""The one place that wires adapters to ports."""

import os
from datetime import UTC, datetime

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from beat_schedule import job_table
from tasks.adapters.claims import RedisClaims
from tasks.adapters.session_files import FolderOfSessions
from tasks.adapters.staging import StagingFolder
from tasks.adapters.warehouse import DuckWarehouse
from tasks.adapters.watchdog import LeaseWatchdog
from tasks.adapters.web import HttpxWeb
from tasks.domain.batches import Budget
from tasks.ports import Services
from tasks.processors import registry
from workers.embedded import client_url, embedded_url
from workers.settings import Settings

REDIS_SECONDS = 10


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def connect(settings: Settings) -> Redis:
    """Return a client that retries a lost connection three times; every script is safe to repeat."""
    return Redis.from_url(
        client_url(settings.redis_url or embedded_url(settings.data_dir)),
        decode_responses=True,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), 3),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )


def make_services(settings: Settings) -> Services:
    """Make the services of this process; nothing is connected before its first use."""
    clock = SystemClock()
    claims = RedisClaims(connect(settings))
    processors = registry().processors
    return Services(
        clock=clock,
        claims=claims,
        dispatches=claims,
        ledger=claims,
        watchdog=LeaseWatchdog(claims),
        web=HttpxWeb(api_url=str(settings.api_url), token=settings.token, connections=settings.http_concurrency),
        jobs=job_table(settings),
        processors=processors,
        session_files=FolderOfSessions(settings.session_data_dir),
        staging=StagingFolder(settings.data_dir / "staging"),
        warehouse=DuckWarehouse(settings.warehouse_file, processors, clock=clock.now),
        budget=Budget(seconds=settings.session_processor_max_seconds, bytes=settings.session_processor_max_bytes),
        worker=f"{os.uname().nodename}:{os.getpid()}",
    )
