"""A job: a named unit of scheduled work, and the choices that go with it."""

from dataclasses import dataclass
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
class HttpCall:
    """One HTTP request: `url` is absolute, or a path below `API_URL`; `timeout` in seconds."""

    method: Method
    url: str
    timeout: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSessions:
    """One run of a session processor over what is new in the session files."""

    processor: str


Action = HttpCall | ProcessSessions


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job as the table lists it: when (`cadence`), what (`action`), and what happens when it is still running."""

    name: str
    cadence: Cadence
    action: Action
    group: str = ""
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp | timedelta | None = None
