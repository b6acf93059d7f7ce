"""Jobs without code: the TOML file of SCHEDULER_JOBS_FILE."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tasks.domain.drafts import Draft
from workers.jobs_file_entry import Entry, EntryTerms

LIST = "jobs"
NEVER_SHOWN = frozenset({"headers", "body", "url"})


@dataclass(frozen=True, kw_only=True, slots=True)
class JobsFile:
    """The jobs of a file that can be used, the values of their headers by variable, and what is wrong with the rest."""

    drafts: tuple[Draft, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileTerms:
    """What a file is read with: the terms of its entries, and the names that are in use already."""

    entries: EntryTerms
    taken: frozenset[str]


def read_jobs_file(path: Path, terms: FileTerms) -> JobsFile:
    """Read the jobs of a TOML file; whatever is wrong is in `problems`, a line each with file, job and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return JobsFile(problems=(f"SCHEDULER_JOBS_FILE={path}: {error.strerror}",))
    except UnicodeDecodeError as error:
        return JobsFile(problems=(f"{path}: it is no UTF-8 text: {error.reason} at byte {error.start}",))
    return decode_jobs(text, str(path), terms)


def decode_jobs(text: str, file: str, terms: FileTerms) -> JobsFile:
    """Decode the text of a jobs file."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return JobsFile(problems=(f"{file}: it is no TOML: {error}",))
    problems = [f"{file}: {key}: {_unknown(key, {LIST})}" for key in document if key != LIST]
    entries = document.get(LIST, [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        return JobsFile(problems=(*problems, f"{file}: {LIST}: accepted are tables that begin with [[{LIST}]]"))
    found = decode_entries(entries, file, terms)
    return replace(found, problems=(*problems, *found.problems))


def decode_entries(entries: list[dict[str, Any]], file: str, terms: FileTerms) -> JobsFile:
    """Decode the tables of single jobs; `file` says in each problem where they came from."""
    problems: list[str] = []
    drafts: list[Draft] = []
    secrets: dict[str, str] = {}
    for number, raw in enumerate(entries, 1):
        place = f"{file}: {_title(raw, number)}"
        try:
            entry = Entry.model_validate(raw, context=terms.entries)
        except ValidationError as error:
            problems += [f"{place}: {_problem(details)}" for details in error.errors()]
        else:
            drafts.append(entry.draft(place, terms.entries))
            secrets |= {variable: terms.entries.variables[variable] for variable in entry.variables}
        problems += (
            [] if ("path" in raw) != ("url" in raw) else [f"{place}: path, url: accepted is exactly one of them"]
        )
    problems += _twice(entries, file, terms.taken)
    return JobsFile(drafts=tuple(drafts), secrets=secrets, problems=tuple(problems))


def _title(raw: Mapping[str, Any], number: int) -> str:
    name = raw.get("name")
    return f"job {name!r}" if isinstance(name, str) and name else f"job number {number}"


def _twice(entries: list[dict[str, Any]], file: str, taken: frozenset[str]) -> list[str]:
    names = sorted(name for raw in entries if isinstance(name := raw.get("name"), str))
    repeated = [name for name, same in groupby(names) if len(list(same)) > 1]
    built_in = sorted(taken & set(names))
    return [
        *(f"{file}: job {name!r}: name: more than one job of this file has it" for name in repeated),
        *(f"{file}: job {name!r}: name: a built-in job has it; its own variables change that one" for name in built_in),
    ]


def _problem(details: ErrorDetails) -> str:
    key, top = ".".join(str(part) for part in details["loc"] if part != "[key]"), str(details["loc"][0])
    if details["type"] == "extra_forbidden":
        return f"{key}: {_unknown(key, set(Entry.model_fields) if key == top else {'env'})}"
    missing = details["type"] == "missing"
    shown = "" if top in NEVER_SHOWN or missing else f" = {details['input']!r}"
    because = ": it is missing" if missing else _because(details)
    accepted = "" if "accepted" in because else f"; accepted: {Entry.model_fields[top].description}"
    return f"{key}{shown}{because}{accepted}"


def _because(details: ErrorDetails) -> str:
    if details["type"] != "value_error":
        return ""
    why, words = str(details["ctx"]["error"]), details["input"]
    return f": {why.removeprefix(f'cadence {words!r}: ')}"


def _unknown(key: str, known: set[str]) -> str:
    nearest = get_close_matches(key, known, n=1, cutoff=0)
    return f"this key is not known; the nearest known one is {nearest[0]}"
