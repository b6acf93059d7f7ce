"""One job of the jobs file: its keys, what each accepts, and the draft it becomes."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from beat_schedule import counted_from_start
from tasks.domain.cadence import Cadence, zone_named
from tasks.domain.cadence_text import parse_cadence
from tasks.domain.drafts import Draft
from tasks.domain.durations import parse_duration
from tasks.domain.jobs import Body, HttpCall, Job, Method
from tasks.domain.lateness import CatchUp
from tasks.domain.policies import Overlap
from workers.schedule_overrides import CADENCES_ACCEPTED, PHASE_ACCEPTED, YEAR_SECONDS, whole_milliseconds

NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}"
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OURS = frozenset({"idempotency-key", "host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
HEADERS_ACCEPTED = 'names of headers with the variable that holds the value, as in { "X-Api-Key" = { env = "MY_KEY" } }'
OF_PROCESSORS = "session-processor:"
DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryTerms:
    """What an entry is checked with: default timezone, the instant `in 30m` counts from, and variables for headers."""

    timezone: str
    now: datetime
    variables: Mapping[str, str] = field(repr=False)


class HeaderValue(BaseModel):
    """Where the value of a header comes from."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    env: Annotated[str, Field(min_length=1)]

    @field_validator("env")
    @classmethod
    def _is_there(cls, name: str, info: ValidationInfo) -> str:
        value = _terms(info).variables.get(name)
        if not value:
            raise ValueError(f"the variable {name} is not set")
        if not all(" " <= each <= "~" for each in value) or value.strip() != value:
            raise ValueError(f"the value of {name} holds a character that no HTTP header can carry")
        return name


