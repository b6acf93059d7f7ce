"""The route in Flower on which slots are called: POST /escapement/trigger/<job>/<slot>."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import flower.urls
from celery.utils.log import get_logger
from tornado.web import HTTPError, RequestHandler, url

from tasks.domain.jobs import Job
from tasks.domain.outcomes import Source
from tasks.domain.schedules import ScheduleState
from tasks.domain.slots import parse_slot, slot_text
from tasks.errors import ConfigurationError, RedisUnavailableError, UnknownJobError
from tasks.ports import Services
from workers.triggers.firing import Firing, is_due
from workers.triggers.gate import Gate, NotLetInError
from workers.triggers.keys import read_key
from workers.triggers.message import send

PATTERN: Final = r"/escapement/trigger/([^/]+)/([^/]+)"
ANSWER_SECONDS: Final = 10
RETRY_SECONDS: Final = 5
SOON: Final = timedelta(seconds=2)
MOMENT: Final = timedelta(milliseconds=5)
THREADS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="trigger")

logger = get_logger(__name__)


class Answer(StrEnum):
    """What the service is told."""

    DISPATCHED = "dispatched"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """The callback has to come again, in whole seconds."""

    seconds: int
    why: str


class TriggerCallback(RequestHandler):
    """Marks a slot as dispatched and sends it; never runs a job here.

    It is no page of Flower: its token takes the place of Flower's sign-in and of the XSRF cookie, which belong to
    browsers. Answers 202 to the caller that got the slot, 200 `gone`, 400, 401, or 503 with Retry-After.
    """

    def check_xsrf_cookie(self) -> None:
        """Ask for no cookie: no browser signs these requests."""

    async def post(self, job: str, text: str) -> None:
        app = self.application.capp  # type: ignore[attr-defined]
        self._let_in(app, job, text)
        slot = self._slot(text)
        pause = slot - datetime.now(UTC)
        if pause > SOON:
            self._come_again(Later(seconds=ceil(pause.total_seconds()), why="it is too early"))
            return
        if pause > timedelta(0):
            await asyncio.sleep((pause + MOMENT).total_seconds())
        await self._fire(app, job, slot)

    async def _fire(self, app: Any, job: str, slot: datetime) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await asyncio.get_running_loop().run_in_executor(THREADS, fire, app, job, slot)
        except (RedisUnavailableError, TimeoutError) as error:
            logger.warning("%s/%s was called and could not be sent: %s", job, slot_text(slot), error or "no answer")
            self._come_again(Later(seconds=RETRY_SECONDS, why="Redis can't be reached"))
            return
        self._say(HTTPStatus.ACCEPTED if answer is Answer.DISPATCHED else HTTPStatus.OK, slot=answer)

    def _let_in(self, app: Any, job: str, text: str) -> None:
        try:
            gate_of(app).check(self.request.headers.get("Authorization", ""), job, text)
        except NotLetInError as error:
            logger.warning("a callback from %s was refused: %s", self.request.remote_ip, error)
            raise HTTPError(HTTPStatus.UNAUTHORIZED) from None

    def _slot(self, text: str) -> datetime:
        try:
            slot = parse_slot(text)
        except ValueError:
            raise HTTPError(HTTPStatus.BAD_REQUEST) from None
        if slot_text(slot) != text:
            raise HTTPError(HTTPStatus.BAD_REQUEST)
        return slot

    def _come_again(self, later: Later) -> None:
        self.set_header("Retry-After", str(later.seconds))
        self._say(HTTPStatus.SERVICE_UNAVAILABLE, error=later.why)

    def _say(self, status: HTTPStatus, **words: str) -> None:
        self.set_status(status)
        self.finish(words)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer in JSON, without Flower's page."""
        if status_code == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "Bearer")
        self.finish({"error": HTTPStatus(status_code).phrase})


def fire(app: Any, name: str, slot: datetime) -> Answer:
    """Mark a slot as dispatched and send it, if it is still one and still in time; raises RedisUnavailableError."""
    services: Services = app.services
    job, now = _expecting(services, name, slot), services.clock.now()
    if job is None or not is_due(job, slot, now):
        return Answer.GONE
    firing = Firing(dispatches=services.dispatches, send=send, who="flower", source=Source.WEBHOOK)
    return Answer.DISPATCHED if firing.fire(job, slot, now) else Answer.GONE


def _expecting(services: Services, name: str, slot: datetime) -> Job | None:
    """Return the job unless it is paused or its schedule began after the slot, which is beat's to settle then."""
    stored = services.store.find(name)
    if stored is not None and (stored.schedule.state is not ScheduleState.ACTIVE or slot <= stored.since):
        return None
    try:
        return services.job(name)
    except (UnknownJobError, ConfigurationError):
        return None


@cache
def gate_of(app: Any) -> Gate:
    """Return the gate of an app, made once from its settings."""
    pem = app.settings.scheduler_trigger_public_key
    return Gate(
        key=None if pem is None else read_key(pem),
        audience=app.settings.scheduler_trigger_audience,
        issuer=app.settings.scheduler_trigger_issuer,
    )


def serve_callbacks() -> None:
    """Let Flower serve the route; it reads its list of handlers when it starts."""
    flower.urls.handlers.insert(0, url(PATTERN, TriggerCallback, name="trigger"))
