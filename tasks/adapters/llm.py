"""Language models over httpx: one structured answer, within bounds of time, size and tries."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

import httpx
import stamina

from tasks.adapters.llm_styles import answer, body, headers
from tasks.domain.outcomes import cut_error
from tasks.domain.verification import AnswerError
from tasks.domain.verification_questions import Question, Style
from tasks.verification_ports import Answer, Unanswered

MOST_BYTES = 1024 * 1024
OVERLOADED = 529
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, OVERLOADED})
ABOUT_THE_QUESTION = frozenset({400, 413, 422})
TRANSIENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class _RefusedError(Exception):
    """The endpoint answered with a status that is no answer; `wait_s` is what it asked for."""

    def __init__(self, status: int, problem: str, wait_s: float | None) -> None:
        super().__init__(problem)
        self.status, self.wait_s = status, wait_s


@dataclass(kw_only=True)
class HttpLanguageModel:
    """Posts questions to `url`, the whole address of an endpoint of the given style.

    What is clearly transient is tried again, at most `attempts` times in all and not longer than `seconds`: lost
    connections, 408, 425, 429 and 5xx; a `Retry-After` is kept to when it is not longer than `longest_wait_s`. A try
    lasts at most `seconds` and reads at most `most_bytes`. The key goes into a header and nowhere else.
    """

    url: str
    name: str
    style: Style
    key: str | None = None
    seconds: float = 120
    attempts: int = 3
    first_wait_s: float = 1
    longest_wait_s: float = 30
    most_bytes: int = MOST_BYTES
    monotonic: Callable[[], float] = time.monotonic

    @cached_property
    def _client(self) -> httpx.Client:
        timeout = httpx.Timeout(min(self.seconds, 60), connect=min(self.seconds, 10))
        return httpx.Client(headers=headers(self.style, self.key), timeout=timeout, follow_redirects=False)

    def ask(self, question: Question) -> Answer | Unanswered:
        """Ask one question; every failure comes back as a value, cut to 200 bytes and without the key."""
        try:
            return answer(self.style, self._reply(body(self.style, self.name, question)), question)
        except AnswerError as error:
            return self._unanswered(str(error), outage=False)
        except _RefusedError as error:
            return self._unanswered(str(error), outage=error.status not in ABOUT_THE_QUESTION)
        except httpx.TimeoutException as error:
            return self._unanswered(f"no answer within {self.seconds:g} s ({type(error).__name__})", outage=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return self._unanswered(f"{type(error).__name__}: {error}", outage=True)

    def _reply(self, content: bytes) -> bytes:
        for attempt in stamina.retry_context(
            on=self._again,
            attempts=self.attempts,
            timeout=self.seconds,
            wait_initial=self.first_wait_s,
            wait_max=self.longest_wait_s,
            wait_jitter=self.first_wait_s,
        ):
            with attempt:
                return self._once(content)
        raise AssertionError("stamina raises the last error")

    def _once(self, content: bytes) -> bytes:
        until = self.monotonic() + self.seconds
        with self._client.stream("POST", self.url, content=content) as response:
            reply = self._bounded(response, until)
            if response.status_code != HTTPStatus.OK:
                said = self._clean(f"HTTP {response.status_code}: {reply.decode('utf-8', 'replace').strip()}")
                raise _RefusedError(response.status_code, cut_error(said), _wait(response))
            return reply

    def _bounded(self, response: httpx.Response, until: float) -> bytes:
        """Read the reply; raises AnswerError for one that is too large, ReadTimeout for one that takes too long."""
        parts, size = [], 0
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > self.most_bytes:
                raise AnswerError(f"the reply is longer than {self.most_bytes} bytes")
            if self.monotonic() > until:
                raise httpx.ReadTimeout("the reply took too long", request=response.request)
        return b"".join(parts)

    def _again(self, error: Exception) -> bool | float:
        """Tell stamina whether to try again, and after how long if the endpoint said so."""
        if not isinstance(error, _RefusedError):
            return isinstance(error, TRANSIENT)
        if error.status not in TRANSIENT_STATUS or (error.wait_s or 0) > self.longest_wait_s:
            return False
        return True if error.wait_s is None else error.wait_s

    def _unanswered(self, problem: str, *, outage: bool) -> Unanswered:
        return Unanswered(problem=cut_error(self._clean(problem)), outage=outage)

    def _clean(self, text: str) -> str:
        return text.replace(self.key, "[key]") if self.key else text


def _wait(response: httpx.Response) -> float | None:
    """Return the seconds that `Retry-After` asks for; None when it is absent or a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
