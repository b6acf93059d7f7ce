"""Known-bad pairs of packages are refused with both versions named."""

import pytest

from tasks.errors import ConfigurationError
from workers.versions import installed, refuse_known_bad


def test_what_is_installed_here_fits_together() -> None:
    refuse_known_bad(installed())


@pytest.mark.parametrize(
    "versions",
    [
        {"celery": "5.7.0", "kombu": "5.6.2", "redis": "8.0.0"},
        {"celery": "5.6.1", "kombu": "5.7.0", "redis": "7.1.0"},
    ],
)
def test_a_known_bad_pair_is_refused(versions: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="accepted"):
        refuse_known_bad(versions)


def test_an_older_client_goes_with_an_older_kombu() -> None:
    refuse_known_bad({"celery": "5.7.0", "kombu": "5.6.2", "redis": "7.1.0"})
