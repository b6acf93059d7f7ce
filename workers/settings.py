"""Settings: the one place where the environment and `.env` are read."""

import os
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, HttpUrl, SecretStr, ValidationError, ValidationInfo, field_validator

from beat_schedule import BUILT_IN, settled_jobs
from tasks.domain.coprime_advice import Coprime
from tasks.domain.drafts import Draft
from tasks.domain.verification_questions import Style
from tasks.errors import ConfigurationError
from workers.jobs_file import FileTerms, JobsFile, read_jobs_file
from workers.jobs_file_entry import EntryTerms
from workers.schedule_overrides import YEAR_SECONDS, ScheduleOverrides
from workers.settings_problems import field_problems, stand_ins, tick_problems, unknown_variables
from workers.triggers.fields import TriggerFields

SECONDS_ACCEPTED = f"a whole number of seconds from 1 to {YEAR_SECONDS}"
PORT_ACCEPTED = "a free port, 1 to 65535"
COUNT_ACCEPTED = "a whole number from 1 to 512"
REDIS_SCHEMES = ("redis://", "rediss://", "redis+socket://")

Seconds = Annotated[int, Field(gt=0, le=YEAR_SECONDS, description=SECONDS_ACCEPTED)]
Port = Annotated[int, Field(ge=1, le=65535, description=PORT_ACCEPTED)]
Count = Annotated[int, Field(ge=1, le=512, description=COUNT_ACCEPTED)]


def _not_empty(path: Path) -> Path:
    if str(path) in {"", "."} and not path.name:
        raise ValueError("it is empty")
    return path.expanduser()


Folder = Annotated[Path, AfterValidator(_not_empty), Field(description="a folder, absolute or below the current one")]


