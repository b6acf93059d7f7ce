"""Settings: defaults, overrides, and every problem at once, naming the variable, the value and what is accepted."""

import re
from pathlib import Path

import pytest

from beat_schedule import BUILT_IN
from tasks.errors import ConfigurationError
from workers.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
LINES = re.findall(r"^# (?P<about>[^\n]+)\n#(?P<name>[A-Z_]+)=(?P<value>[^\n]*)$", EXAMPLE, re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_variables_of_ours(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ESCAPEMENT_ENV_FILE", "")


@pytest.fixture
def refused(monkeypatch):
    """Load with these variables; the lines of the refusal."""

    def load(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigurationError) as caught:
            load_settings()
        return str(caught.value).splitlines()[1:]

    return load


def test_nothing_has_to_be_set():
    assert load_settings().scheduler_tick_seconds == 5


def test_every_setting_is_in_the_example_with_one_line_about_it():
    assert [name for _, name, _ in LINES] == re.findall(r"^#([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert {name for _, name, _ in LINES} == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(("about", "name", "value"), LINES)
def test_the_example_shows_the_default_or_says_what_unset_means(about, name, value):
    default = getattr(Settings.read(None), name.lower())
    if "Unset:" in about:
        assert default is None or name == "SESSION_DATA_DIR"
    else:
        assert str(default).rstrip("/") == value


def test_the_example_with_everything_taken_in_can_be_used(tmp_path, monkeypatch):
    but_one = EXAMPLE.replace("#SCHEDULER_MARKETPLACES_PHASE", "# only with an interval: SCHEDULER_MARKETPLACES_PHASE")
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z])", "", but_one, flags=re.MULTILINE), encoding="utf-8")
    (tmp_path / "jobs.toml").write_text("", encoding="utf-8")
    (tmp_path / "trigger.pem").write_text(PUBLIC_KEY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESCAPEMENT_ENV_FILE")
    assert load_settings().scheduler_script_runner_phase == 7.5


def test_every_setting_is_documented():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    general = {f"{job.variable}_{kind}" for job in BUILT_IN for kind in ("SCHEDULE", "PHASE")}
    assert not {name for name in map(str.upper, Settings.model_fields) if f"`{name}`" not in text} - general


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCHEDULER_HEALTH_CHECK_INTERVAL", ""),
        ("SCHEDULER_HEALTH_CHECK_INTERVAL", "soon"),
        ("SCHEDULER_HEALTH_CHECK_INTERVAL", "0"),
        ("SCHEDULER_HEALTH_CHECK_INTERVAL", "-1"),
        ("SCHEDULER_HEALTH_CHECK_INTERVAL", "1.5"),
        ("SCHEDULER_STARTUP_GRACE_SECONDS", "-1"),
        ("SCHEDULER_TICK_SECONDS", "0"),
        ("SCHEDULER_HEALTH_CHECK_SCHEDULE", ""),
        ("SCHEDULER_HEALTH_CHECK_SCHEDULE", "30m"),
        ("SCHEDULER_HEALTH_CHECK_SCHEDULE", "0 0 31 2 *"),
        ("SCHEDULER_SESSION_PROCESSOR_USAGE_SCHEDULE", "sometimes"),
        ("SCHEDULER_MARKETPLACES_SCHEDULE", "every 0s"),
        ("SCHEDULER_HEALTH_CHECK_PHASE", "-1"),
        ("SCHEDULER_HEALTH_CHECK_PHASE", "nan"),
        ("SCHEDULER_HEALTH_CHECK_PHASE", "0.0001"),
        ("SCHEDULER_TIMEZONE", "Europe/Pragu"),
        ("SCHEDULER_COPRIME", "maybe"),
        ("SCHEDULER_JOBS_FILE", ""),
        ("FLOWER_PORT", "70000"),
        ("API_URL", "localhost"),
        ("REDIS_URL", "http://localhost"),
    ],
)
def test_a_value_that_can_not_be_used_is_one_line_with_name_value_and_what_is_accepted(refused, name, value):
    (line,) = refused(**{name: value})
    assert line.startswith(f"  {name}={value!r}")
    assert "accepted" in line or 'write "every 30m" or "in 30m"' in line


def test_all_problems_come_together_those_of_the_jobs_file_and_of_phases_included(refused, tmp_path):
    file = tmp_path / "jobs.toml"
    file.write_text('[[jobs]]\nname = "a"\nschedule = "never"\npath = "/"\n')
    lines = refused(
        FLOWER_PORT="x",
        SCHEDULER_MARKETPLACES_SCHEDULE="sometimes",
        SCHEDULER_JOBS_FILE=str(file),
        SCHEDULER_DATA_REFRESH_PHASE="900",
        SCHEDULER_TICK_SECONDS="61",
    )
    starts = [
        "  SCHEDULER_MARKETPLACES",
        "  FLOWER_PORT='x'",
        f"  {file}: job 'a'",
        "  SCHEDULER_DATA",
        "  SCHEDULER_TICK",
    ]
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


def test_a_typo_in_the_name_of_a_setting_names_the_nearest_one(refused):
    (line,) = refused(SCHEDULER_HEALTHCHECK_INTERVAL="60")
    assert line == (
        "  SCHEDULER_HEALTHCHECK_INTERVAL: no such setting; the nearest known one is SCHEDULER_HEALTH_CHECK_INTERVAL"
    )


def test_a_typo_in_the_env_file_is_found_as_well(refused, tmp_path):
    (tmp_path / "env").write_text("SCHEDULER_COPRIM=off\n")
    (line,) = refused(ESCAPEMENT_ENV_FILE=str(tmp_path / "env"))
    assert line.endswith("SCHEDULER_COPRIME")


def test_a_named_env_file_has_to_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv("ESCAPEMENT_ENV_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(
        ConfigurationError, match=r"ESCAPEMENT_ENV_FILE='.*nowhere' can't be used: there is no such file"
    ):
        load_settings()


def test_an_env_file_that_is_no_text_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "env").write_bytes(b"A=\xff\n")
    monkeypatch.setenv("ESCAPEMENT_ENV_FILE", str(tmp_path / "env"))
    with pytest.raises(ConfigurationError, match="it is no UTF-8 text"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("SCHEDULER_API_TOKEN", "sesame\nopen"), ("REDIS_URL", "redi://me:sesame@host"), ("API_URL", "ftp://me:sesame@x")],
)
def test_a_refusal_shows_no_secret(refused, name, value):
    assert "sesame" not in "".join(refused(**{name: value}))


def test_the_token_is_in_no_representation(monkeypatch):
    monkeypatch.setenv("SCHEDULER_API_TOKEN", "sesame")
    assert "sesame" not in repr(load_settings())


def test_the_tick_is_measured_against_what_is_due_not_against_what_is_overridden(monkeypatch, refused):
    monkeypatch.setenv("SCHEDULER_SCRIPT_RUN_INTERVAL", "2")
    monkeypatch.setenv("SCHEDULER_SCRIPT_RUNNER_SCHEDULE", "every 10m")
    assert load_settings().scheduler_tick_seconds == 5
    (line,) = refused(SCHEDULER_SCRIPT_RUNNER_SCHEDULE="every 4500ms")
    assert line.startswith("  SCHEDULER_TICK_SECONDS=5: script-runner is due every 4.5 s")
