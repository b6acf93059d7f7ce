"""A job: a named unit of scheduled work, and the choices that go with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tasks.domain.cadence import Cadence
from tasks.domain.lateness import CatchUp
from tasks.domain.policies import Overlap


class Method(StrEnum):
    """HTTP methods a job may use."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    HEAD = "HEAD"


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """What a request carries, and the `Content-Type` that says how to read it."""

    content: str
    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpCall:
    """One HTTP request: `url` is absolute, or a path below `API_URL` that begins with a slash; `timeout` in seconds.

    `headers` maps names of headers to names of the environment variables that hold their values, never to the values.
    `honours_key` says that the server does nothing twice for one `Idempotency-Key`: then a call whose answer was lost
    may be sent again. `expect_body` says that a good answer has a body: three in a row without one make the job stale.
    """

    method: Method
    url: str
    timeout: float
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    honours_key: bool = False
    expect_body: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether sending it again does no harm: by its method (RFC 9110, 9.2.2), or by the server's word."""
        return self.honours_key or self.method not in {Method.POST, Method.PATCH}


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSessions:
    """One run of a session processor over what is new in the session files."""

    processor: str


Action = HttpCall | ProcessSessions


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job as the table lists it: when (`cadence`), what (`action`), and what happens when it is still running.

    At most `group_limit` jobs of its group run at once (0 = any number). `remote_runs_on` is how long the other side
    may go on after we stopped waiting: for so long the job stays busy.
    """

    name: str
    cadence: Cadence
    action: Action
    group: str = ""
    group_limit: int = 0
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp | timedelta | None = None
    remote_runs_on: timedelta = timedelta(0)
