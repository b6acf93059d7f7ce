"""When everything is up: Flower's own page lists every node as online."""

import http.client
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

POLL_SECONDS = 0.3
WANTS_PASSWORD = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.FOUND)


def online_nodes(page: str) -> frozenset[str] | None:
    """Return the nodes that the Flower at `page` shows as online; none while it does not answer.

    None in their stead means that it does answer, and shows them to nobody without a password.
    """
    connection = http.client.HTTPConnection(urlsplit(page).netloc, timeout=2)
    try:
        connection.request("GET", "/workers?json=1")
        answer = connection.getresponse()
        if answer.status in WANTS_PASSWORD:
            return None
        nodes = json.loads(answer.read())["data"]
        return frozenset(node["hostname"] for node in nodes if node["status"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return frozenset()
    finally:
        connection.close()


def wait_for_nodes(
    page: str, nodes: frozenset[str], seconds: float, tell: Callable[[frozenset[str] | None], None]
) -> None:
    """Call `tell` with the nodes that are still missing: none as soon as all are online, else after `seconds`.

    None in their stead means that only a person with a password can see them.
    """
    give_up = time.monotonic() + seconds
    while (online := online_nodes(page)) is not None and nodes - online and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    tell(None if online is None else nodes - online)
