"""The page of alerts in a real browser: what fires, why, with which lines, a rule written with its replay, and nothing run from a log."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tailrace.testing.node import RunningNode
from tests.browser.test_safety import AXE
from tests.browser.visit import Visit
from tests.e2e.waiting import until

HOSTILE = "/<img src=x onerror=alert(1)>"
RULE = {
    "title": "Busy", "view": "endpoint_health", "value": "requests", "above": 3, "over": "10s", "delay": "0", "keep_firing_for": "1h",
    "annotations": {"summary": "{{endpoint}} has {{value}}"},
}  # fmt: skip


@pytest.fixture
def firing(node: RunningNode) -> RunningNode:
    """A rule that fires for an endpoint with a hostile name."""
    node.request("PUT", "/v1/alerts/rules/busy", json.dumps(RULE).encode())

    def fires() -> bool:
        row = {"timestamp": datetime.now(UTC).isoformat(), "endpoint": HOSTILE, "status": 200}
        node.post_logs("\n".join([json.dumps(row)] * 5).encode())
        return any(a["rule"] == "busy" and a["status"] == "firing" for a in node.get("/v1/alerts").json["alerts"])

    until(fires, lambda: node.get("/v1/alerts").body)
    return node


def test_what_fires_is_explained_and_silenced(visit: Visit, firing: RunningNode) -> None:
    page = visit.open("/?page=alerts")
    alert = page.get_by_test_id("alert").filter(has_text="requests of view endpoint_health")
    alert.wait_for()
    assert HOSTILE in alert.inner_text()
    alert.get_by_role("link", name="Chart and lines").click()
    page.locator("pre", has_text="onerror").first.wait_for()
    page.locator("svg[role=img]").wait_for()
    alert.get_by_role("button", name="Silence 1 h").click()
    alert.get_by_text("silenced").wait_for()
    assert visit.errors == []


def test_a_rule_is_written_with_its_replay_and_saved(visit: Visit, firing: RunningNode) -> None:
    page = visit.open('/?page=alerts&new={"view":"endpoint_health","value":"requests","above":2,"over":"10s"}')
    page.get_by_test_id("would-have-fired").get_by_text("Would have fired").wait_for()
    page.get_by_label("Number", exact=True).fill("nonsense")
    page.get_by_test_id("would-have-fired").get_by_text("no number `nonsense`").wait_for()
    page.get_by_label("Number", exact=True).fill("requests")
    page.get_by_label("Name").fill("mine")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="mine", exact=True).wait_for()
    assert firing.get("/v1/alerts/rules/mine").json["rule"]["above"] == 2
    visit.errors[:] = [each for each in visit.errors if "400" not in each]
    assert visit.errors == []


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_scrolls_sideways_and_axe_finds_nothing(visit: Visit, firing: RunningNode, width: int) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    visit.page.set_viewport_size({"width": width, "height": 900})
    for path in ("/?page=alerts&rule=busy", "/?page=alerts&new=1"):
        page = visit.open(path)
        page.get_by_test_id("alert").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
