"""Flower in a real browser: who is alive, which job ran, how long the queues are. Screenshots go to artifacts/."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.conftest import ROOT, eventually, missing
from tests.running_demo import Demo, running_demo

pytestmark = pytest.mark.browser
ARTIFACTS = ROOT / "artifacts"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page of a Chromium with an empty profile."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        missing("there is no Chromium on the PATH")
    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=FLAGS, viewport={"width": 1280, "height": 800}
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context.pages[0]
        context.close()


def keep(page: Page, name: str) -> None:
    """Keep what a person would see."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


def test_every_node_has_a_row_and_is_online(demo: Demo, page: Page) -> None:
    page.goto(demo.page)
    rows = page.locator("#workers-table tbody tr")
    for node in ("celerybeat@", "http@", "sessions@", "warehouse@"):
        expect(rows.filter(has_text=node)).to_contain_text("Online", timeout=PATIENCE_MS)
    keep(page, "flower-workers")


def test_the_row_of_beat_counts_its_fires(demo: Demo, page: Page) -> None:
    def processed() -> int:
        page.goto(demo.page)
        row = page.locator("#workers-table tbody tr").filter(has_text="celerybeat@")
        return max(int(text) for text in row.locator("td").all_inner_texts() if text.strip().isdecimal())

    assert eventually(processed, 30) > 0


def test_the_tasks_page_names_the_jobs(demo: Demo, page: Page) -> None:
    def found(job: str) -> bool:
        page.goto(f"{demo.page}tasks")
        page.locator("input[type=search]").fill(job)
        rows = page.locator("#tasks-table tbody")
        with suppress(AssertionError):  # the page searches what had run when it was opened
            expect(rows).to_contain_text(job, timeout=3_000)
            return True
        return False

    for job in ("health-check", "session-collector", "session-processor:usage"):
        assert eventually(partial(found, job), 60), f"nobody finds {job}"
    keep(page, "flower-tasks")


def test_the_broker_page_lists_the_queues(demo: Demo, page: Page) -> None:
    page.goto(f"{demo.page}broker")
    for queue in ("http", "sessions", "warehouse"):
        expect(page.locator("#queue-table")).to_contain_text(queue)
    keep(page, "flower-broker")


@pytest.mark.parametrize("node", ["http", "sessions", "warehouse"])
def test_the_page_of_a_worker_opens(demo: Demo, page: Page, node: str) -> None:
    page.goto(demo.page)
    page.locator("#workers-table a", has_text=f"{node}@").click()
    expect(page.locator("body")).to_contain_text(f"{node}@")
    expect(page.locator("body")).to_contain_text("Queues")


def test_the_demos_own_page_shows_the_calls(demo: Demo, page: Page) -> None:
    page.goto(demo.api)
    expect(page.locator("table")).to_contain_text("health-check", timeout=PATIENCE_MS)
    keep(page, "demo-calls")


def test_nothing_was_fetched_from_elsewhere(demo: Demo, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(demo.page)
    assert asked
    assert [address for address in asked if not address.startswith((demo.page, "data:"))] == []
