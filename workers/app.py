"""The Celery application: `celery -A workers …`."""

import os
from importlib import import_module

from celery import Celery
from celery.utils.log import get_logger
from kombu import Exchange, Queue

from tasks.ports import Services
from workers.embedded import embedded_url
from workers.liveness import watch_workers
from workers.services import make_services
from workers.settings import Settings, load_settings
from workers.versions import installed, refuse_known_bad

QUEUES = {
    "http": ("tasks.call_endpoint", "tasks.ask_about_session", "tasks.compare_knowledge"),
    "sessions": ("tasks.process_batch",),
    "warehouse": (
        "tasks.process_sessions",
        "tasks.commit_batch",
        "tasks.give_up_batch",
        "tasks.retry_sessions",
        "tasks.reprocess_sessions",
        "tasks.prune_sessions",
        "tasks.commit_answer",
        "tasks.flag_contradictions",
    ),
}
TASKS = ("tasks.http_jobs", "tasks.sessions", "tasks.session_care", "tasks.verification")
REDELIVERY_SECONDS = 60
BROKER_SECONDS = 10
RESULTS_KEPT_SECONDS = 3600
SOFT_SHUTDOWN_SECONDS = 4.0

logger = get_logger(__name__)


class Escapement(Celery):
    """The Celery app with the settings it was made from and the services of this process."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("escapement", set_as_current=True, include=TASKS)
        self.settings = settings
        self._services: tuple[int, Services] | None = None

    @property
    def services(self) -> Services:
        """Return the services of this process: a forked child makes its own."""
        if self._services is None or self._services[0] != os.getpid():
            self._services = (os.getpid(), make_services(self.settings))
        return self._services[1]


def make_app(settings: Settings) -> Escapement:
    """Make the app; needs no connection."""
    app = Escapement(settings)
    app.set_default()
    broker = settings.redis_url or embedded_url(settings.data_dir)
    app.conf.update(
        broker_url=broker,
        result_backend=broker,
        result_expires=RESULTS_KEPT_SECONDS,
        accept_content=["json"],
        task_default_queue="http",
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
        task_routes={name: {"queue": queue} for queue, names in QUEUES.items() for name in names},
        task_create_missing_queues=False,
        task_acks_late=True,
        task_track_started=True,
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_SECONDS,
        worker_enable_soft_shutdown_on_idle=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": REDELIVERY_SECONDS,
            "socket_timeout": BROKER_SECONDS,
            "socket_connect_timeout": BROKER_SECONDS,
            "socket_keepalive": True,
        },
        timezone="UTC",
        beat_scheduler="workers.beat:SlotScheduler",
        beat_max_loop_interval=settings.scheduler_tick_seconds,
        beat_enable_remote_control=True,
    )
    watch_workers(app)
    return app


refuse_known_bad(installed())
app = make_app(load_settings())
import_module("workers.signals")
import_module("workers.start_checks")
