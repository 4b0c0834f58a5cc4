"""What the page says when there is nothing, only something old, or nobody to ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tailrace.testing.node import RunningNode
from tests.browser.lines import at, ndjson, now, traffic
from tests.browser.visit import Visit

if TYPE_CHECKING:
    from playwright.sync_api import WebSocket

OLD = datetime(2015, 5, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of these tests' own: it must begin empty, and is stopped and started."""
    with RunningNode(tmp_path_factory.mktemp("states") / "data") as running:
        yield running


def test_from_empty_to_old_to_live(visit: Visit, node: RunningNode) -> None:
    page = visit.open()
    empty = page.get_by_test_id("empty-state")
    empty.wait_for()
    assert f"curl 'http://127.0.0.1:{node.port}/v1/logs'" in empty.inner_text()

    node.post_logs(ndjson(traffic(OLD, 500, ["/a", "/b"])))
    notice = page.get_by_test_id("old-data")
    notice.wait_for()
    assert "20 May 2015" in notice.inner_text()
    page.get_by_test_id("panel-gauge").filter(has_text="no events in the last minute").wait_for()
    page.get_by_test_id("show-that-time").click()
    visit.wait_number("requests-total", 500)
    page.get_by_test_id("back-to-live").click()
    notice.wait_for()

    node.post_logs(ndjson([{"timestamp": at(now()), "endpoint": "/now", "status": 200, "response_ms": 5}]))
    notice.wait_for(state="detached")
    page.get_by_test_id("gauge-value").wait_for()
    page.get_by_test_id("connection-badge").filter(has_text="LIVE").wait_for()


def test_history_that_changes_is_told(visit: Visit, node: RunningNode) -> None:
    """Late lines in old windows of a chart; the newest windows may grow without a word."""
    start = now() - timedelta(minutes=5)
    records = [{"timestamp": at(start + timedelta(seconds=s)), "endpoint": "/late", "status": 200} for s in range(300)]
    node.post_logs(ndjson(records))
    page = visit.open()
    page.get_by_test_id("line-freshness").wait_for()
    node.post_logs(ndjson([{"timestamp": at(now()), "endpoint": "/late", "status": 200}]))
    visit.page.wait_for_timeout(500)
    assert page.get_by_test_id("line-late").count() == 0
    node.post_logs(ndjson(records[30:37]))
    badge = page.get_by_test_id("line-late")
    badge.wait_for()
    badge.hover()
    page.get_by_role("tooltip").filter(has_text="7 lines arrived late").wait_for()


def test_a_line_that_cannot_be_read_is_shown_with_its_reason(visit: Visit, node: RunningNode) -> None:
    node.post_logs(
        b'{"endpoint":"/x"}\n{"timestamp":"2026-01-01T00:00:00Z","endpoint":"<img src=x onerror=window.ran=1>"\n'
    )
    page = visit.open("/?page=pipeline")
    page.get_by_test_id("dead-letter").nth(1).wait_for()
    text = page.get_by_test_id("dead-letters").inner_text()
    assert '{"endpoint":"/x"}' in text
    assert "<img src=x onerror=window.ran=1>" in text
    assert page.evaluate("window.ran") is None
    page.get_by_test_id("ledger-verdict").filter(has_text="balanced").wait_for()
    assert page.get_by_test_id("shard-row").count() >= 1


def test_the_page_comes_back_with_the_node(visit: Visit, node: RunningNode) -> None:
    node.post_logs(ndjson([{"timestamp": at(now()), "endpoint": "/before", "status": 200, "response_ms": 5}]))
    page = visit.open()
    page.get_by_test_id("gauge-value").wait_for()
    node.stop()
    badge = page.get_by_test_id("connection-badge")
    badge.filter(has_text="RECONNECTING").wait_for()
    assert page.get_by_test_id("gauge-value").is_visible(), "the last numbers stay"
    node.start()
    badge.filter(has_text="LIVE").wait_for()
    node.post_logs(ndjson([{"timestamp": at(now()), "endpoint": "/after", "status": 200, "response_ms": 5}]))
    page.get_by_test_id("endpoints-table-toggle").click()
    page.wait_for_selector('[data-testid="endpoint-row"][data-endpoint="/after"]')
    visit.forgive_refused_connections()


def test_a_hidden_tab_asks_nothing(visit: Visit, node: RunningNode) -> None:
    sockets: list[WebSocket] = []
    visit.page.on("websocket", lambda socket: sockets.append(socket))
    page = visit.open()
    page.get_by_test_id("connection-badge").filter(has_text="LIVE").wait_for()
    set_visibility = """(state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(set_visibility, "hidden")
    if not sockets[0].is_closed():
        sockets[0].wait_for_event("close")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3_000)
    assert asked == []
    page.evaluate(set_visibility, "visible")
    page.get_by_test_id("connection-badge").filter(has_text="LIVE").wait_for()
    assert len(sockets) == 2
