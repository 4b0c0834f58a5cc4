"""Logging in on the page, in real Chromium: in, out, a session that ends under an open page, and a user who may only read."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailrace.testing.node import RunningNode
from tests.browser.visit import Visit
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY = "the-key-of-the-browser-tests"
PASSWORD = "a quiet river at night"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One that wants a log-in: `ada` administers, `grace` may read."""
    folder = tmp_path_factory.mktemp("log-in")
    (folder / "tailrace.toml").write_text(f'[[keys]]\nid = "tests"\nsecret = "{KEY}"\n')
    running = RunningNode(folder / "data", config=folder / "tailrace.toml", key=KEY)
    for words in (["ada", "--admin"], ["grace"]):
        command = [sys.executable, "-m", "tailrace.cli.main", "users", "add", *words, "--password-stdin"]
        subprocess.run([*command, "--data", str(running.data_dir)], input=PASSWORD, text=True, check=True, cwd=folder)
    try:
        running.start(wait=False)
        until(lambda: running.get("/readyz").status == 200, running.log_end, 600)
        running.post_logs(b'{"timestamp":"2026-04-01T10:00:00Z","endpoint":"/a","status":200}')
        yield running
        running.stop()
    finally:
        running.kill_all()


@pytest.fixture
def visit(chromium: Browser, node: RunningNode) -> Iterator[Visit]:
    """As elsewhere; the browser itself logs each request that is refused with 401, and that is what is tried here."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    tab = Visit(context.new_page(), f"http://127.0.0.1:{node.port}")
    tab.page.set_default_timeout(60_000)
    yield tab
    context.close()
    assert tab.elsewhere == []
    assert [error for error in tab.errors if "401" not in error and "Authentication failed" not in error] == []


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, as it stands among the page's own tools."""
    path = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    return path.read_text()


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def wait_live(page: Page) -> None:
    page.wait_for_selector("text=LIVE")


def test_in_where_the_link_led_and_out_again(visit: Visit) -> None:
    page = visit.open("/?page=pipeline")
    page.wait_for_selector("#login-name:focus")
    assert page.locator("header").count() == 0, "nothing of the page is there before"
    assert visit.errors == [], "nothing was asked that could be refused"
    log_in(page, "ada", "wrong")
    assert "wrong" in page.get_by_role("alert").inner_text()
    log_in(page, "ada")
    page.wait_for_selector("h1:has-text('Pipeline')")
    wait_live(page)
    assert page.url.endswith("/?page=pipeline")
    assert page.evaluate("document.cookie") == "", "scripts cannot read it"
    page.reload()
    page.wait_for_selector("h1:has-text('Pipeline')")
    page.get_by_test_id("account").press("Enter")
    page.get_by_test_id("log-out").press("Enter")
    page.wait_for_selector("#login-name:focus")
    assert page.locator("header").count() == 0
    page.go_back()
    page.go_forward()
    page.wait_for_selector("#login-name")


def test_a_session_that_ends_leaves_the_page_where_it_was(visit: Visit, node: RunningNode) -> None:
    page = visit.open("/?page=pipeline&range=1h")
    log_in(page, "ada")
    page.wait_for_selector("h1:has-text('Pipeline')")
    wait_live(page)
    page.evaluate("document.querySelector('h1').dataset.mark = 'the same'")
    with closing(sqlite3.connect(node.data_dir / "access.db", timeout=60, isolation_level=None)) as access:
        access.execute("UPDATE sessions SET expires_us = 1")
        access.execute("UPDATE changes SET count = count + 1")
    page.wait_for_selector("text=The session has ended")
    assert page.locator(".shell").get_attribute("inert") is not None, "what stands behind cannot be reached"
    page.wait_for_selector("#login-name:focus")
    log_in(page, "ada")
    page.wait_for_selector("#login-name", state="detached")
    wait_live(page)
    assert page.locator("h1").get_attribute("data-mark") == "the same"
    assert page.url.endswith("/?page=pipeline&range=1h")


def test_a_user_who_may_only_read(visit: Visit) -> None:
    page = visit.open("/")
    log_in(page, "Grace")
    wait_live(page)
    assert page.get_by_role("navigation", name="Pages").get_by_text("Access").count() == 0
    page.goto(visit.base + "/?page=access")
    assert "admin" in page.get_by_role("main").get_by_role("alert").inner_text()
    status = "async (path) => (await fetch(path)).status"
    assert page.evaluate(status, "v1/views") == 200
    assert page.evaluate(status, "v1/users") == 403
    split = "async () => (await fetch('v1/shards/shardId-000000000000/split', { method: 'POST' })).status"
    assert page.evaluate(split) == 403
    visit.errors[:] = [error for error in visit.errors if "403" not in error]


def test_keys_and_users_are_made_and_revoked_by_keyboard(visit: Visit, node: RunningNode) -> None:
    page = visit.open("/?page=access")
    log_in(page, "ada")
    page.get_by_role("button", name="New key").press("Enter")
    page.get_by_label("What it is for").fill("<b>reports</b>")
    page.get_by_role("checkbox", name="query").check()
    page.keyboard.press("Enter")
    secret = page.get_by_test_id("secret-once").get_by_role("textbox").input_value()
    authorization = {"Authorization": f"Bearer {secret}"}
    assert node.request("GET", "/v1/views", headers=authorization).status == 200
    page.keyboard.press("Escape")
    row = page.get_by_test_id("keys").get_by_role("row").filter(has_text="<b>reports</b>")
    assert row.count() == 1, "the name is text"
    assert secret not in page.content()
    row.get_by_role("button").press("Enter")
    page.get_by_test_id("confirm").press("Enter")
    row.wait_for(state="detached")
    until(lambda: node.request("GET", "/v1/views", headers=authorization).status == 401, lambda: "the key goes on")

    page.get_by_role("button", name="New user").press("Enter")
    page.get_by_role("dialog").get_by_label("Name").fill("linus")
    page.keyboard.press("Enter")
    password = page.get_by_test_id("secret-once").get_by_role("textbox").input_value()
    body = json.dumps({"name": "linus", "password": password}).encode()
    assert node.request("POST", "/v1/login", body).json["scopes"] == ["query"]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove ada").press("Enter")
    page.get_by_test_id("confirm").press("Enter")
    assert "last user" in page.get_by_role("dialog").get_by_role("alert").inner_text()
    page.keyboard.press("Escape")
    assert page.get_by_test_id("audit").get_by_text("key.revoke").count() == 1
    visit.errors[:] = [error for error in visit.errors if "409" not in error]


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_are_accessible_and_scroll_nowhere_sideways(visit: Visit, axe: str, width: int, theme: str) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    visit.open("/?page=access")
    page.wait_for_selector("#login-name")
    assert serious(page, axe) == []
    log_in(page, "ada")
    page.wait_for_selector('[data-testid="audit"]')
    assert serious(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("New user", "New key"):
        page.get_by_role("button", name=name).click()
        page.wait_for_selector("dialog[open]")
        assert serious(page, axe) == []
        page.keyboard.press("Escape")
    page.get_by_test_id("account").click()
    page.wait_for_selector("dialog[open]")
    assert serious(page, axe) == []


def serious(page: Page, axe: str) -> list[str]:
    """What axe-core finds of weight."""
    page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['id']}: {node['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
