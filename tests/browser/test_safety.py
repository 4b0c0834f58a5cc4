"""Log text stays text, the page stays usable for everybody, and it keeps to its own origin (the `visit` fixture checks that)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailrace.testing.node import RunningNode
from tests.browser.lines import at, ndjson, now, traffic
from tests.browser.visit import Visit

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
# The tail listens only while it can be seen; in a window of this height it always is, however many rows stand above it.
TALL: ViewportSize = {"width": 1440, "height": 2400}
HOSTILE = [
    "<img src=x onerror=window.ran=1>",
    "<script>window.ran=2</script>",
    "</title><svg onload=window.ran=3>",
    "javascript:window.ran=4",
    "{b|rich}{a}",
    "/\u202egnp.exe",
    "/nul\u0000byte",
    "",
    "/" + "long" * 200,
]


@pytest.fixture
def hostile(node: RunningNode) -> list[str]:
    """Lines whose every text field tries to be more than text."""
    lines = []
    for i, text in enumerate(HOSTILE):
        common = {
            "service": text,
            "endpoint": text,
            "method": text,
            "message": text,
            "trace_id": text,
            "level": text,
            text or "x": text,
        }
        lines += [
            {"timestamp": at(now()), "status": 200 + 100 * (i % 4), "response_ms": 5 + i, "ip": "10.0.0.1", **common}
        ] * (20 - i)
    answer = node.post_logs(ndjson(lines))
    assert answer.status == 200, answer.body
    return HOSTILE


def test_html_in_log_lines_is_never_run(visit: Visit, hostile: list[str]) -> None:
    page = visit.page
    page.add_init_script(
        "window.violations = []; document.addEventListener('securitypolicyviolation', (e) => window.violations.push(e.violatedDirective))"
    )
    page.set_viewport_size(TALL)
    visit.open()
    page.get_by_test_id("gauge-value").wait_for()
    page.get_by_test_id("tail-row").first.wait_for()
    for panel in ("panel-endpoints", "panel-status", "panel-line"):
        canvas = page.get_by_test_id(panel).locator("canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        for step in range(10):
            page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * (step + 0.5) / 10)
            page.wait_for_timeout(40)
        page.locator(".chart-tip").first.wait_for(state="attached")
    page.get_by_test_id("tail-row").first.locator("button").click()
    page.get_by_test_id("endpoints-table-toggle").click()
    row = page.get_by_test_id("endpoint-row").filter(has_text="<img src=x onerror=window.ran=1>")
    row.first.wait_for()
    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.querySelectorAll('main img, main script, main iframe, .chart-tip img').length") == 0
    assert page.evaluate("window.violations") == []
    for text in ("\\u202e", "(empty endpoint)", "{b|rich}{a}"):
        page.get_by_test_id("endpoint-row").filter(has_text=text).first.wait_for()


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_scrolls_sideways(visit: Visit, hostile: list[str], width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 844})
    for path in ("/", "/?page=pipeline"):
        page = visit.open(path)
        page.get_by_test_id("gauge-value" if path == "/" else "ledger").wait_for()
        if path == "/":
            for panel in ("endpoints", "status", "line"):
                page.get_by_test_id(f"{panel}-table-toggle").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/?page=pipeline", "/?range=1h&rank=slowest"])
def test_axe_finds_nothing(visit: Visit, node: RunningNode, scheme: str, path: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    node.post_logs(ndjson(traffic(now(), 300, ["/a", "/b", "/c"], span_s=1)))
    page = visit.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    visit.open(path)
    page.get_by_test_id("ledger" if "pipeline" in path else "gauge-value").wait_for()
    page.wait_for_timeout(500)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    problems = [
        {"rule": v["id"], "help": v["help"], "nodes": [n["html"] for n in v["nodes"]][:3]} for v in found["violations"]
    ]
    assert problems == [], json.dumps(problems, indent=1)


def test_all_of_it_works_by_keyboard(visit: Visit, node: RunningNode) -> None:
    node.post_logs(ndjson([{"timestamp": at(now()), "endpoint": "/keys", "status": 200, "response_ms": 5}]))
    page = visit.open()
    for drawn in ("gauge-value", "line-table-toggle", "endpoints-table-toggle", "gauge-drift", "tail-pause"):
        page.get_by_test_id(drawn).wait_for()
    reached: set[str] = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement?.dataset.testid ?? document.activeElement?.className ?? ''"))
        if "tail-pause" in reached:
            break
    wanted = {
        "connection-badge",
        "range-1h",
        "theme",
        "pipeline-strip",
        "line-table-toggle",
        "endpoints-table-toggle",
        "gauge-drift",
        "tail-pause",
    }
    assert wanted <= reached
    page.get_by_test_id("endpoints-table-toggle").focus()
    page.keyboard.press("Enter")
    page.get_by_test_id("endpoint-row").first.wait_for()
    page.get_by_test_id("gauge-drift").focus()
    page.get_by_role("tooltip").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("tooltip").wait_for(state="detached")


def test_the_tail_is_bounded_and_can_be_paused(visit: Visit, node: RunningNode) -> None:
    def send(name: str, count: int) -> None:
        node.post_logs(ndjson([{"timestamp": at(now()), "endpoint": name, "status": 200, "response_ms": 5}] * count))

    visit.page.set_viewport_size(TALL)
    page = visit.open()
    send("/start", 3)
    rows = page.get_by_test_id("tail-row")
    rows.filter(has_text="/start").first.wait_for()
    pause = page.get_by_test_id("tail-pause")
    pause.click()
    send("/while-paused", 3)
    pause.filter(has_text="new").wait_for()
    assert rows.filter(has_text="/while-paused").count() == 0
    pause.click()
    rows.filter(has_text="/while-paused").first.wait_for()
    for _ in range(6):
        send("/many", 80)
        page.wait_for_timeout(250)
    send("/last", 1)
    rows.filter(has_text="/last").first.wait_for()
    assert rows.count() <= 200


def test_the_theme_is_chosen_and_kept(visit: Visit, node: RunningNode) -> None:
    page = visit.page
    page.emulate_media(color_scheme="light")
    visit.open()
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.get_by_test_id("theme").select_option("dark")
    dark = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == dark
    page.get_by_test_id("theme").select_option("auto")
    assert page.evaluate(background) == light
