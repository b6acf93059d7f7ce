"""Sends alerts to the address of SCHEDULER_ALERT_URL: a few attempts, a hard limit for each, never an exception."""

import asyncio
from dataclasses import dataclass

import httpx
import msgspec
import stamina

from tasks.domain.outcomes import cut_error
from tasks.domain.streaks import Alert, Delivery

WORTH_ANOTHER_TRY = frozenset({408, 425, 429})
FIRST_SERVER_STATUS = 500


class _NotTakenError(Exception):
    """The hook did not take the alert, but may take it later."""


class _RefusedError(Exception):
    """The hook will never take this alert."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpAlertHook:
    """One JSON POST for an alert, with its id as `Idempotency-Key` so that a repeated attempt can be told.

    An attempt has `seconds` in all, however slowly the other side answers; its body is not read. Network errors, 5xx,
    408, 425 and 429 are tried again up to `attempts` times, `first_wait` s apart at first and doubling; any 2xx is
    taken, all else (redirects included) is refused for good.
    """

    url: str
    seconds: float = 10
    attempts: int = 4
    first_wait: float = 0.5

    def send(self, alert: Alert) -> Delivery:
        """Send an alert; whatever happens comes back as a Delivery."""
        return asyncio.run(self._send(alert))

    async def _send(self, alert: Alert) -> Delivery:
        made = 0
        try:
            async for attempt in stamina.retry_context(
                on=_NotTakenError, attempts=self.attempts, timeout=None, wait_initial=self.first_wait, wait_max=10
            ):
                with attempt:
                    made += 1
                    await self._attempt(alert)
        except (_NotTakenError, _RefusedError) as error:
            return Delivery(id=alert.id, attempts=made, error=cut_error(str(error)))
        return Delivery(id=alert.id, attempts=made)

    async def _attempt(self, alert: Alert) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                status = await self._post(alert)
        except TimeoutError:
            raise _NotTakenError(f"no answer within {self.seconds:g} s") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise _RefusedError("its address can't be used") from None
        except httpx.HTTPError as error:
            raise _NotTakenError(type(error).__name__) from None
        if status >= FIRST_SERVER_STATUS or status in WORTH_ANOTHER_TRY:
            raise _NotTakenError(f"HTTP {status}")
        if not httpx.codes.is_success(status):
            raise _RefusedError(f"HTTP {status}")

    async def _post(self, alert: Alert) -> int:
        headers = {"Content-Type": "application/json", "Idempotency-Key": alert.id, "User-Agent": "escapement"}
        content = msgspec.json.encode(alert)
        async with (
            httpx.AsyncClient(timeout=self.seconds) as client,
            client.stream("POST", self.url, content=content, headers=headers) as response,
        ):
            return response.status_code
