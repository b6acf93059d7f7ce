"""HTTP jobs over httpx: at most one send, and the truth about what came back."""

import asyncio
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import httpx

from tasks.adapters.loop_thread import LoopThread
from tasks.domain.jobs import HttpCall
from tasks.domain.outcomes import ERROR_BYTES, Launch, Outcome, Result, cut_error
from tasks.ports import Stop

CONNECT_SECONDS = 10.0
FIRST_FAILED_STATUS = 400
SURELY_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(kw_only=True)
class HttpxWeb:
    """Sends the calls of HTTP jobs: to `api_url` with the token, to other absolute addresses without it.

    A status below 400 is `ok`, any other `failed` with the first 200 bytes of the body. An error before anything was
    sent is `failed` and may be repeated; one after that is `unknown`: the server may have done the work.
    """

    api_url: str
    token: str | None = None
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
        try:
            async with asyncio.timeout(call.timeout):
                return await self._answer(call, launch)
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

    async def _answer(self, call: HttpCall, launch: Launch) -> Result:
        url, headers = self._target(call.url)
        headers["Idempotency-Key"] = launch.identity
        timeout = httpx.Timeout(call.timeout, connect=min(call.timeout, CONNECT_SECONDS))
        async with self._client.stream(call.method, url, headers=headers, timeout=timeout) as response:
            detail: dict[str, int | float | str] = {"status": response.status_code}
            if response.status_code < FIRST_FAILED_STATUS:
                return Result(outcome=Outcome.OK, detail=detail)
            error_text = await self._first_bytes(response) or f"HTTP {response.status_code}"
            return Result(outcome=Outcome.FAILED, error=error_text, detail=detail)

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=self.connections, max_keepalive_connections=self.connections)
        return httpx.AsyncClient(limits=limits, headers={"User-Agent": "escapement"})

    def _target(self, url: str) -> tuple[str, dict[str, str]]:
        if "://" in url:
            return url, {}
        authorization = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return self.api_url.rstrip("/") + url, authorization

    async def _first_bytes(self, response: httpx.Response) -> str:
        """Read what an error text needs, and enough more that a token cut in half is still found."""
        wanted, body = ERROR_BYTES + 4 * len(self.token or ""), b""
        with suppress(httpx.HTTPError):
            async for chunk in response.aiter_bytes(ERROR_BYTES):
                body += chunk
                if len(body) >= wanted:
                    break
        return body.decode("utf-8", "replace").strip()

    def _clean(self, result: Result) -> Result:
        if result.error is None:
            return result
        error = result.error.replace(self.token, "[token]") if self.token else result.error
        return Result(
            outcome=result.outcome, error=cut_error(error), detail=result.detail, repeatable=result.repeatable
        )


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
