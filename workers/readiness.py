"""When everything is up: Flower's own page lists every node as online."""

import http.client
import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit

POLL_SECONDS = 0.3


def online_nodes(page: str) -> frozenset[str]:
    """Return the nodes that the Flower at `page` shows as online; none while it does not answer."""
    connection = http.client.HTTPConnection(urlsplit(page).netloc, timeout=2)
    try:
        connection.request("GET", "/workers?json=1")
        nodes = json.loads(connection.getresponse().read())["data"]
        return frozenset(node["hostname"] for node in nodes if node["status"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return frozenset()
    finally:
        connection.close()


def wait_for_nodes(page: str, nodes: frozenset[str], seconds: float, tell: Callable[[frozenset[str]], None]) -> None:
    """Call `tell` with the nodes that are still missing: none as soon as all are online, else after `seconds`."""
    give_up = time.monotonic() + seconds
    missing = nodes - online_nodes(page)
    while missing and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
        missing = nodes - online_nodes(page)
    tell(missing)
