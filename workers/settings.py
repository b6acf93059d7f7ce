"""Settings: the one place where the environment and `.env` are read."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.domain.verification_questions import Style
from tasks.errors import ConfigurationError

YEAR_SECONDS = 366 * 24 * 3600
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


class Settings(BaseSettings):
    """Everything a deployment can choose; field names in capitals are the variables.

    Unset means the default. Raises ValidationError from pydantic; `load_settings` turns it into ConfigurationError.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=False, hide_input_in_errors=True)

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
    scheduler_marketplaces_schedule: Annotated[
        str, Field(min_length=1, description="a cadence such as `daily 03:00` (UTC) or `every 6h`")
    ] = "daily 03:00"
    scheduler_session_collector_interval: Seconds = 660
    scheduler_usage_processor_interval: Seconds = 780
    scheduler_verification_detector_interval: Seconds = 900
    scheduler_corporate_memory_interval: Seconds = 1020
    scheduler_tick_seconds: Annotated[
        int, Field(gt=0, description="a whole number of seconds, at most the smallest cadence")
    ] = 5

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

    @field_validator("redis_url")
    @classmethod
    def _usable_address(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith(REDIS_SCHEMES) or not _has_usable_port(value)):
            raise ValueError("it is no Redis address")
        return value

    @field_validator("scheduler_api_token", "verification_llm_api_key")
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

    @field_validator("scheduler_tick_seconds")
    @classmethod
    def _at_most_the_smallest_cadence(cls, value: int, info: ValidationInfo) -> int:
        cadences = {name: each for name, each in info.data.items() if name.endswith("_interval")}
        smallest = min(cadences, key=lambda name: cadences[name], default=None)
        if smallest is not None and value > cadences[smallest]:
            raise ValueError(f"it is longer than {smallest.upper()}={cadences[smallest]}")
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

    @classmethod
    def read(cls, env_file: str | None) -> Self:
        """Read the environment, then `env_file` for what the environment leaves unset."""
        return cls(_env_file=env_file)


def load_settings() -> Settings:
    """Return the settings of this process.

    The file named by `ESCAPEMENT_ENV_FILE` (default `.env`; empty = none) supplies what the environment leaves unset.
    Raises ConfigurationError with one line for each bad variable.
    """
    env_file = os.environ.get("ESCAPEMENT_ENV_FILE", ".env") or None
    try:
        return Settings.read(env_file)
    except ValidationError as error:
        raise ConfigurationError(_all_problems(error, env_file)) from None


def _all_problems(error: ValidationError, env_file: str | None) -> str:
    lines = [_problem(each) for each in error.errors() if each["type"] != "default_factory_not_called"]
    source = f"environment or {env_file}" if env_file else "environment"
    return "\n".join([f"{len(lines)} setting(s) can't be used ({source}):", *lines])


def _problem(details: ErrorDetails) -> str:
    name = str(details["loc"][0])
    accepted = Settings.model_fields[name].description
    because = "" if details["type"] != "value_error" else f": {details['ctx']['error']}"
    return f"  {name.upper()}={_shown(name, details['input'])}{because}; accepted: {accepted}"


def _shown(name: str, value: Any) -> str:
    secret = name.endswith(("token", "key", "alert_url", "llm_url")) or "@" in str(value)
    return "(hidden)" if secret else repr(value)


def _has_usable_port(address: str) -> bool:
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False