class Entry(BaseModel):
    """One `[[jobs]]` table; needs EntryTerms as context."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, Field(pattern=f"^{NAME}$", description="up to 100 letters, digits and . _ : -")]
    timezone: Annotated[str | None, Field(description="an IANA name such as `Europe/Prague`")] = None
    schedule: Annotated[str, Field(description=CADENCES_ACCEPTED)]
    method: Annotated[Method, Field(strict=False, description=", ".join(Method))] = Method.POST
    path: Annotated[
        str | None, Field(description="a path below API_URL that begins with a slash; either path or url is needed")
    ] = None
    url: Annotated[
        str | None, Field(description="an http:// or https:// address without a password; either path or url is needed")
    ] = None
    timeout: Annotated[float, Field(gt=0, le=DAY_SECONDS, description="seconds above 0, at most a day")] = 30.0
    body: Annotated[Any, Field(description="a table or an array, sent as JSON, or a string, sent as it is")] = None
    headers: Annotated[dict[str, HeaderValue], Field(description=HEADERS_ACCEPTED)] = {}
    overlap: Annotated[Overlap, Field(strict=False, description=", ".join(Overlap))] = Overlap.SKIP
    catch_up: Annotated[str | None, Field(description="late, skip, or a duration such as 30m")] = None
    group: Annotated[str, Field(pattern=f"^({NAME})?$", description="up to 100 letters, digits and . _ : -")] = ""
    group_limit: Annotated[
        int, Field(ge=0, le=1_000, description="how many jobs of the group may run at once, 0 for any number")
    ] = 0
    remote_runs_on: Annotated[
        str | None, Field(description="a duration such as 15m, for which the server may go on after the timeout")
    ] = None
    phase: Annotated[
        float | None,
        Field(ge=0, le=YEAR_SECONDS, allow_inf_nan=False, description=PHASE_ACCEPTED),
    ] = None
    honours_key: Annotated[
        bool, Field(description="true when the server does nothing twice for one Idempotency-Key")
    ] = False
    expect_body: Annotated[
        bool, Field(description="true when three good answers in a row without a body mean that something is wrong")
    ] = False

    @field_validator("name")
    @classmethod
    def _is_no_processor(cls, name: str) -> str:
        if name.startswith(OF_PROCESSORS):
            raise ValueError(f"names that begin with {OF_PROCESSORS} belong to session processors")
        return name

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        return None if name is None else zone_named(name).key

    @field_validator("schedule")
    @classmethod
    def _is_a_cadence(cls, words: str, info: ValidationInfo) -> str:
        _cadence(words, info.data.get("timezone"), _terms(info))
        return words

    @field_validator("path")
    @classmethod
    def _is_below_the_api(cls, path: str | None) -> str | None:
        if path is not None and not (path.startswith("/") and _is_plain(path)):
            raise ValueError("it can't be a path")
        return path

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not _is_address(url):
            raise ValueError("it can't be used")
        return url

    @field_validator("body")
    @classmethod
    def _can_be_sent(cls, body: Any) -> Any:
        _content(body)
        return body

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, HeaderValue]) -> dict[str, HeaderValue]:
        lower = [name.lower() for name in headers]
        bad = [name for name in headers if not HEADER.fullmatch(name)]
        bad += [name for name in headers if name.lower() in OURS or lower.count(name.lower()) > 1]
        if bad:
            raise ValueError(f"{', '.join(bad)} can't be set: no header's name, set twice, or made by Escapement")
        return headers

    @field_validator("catch_up")
    @classmethod
    def _is_a_choice(cls, text: str | None) -> str | None:
        if text is not None and text not in set(CatchUp) and not parse_duration(text):
            raise ValueError("it is no choice and no duration above zero")
        return text

    @field_validator("remote_runs_on")
    @classmethod
    def _is_a_duration(cls, text: str | None) -> str | None:
        if text is not None and not parse_duration(text):
            raise ValueError("it is no duration above zero")
        return text

    @field_validator("group_limit")
    @classmethod
    def _limits_a_group(cls, limit: int, info: ValidationInfo) -> int:
        if limit and not info.data.get("group"):
            raise ValueError("the job has no group")
        return limit

    @field_validator("phase")
    @classmethod
    def _is_exact(cls, seconds: float | None) -> float | None:
        return None if seconds is None else whole_milliseconds(seconds)

    def draft(self, place: str, terms: EntryTerms) -> Draft:
        """Return the job, its phase not yet chosen; `place` names file and job."""
        job = Job(
            name=self.name,
            cadence=_cadence(self.schedule, self.timezone, terms),
            action=self._call(),
            group=self.group,
            group_limit=self.group_limit,
            remote_runs_on=parse_duration(self.remote_runs_on or "") or timedelta(0),
            overlap=self.overlap,
            catch_up=self._catch_up(),
        )
        phase = None if self.phase is None else timedelta(seconds=self.phase)
        at = "" if self.phase is None else f"{place}: phase = {self.phase:g}"
        return Draft(job=job, phase=phase, place=at, remark=counted_from_start(self.schedule))

    @property
    def variables(self) -> frozenset[str]:
        """The variables that hold the values of the headers."""
        return frozenset(value.env for value in self.headers.values())

    def _call(self) -> HttpCall:
        return HttpCall(
            method=self.method,
            url=self.path or self.url or "",
            timeout=self.timeout,
            body=_content(self.body),
            headers={name: value.env for name, value in self.headers.items()},
            honours_key=self.honours_key,
            expect_body=self.expect_body,
        )

    def _catch_up(self) -> CatchUp | timedelta | None:
        if self.catch_up is None:
            return None
        return parse_duration(self.catch_up) or CatchUp(self.catch_up)


def _terms(info: ValidationInfo) -> EntryTerms:
    return cast("EntryTerms", info.context)


def _cadence(words: str, timezone: str | None, terms: EntryTerms) -> Cadence:
    return parse_cadence(words, timezone=timezone or terms.timezone, now=terms.now)


def _content(body: Any) -> Body | None:
    if body is None:
        return None
    if isinstance(body, str):
        return Body(content=body, content_type="text/plain; charset=utf-8")
    if not isinstance(body, (dict, list)):
        raise ValueError(f"it is a {type(body).__name__}")  # noqa: TRY004 - pydantic collects ValueErrors
    try:
        return Body(content=json.dumps(body, allow_nan=False, ensure_ascii=False), content_type="application/json")
    except (TypeError, ValueError) as error:
        raise ValueError(f"JSON can't say it: {error}") from None


def _is_plain(address: str) -> bool:
    return address.isprintable() and " " not in address


def _is_address(url: str) -> bool:
    parts = urlsplit(url)
    usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    return bool(usable) and parts.username is None and parts.password is None and _is_plain(url)
