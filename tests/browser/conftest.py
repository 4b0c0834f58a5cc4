"""A real node and a real Chromium. Both are found, not made up: where one is missing, the tests say so and are left out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailrace.dashboard.app import STATIC_DIR
from tailrace.testing.node import RunningNode
from tests.browser.visit import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, driven by playwright; nothing is downloaded. Ends with its test file: while playwright runs, the thread has a
    running event loop, and the asynchronous tests of other files could not start theirs."""
    found = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    if not (STATIC_DIR / "index.html").is_file():
        pytest.skip("the dashboard is not built: make web")
    playwright_api = pytest.importorskip(
        "playwright.sync_api", reason="the package `playwright` is not installed: uv sync"
    )
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """`tailrace up` on a free port with an empty data folder, for all files that do not need one of their own."""
    with RunningNode(tmp_path_factory.mktemp("node") / "data") as running:
        yield running


@pytest.fixture
def visit(chromium: Browser, node: RunningNode) -> Iterator[Visit]:
    """A fresh tab on the node. At its end: nothing on the console, nothing asked of another host."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Europe/Berlin")
    tab = Visit(context.new_page(), f"http://127.0.0.1:{node.port}")
    yield tab
    context.close()
    assert tab.elsewhere == []
    assert tab.errors == []
