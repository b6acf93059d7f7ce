"""HTTP jobs over httpx: at most one send, and the truth about what came back."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import httpx

from tasks.domain.jobs import HttpCall
from tasks.domain.outcomes import ERROR_BYTES, Launch, Outcome, Result, cut_error

SURELY_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
FIRST_FAILED_STATUS = 400


@dataclass(kw_only=True)
class HttpxWeb:
    """Sends the calls of HTTP jobs: to `api_url` with the token, to other absolute addresses without it.

    A status below 400 is `ok`, any other `failed` with the first 200 bytes of the body. An error before anything was
    sent is `failed`, one after that `unknown`: the server may have done the work.
    """

    api_url: str
    token: str | None = None
    connections: int = 64
    monotonic: Callable[[], float] = time.monotonic

    @cached_property
    def _client(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=self.connections, max_keepalive_connections=self.connections)
        return httpx.Client(limits=limits, headers={"User-Agent": "escapement"})

    def call(self, call: HttpCall, launch: Launch) -> Result:
        """Send the request once, with the launch's identity as `Idempotency-Key`."""
        try:
            result = self._answer(call, launch)
        except SURELY_NOT_SENT as error:
            result = Result(outcome=Outcome.FAILED, error=f"not sent: {_named(error)}")
        except httpx.TimeoutException:
            result = Result(outcome=Outcome.UNKNOWN, error=f"no answer within {call.timeout:g} s; it may have run")
        except httpx.TransportError as error:
            result = Result(outcome=Outcome.UNKNOWN, error=f"no answer, it may have run: {_named(error)}")
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            result = Result(outcome=Outcome.FAILED, error=_named(error))
        return self._clean(result)

    def _answer(self, call: HttpCall, launch: Launch) -> Result:
        url, headers = self._target(call.url)
        headers["Idempotency-Key"] = launch.identity
        with self._client.stream(call.method, url, headers=headers, timeout=call.timeout) as response:
            body = self._first_bytes(response, call.timeout) if response.status_code >= FIRST_FAILED_STATUS else ""
            detail: dict[str, int | float | str] = {"status": response.status_code}
            if response.status_code < FIRST_FAILED_STATUS:
                return Result(outcome=Outcome.OK, detail=detail)
            return Result(outcome=Outcome.FAILED, error=body or f"HTTP {response.status_code}", detail=detail)

    def _target(self, url: str) -> tuple[str, dict[str, str]]:
        if "://" in url:
            return url, {}
        authorization = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return self.api_url.rstrip("/") + url, authorization

    def _first_bytes(self, response: httpx.Response, seconds: float) -> str:
        """Read what an error text needs, and enough more that a token cut in half is still found."""
        wanted, body, until = ERROR_BYTES + 4 * len(self.token or ""), b"", self.monotonic() + seconds
        for chunk in response.iter_bytes(ERROR_BYTES):
            body += chunk
            if len(body) >= wanted or self.monotonic() > until:
                break
        return body.decode("utf-8", "replace").strip()

    def _clean(self, result: Result) -> Result:
        if result.error is None:
            return result
        error = result.error.replace(self.token, "[token]") if self.token else result.error
        return Result(outcome=result.outcome, error=cut_error(error), detail=result.detail)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
