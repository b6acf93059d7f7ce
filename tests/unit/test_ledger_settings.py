"""The settings of the ledger."""

from datetime import timedelta

import pytest

from tasks.errors import ConfigurationError
from workers.settings import load_settings


@pytest.fixture
def environment(monkeypatch):
    """The real environment of this process, without a file."""

    def put(**variables):
        monkeypatch.setenv("ESCAPEMENT_ENV_FILE", "")
        for name in ("LEDGER_RETENTION_DAYS", "SCHEDULER_ALERT_URL"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def test_runs_are_kept_for_ninety_days_and_nobody_is_told_unless_asked(environment):
    environment()
    settings = load_settings()
    assert settings.ledger_retention == timedelta(days=90)
    assert settings.scheduler_alert_url is None


def test_both_can_be_chosen(environment):
    environment(LEDGER_RETENTION_DAYS="7", SCHEDULER_ALERT_URL="https://example.org/hook?key=1")
    settings = load_settings()
    assert settings.ledger_retention == timedelta(days=7)
    assert str(settings.scheduler_alert_url) == "https://example.org/hook?key=1"


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "soon", "40000"])
def test_a_retention_that_makes_no_sense_is_refused(environment, days):
    environment(LEDGER_RETENTION_DAYS=days)
    with pytest.raises(ConfigurationError, match=f"LEDGER_RETENTION_DAYS='{days}'.*accepted: whole days"):
        load_settings()


def test_an_alert_address_that_can_not_be_used_is_refused_and_not_shown(environment):
    environment(SCHEDULER_ALERT_URL="example.org/hook?key=secret")
    with pytest.raises(ConfigurationError, match=r"SCHEDULER_ALERT_URL=\(hidden\)") as raised:
        load_settings()
    assert "secret" not in str(raised.value)