class Settings(TriggerFields, ScheduleOverrides):
    """Everything a deployment can choose; field names in capitals are the variables.

    Unset means the default. Raises ValidationError from pydantic; `load_settings` turns it into ConfigurationError.
    """

    redis_url: Annotated[
        str | None, Field(description="redis://host:port/db, rediss://… or redis+socket:///path; unset = embedded")
    ] = None
    data_dir: Folder = Path("data")
    session_data_dir: Annotated[Folder, Field(default_factory=lambda data: data.get("data_dir", Path()) / "sessions")]
    api_url: Annotated[HttpUrl, Field(description="an absolute http:// or https:// address")] = HttpUrl(
        "http://localhost:8000"
    )
    scheduler_api_token: Annotated[
        SecretStr | None,
        Field(min_length=1, description="the API's bearer token (visible ASCII, no spaces), or leave it unset"),
    ] = None

    scheduler_startup_grace_seconds: Annotated[
        int, Field(ge=0, le=YEAR_SECONDS, description="a whole number of seconds, 0 or more")
    ] = 10
    scheduler_data_refresh_interval: Seconds = 900
    scheduler_health_check_interval: Seconds = 300
    scheduler_script_run_interval: Seconds = 60
    scheduler_session_collector_interval: Seconds = 660
    scheduler_usage_processor_interval: Seconds = 780
    scheduler_verification_detector_interval: Seconds = 900
    scheduler_corporate_memory_interval: Seconds = 1020
    scheduler_tick_seconds: Annotated[
        int, Field(gt=0, description="a whole number of seconds, at most the smallest cadence")
    ] = 5
    scheduler_jobs_file: Annotated[
        Annotated[Path, AfterValidator(_not_empty)] | None, Field(description="a TOML file of jobs, or leave it unset")
    ] = None
    scheduler_coprime: Annotated[Coprime, Field(description=", ".join(Coprime))] = Coprime.WARN

    session_processor_max_seconds: Annotated[
        int | None, Field(gt=0, description="whole seconds that one run may start batches for, or leave it unset")
    ] = None
    session_processor_max_bytes: Annotated[
        int | None, Field(gt=0, description="bytes that one run may read, or leave it unset")
    ] = None

    http_concurrency: Count = 16
    sessions_concurrency: Count = 2
    flower_address: Annotated[str, Field(min_length=1, description="an address to listen on")] = "127.0.0.1"
    flower_port: Port = 5555
    ledger_retention_days: Annotated[
        int, Field(ge=1, le=36_525, description="whole days that runs are kept for, 1 or more")
    ] = 90
    scheduler_alert_url: Annotated[
        HttpUrl | None, Field(description="an http:// or https:// address that gets alerts, or leave it unset")
    ] = None
    alive_file: Annotated[Path | None, Field(description="a file to touch while alive, or leave it unset")] = None
    verification_llm_url: Annotated[
        HttpUrl | None,
        Field(description="the whole http(s):// address that questions are posted to, or leave it unset"),
    ] = None
    verification_llm_model: Annotated[
        str | None, Field(min_length=1, validate_default=True, description="a model's name; needed with the address")
    ] = None
    verification_llm_api_key: Annotated[
        SecretStr | None,
        Field(min_length=1, description="the endpoint's key (visible ASCII, no spaces), or leave it unset"),
    ] = None
    verification_llm_style: Annotated[Style, Field(description="openai or anthropic")] = Style.OPENAI
    usage_prices_file: Annotated[
        Annotated[Path, AfterValidator(_not_empty)] | None,
        Field(description="a TOML file with prices of models, or leave it unset"),
    ] = None

    @field_validator("redis_url")
    @classmethod
    def _usable_address(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith(REDIS_SCHEMES) or not _has_usable_port(value)):
            raise ValueError("it is no Redis address")
        return value

    @field_validator("scheduler_api_token", "verification_llm_api_key", "scheduler_trigger_api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all("!" <= each <= "~" for each in value.get_secret_value()):
            raise ValueError("it holds a character that no HTTP header can carry")
        return value

    @field_validator("verification_llm_model")
    @classmethod
    def _named_with_its_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("verification_llm_url") is not None:
            raise ValueError("VERIFICATION_LLM_URL is set, and this is not")
        return value

    @property
    def warehouse_file(self) -> Path:
        """The DuckDB file."""
        return self.data_dir / "warehouse.duckdb"

    @property
    def token(self) -> str | None:
        """The API's bearer token in clear; nobody may log it."""
        return self.scheduler_api_token.get_secret_value() if self.scheduler_api_token else None

    @property
    def ledger_retention(self) -> timedelta:
        """How long runs are kept after they ended."""
        return timedelta(days=self.ledger_retention_days)

    @cached_property
    def jobs_file(self) -> JobsFile:
        """The jobs of the jobs file, read once."""
        if self.scheduler_jobs_file is None:
            return JobsFile()
        entries = EntryTerms(timezone=self.scheduler_timezone, now=self.started_at, variables=_variables(_env_file()))
        taken = frozenset(job.name for job in BUILT_IN)
        return read_jobs_file(self.scheduler_jobs_file, FileTerms(entries=entries, taken=taken))

    @property
    def own_jobs(self) -> tuple[Draft, ...]:
        """The jobs of the jobs file that can be used."""
        return self.jobs_file.drafts

    @classmethod
    def read(cls, env_file: str | None, **fixed: Any) -> Self:
        """Read the environment, then `env_file` for what the environment leaves unset; `fixed` comes first."""
        return cls(_env_file=env_file, **fixed)


def load_settings() -> Settings:
    """Return the settings of this process, checked down to the last job.

    The file named by `ESCAPEMENT_ENV_FILE` (default `.env`; empty = none) supplies what the environment leaves unset.
    Raises ConfigurationError with one line for each variable and each job that can't be used.
    """
    env_file = _env_file()
    problems = unknown_variables(_variables(env_file), Settings)
    try:
        settings = Settings.read(env_file)
    except ValidationError as error:
        problems += field_problems(error, Settings)
        settings = Settings.read(env_file, **stand_ins(error, Settings))
    problems += [*settings.jobs_file.problems, *_table_problems(settings)]
    if problems:
        source = f"environment or {env_file}" if env_file else "environment"
        lines = [f"  {problem}" for problem in problems]
        raise ConfigurationError("\n".join([f"{len(lines)} setting(s) can't be used ({source}):", *lines]))
    return settings


def _table_problems(settings: Settings) -> list[str]:
    settled = settled_jobs(settings)
    return [*settled.problems, *tick_problems(settings.scheduler_tick_seconds, settled.jobs)]


def _env_file() -> str | None:
    """Return the file that supplies what the environment leaves unset; one that is named has to be there."""
    named = os.environ.get("ESCAPEMENT_ENV_FILE")
    if named and not Path(named).is_file():
        raise ConfigurationError(f"ESCAPEMENT_ENV_FILE={named!r} can't be used: there is no such file")
    return ".env" if named is None else named or None


def _variables(env_file: str | None) -> dict[str, str]:
    try:
        filed = dotenv_values(env_file) if env_file else {}
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file} can't be used: it is no UTF-8 text") from None
    return {name: value for name, value in filed.items() if value is not None} | dict(os.environ)


def _has_usable_port(address: str) -> bool:
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False
