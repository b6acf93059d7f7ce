"""What is wrong with the settings, a line for each: the variable, its value, why, and what is accepted."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from tasks.domain.cadence import Interval
from tasks.domain.jobs import Job

PREFIX = "SCHEDULER_"
SECRET_ENDINGS = ("token", "key", "alert_url", "llm_url")


def field_problems(error: ValidationError, model: type[BaseSettings]) -> list[str]:
    """Return a line for each variable that pydantic refused."""
    return [_problem(each, model) for each in error.errors() if each["type"] != "default_factory_not_called"]


def stand_ins(error: ValidationError, model: type[BaseSettings]) -> dict[str, Any]:
    """Return defaults for what was refused and what no job depends on, so that the jobs can be checked as well."""
    refused = {str(each["loc"][0]) for each in error.errors()}
    fields = model.model_fields.items()
    needless = {name for name, _ in fields if not name.startswith(PREFIX.lower())}
    return {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in fields
        if name in refused | needless
    }


def unknown_variables(names: Iterable[str], model: type[BaseSettings]) -> list[str]:
    """Return a line for each variable that looks like ours and is not, with the nearest one that is."""
    known = {name.upper() for name in model.model_fields}
    strangers = sorted(name for name in names if name.upper().startswith(PREFIX) and name.upper() not in known)
    ours = sorted(name for name in known if name.startswith(PREFIX))
    nearest = {name: get_close_matches(name.upper(), ours, n=1, cutoff=0)[0] for name in strangers}
    return [f"{name}: no such setting; the nearest known one is {nearest[name]}" for name in strangers]


def tick_problems(tick_seconds: int, jobs: Mapping[str, Job]) -> list[str]:
    """Return a line when beat could sleep for longer than the smallest interval."""
    every = {job.name: job.cadence.every for job in jobs.values() if isinstance(job.cadence, Interval)}
    smallest = min(every, key=lambda name: every[name], default=None)
    if smallest is None or tick_seconds <= every[smallest].total_seconds():
        return []
    seconds = f"{every[smallest].total_seconds():g}"
    why = f"{smallest} is due every {seconds} s; accepted: a whole number of seconds, at most the smallest interval"
    return [f"SCHEDULER_TICK_SECONDS={tick_seconds}: {why}"]


def _problem(details: ErrorDetails, model: type[BaseSettings]) -> str:
    name, value = str(details["loc"][0]), details["input"]
    why = "" if details["type"] != "value_error" else str(details["ctx"]["error"])
    because = f": {why.removeprefix(f'cadence {value!r}: ')}" if why else ""
    accepted = "" if "accepted" in because else f"; accepted: {model.model_fields[name].description}"
    return f"{name.upper()}={_shown(name, value)}{because}{accepted}"


def _shown(name: str, value: Any) -> str:
    secret = name.endswith(SECRET_ENDINGS) or "@" in str(value)
    return "(hidden)" if secret else repr(value)
