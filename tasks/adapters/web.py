"""HTTP jobs over httpx: at most one send, and the truth about what came back."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from tasks.adapters.loop_thread import LoopThread
from tasks.domain.jobs import HttpCall
from tasks.domain.outcomes import ERROR_BYTES, Launch, Outcome, Result, cut_error
from tasks.domain.redaction import Redaction
from tasks.domain.streaks import EMPTY
from tasks.ports import Stop

CONNECT_SECONDS = 10.0
FIRST_FAILED_STATUS = 400
SURELY_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(kw_only=True)
class HttpxWeb:
    """Sends the calls of HTTP jobs: to `api_url` with the token, to other absolute addresses without it.

    A status below 400 is `ok`, any other `failed` with the first 200 bytes of the body. An error before anything was
    sent is `failed` and may be repeated; one after that is `unknown`: the server may have done the work. Redirects are
    not followed. `secrets` are the values of headers by the name of their environment variable; they and the token are
    in no error text.
    """

    api_url: str
    token: str | None = field(default=None, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    connections: int = 64
    _loop: LoopThread = field(default_factory=lambda: LoopThread("web"))

    def call(self, call: HttpCall, launch: Launch, stop: Stop) -> Result:
        """Send the request once, with the launch's identity as `Idempotency-Key`, unless `stop` comes first.

        Raises LeaseLostError or RunCancelledError when it was stopped.
        """
        answer = self._loop.submit(self._send(call, launch))
        with stop.calling(answer.cancel):
            try:
                return self._clean(answer.result())
            except CancelledError:
                stop.check()
                raise

    async def _send(self, call: HttpCall, launch: Launch) -> Result:
        if missing := sorted(set(call.headers.values()) - self.secrets.keys()):
            return Result(outcome=Outcome.FAILED, error=f"not sent: {', '.join(missing)} is not set in this process")
        try:
            async with asyncio.timeout(call.timeout) as limit:
                return await self._answer(call, launch, limit)
        except SURELY_NOT_SENT as error:
            return Result(outcome=Outcome.FAILED, error=f"not sent: {_named(error)}", repeatable=True)
        except (TimeoutError, httpx.TimeoutException):
            error_text = f"no answer within {call.timeout:g} s; it may have run"
            return Result(outcome=Outcome.UNKNOWN, error=error_text, repeatable=call.repeatable)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            return Result(outcome=Outcome.FAILED, error=f"not sent: {_named(error)}")
        except httpx.HTTPError as error:
            error_text = f"no answer, it may have run: {_named(error)}"
            return Result(outcome=Outcome.UNKNOWN, error=error_text, repeatable=call.repeatable)

    async def _answer(self, call: HttpCall, launch: Launch, limit: asyncio.Timeout) -> Result:
        async with self._client.stream(**self._request(call, launch)) as response:
            detail: dict[str, int | float | str] = {"status": response.status_code}
            until = limit.when()
            limit.reschedule(None)
            if response.status_code < FIRST_FAILED_STATUS:
                empty = call.expect_body and await _is_empty(response, until)
                return Result(outcome=Outcome.OK, detail=detail | ({EMPTY: 1} if empty else {}))
            error_text = await self._first_bytes(response, until) or f"HTTP {response.status_code}"
            return Result(outcome=Outcome.FAILED, error=error_text, detail=detail)

    def _request(self, call: HttpCall, launch: Launch) -> dict[str, Any]:
        path = call.url.startswith("/")
        headers = httpx.Headers({"Accept-Encoding": "identity"})
        if path and self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if call.body is not None:
            headers["Content-Type"] = call.body.content_type
        headers.update({name: self.secrets[variable] for name, variable in call.headers.items()})
        headers["Idempotency-Key"] = launch.identity
        return {
            "method": call.method,
            "url": self.api_url.rstrip("/") + call.url if path else call.url,
            "headers": headers,
            "content": None if call.body is None else call.body.content.encode(),
            "timeout": httpx.Timeout(call.timeout, connect=min(call.timeout, CONNECT_SECONDS)),
        }

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Give each call a connection of its own: one kept alive may be closed just as the next call is sent on it."""
        limits = httpx.Limits(max_connections=self.connections, max_keepalive_connections=0)
        return httpx.AsyncClient(limits=limits, headers={"User-Agent": "escapement"})

    async def _first_bytes(self, response: httpx.Response, until: float | None) -> str:
        """Read what an error text needs; the status stands, whatever happens to the rest of the answer."""
        wanted, body, ended = ERROR_BYTES + self._redaction.longest, b"", False
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout_at(until):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) >= wanted:
                        break
                else:
                    ended = True
        text = body.decode("utf-8", "replace").strip()
        return text if ended else self._redaction.clean(text.rstrip("\N{REPLACEMENT CHARACTER}"), cut=True)

    @cached_property
    def _redaction(self) -> Redaction:
        token = {} if self.token is None else {"token": self.token}
        return Redaction(secrets=token | dict(self.secrets))

    def _clean(self, result: Result) -> Result:
        if result.error is None:
            return result
        error = cut_error(self._redaction.clean(result.error))
        return Result(outcome=result.outcome, error=error, detail=result.detail, repeatable=result.repeatable)


async def _is_empty(response: httpx.Response, until: float | None) -> bool:
    """Say whether an answer ends before anything but white space came; one that breaks off is not known to be empty."""
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout_at(until):
            async for chunk in response.aiter_bytes():
                if chunk.strip():
                    return False
            return True
    return False


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
