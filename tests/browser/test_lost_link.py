"""The node is killed and started again under an open page: what is old looks old, and all of it comes back by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tailrace.testing.node import RunningNode
from tests.browser.lines import at, ndjson, now
from tests.browser.visit import Visit

BROKEN_VIEW = "CREATE VIEW broken AS SELECT no_such_function(status) AS n FROM logs GROUP BY ALL;"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of these tests' own: it is killed, and has a view that does not compile."""
    folder = tmp_path_factory.mktemp("lost")
    (folder / "views").mkdir()
    (folder / "views" / "broken.sql").write_text(BROKEN_VIEW)
    with RunningNode(folder / "data") as running:
        yield running


def post(node: RunningNode, endpoint: str) -> None:
    line = {"timestamp": at(now()), "endpoint": endpoint, "status": 200, "response_ms": 5}
    answer = node.post_logs(ndjson([line]))
    assert answer.status == 200, answer.body


def test_everything_comes_back_after_a_kill(visit: Visit, node: RunningNode) -> None:
    visit.page.set_viewport_size({"width": 1440, "height": 2400})
    post(node, "/before")
    page = visit.open()
    rows = page.get_by_test_id("tail-row")
    rows.filter(has_text="/before").wait_for()
    assert page.get_by_test_id("as-of").count() == 0

    node.kill_all()
    lost = page.get_by_test_id("tail-lost")
    lost.wait_for()
    as_of = page.get_by_test_id("panel-gauge").get_by_test_id("as-of")
    as_of.wait_for()
    assert re.fullmatch(r"as of \d\d:\d\d:\d\d", as_of.inner_text())
    faded = page.get_by_test_id("panel-gauge").locator(".fades")
    assert faded.evaluate("(e) => Number(getComputedStyle(e).opacity)") < 0.7

    node.start()
    ready_s = time.monotonic()
    page.get_by_test_id("connection-badge").filter(has_text="LIVE").wait_for()
    print(f"LIVE again {time.monotonic() - ready_s:.1f} s after the node was ready")
    as_of.wait_for(state="detached")
    post(node, "/after")
    rows.filter(has_text="/after").wait_for()
    lost.wait_for(state="detached")
    assert rows.filter(has_text="/before").count() == 1, "no line twice"
    visit.forgive_refused_connections()


def test_a_view_that_does_not_compile_is_shown_with_its_reason(visit: Visit, node: RunningNode) -> None:
    (listed,) = [view for view in node.get("/v1/views").json["views"] if view["status"] == "failed"]
    page = visit.open("/?page=pipeline")
    row = page.get_by_test_id("failed-view")
    row.wait_for()
    assert listed["name"] in row.inner_text()
    assert listed["error"]["message"] in row.inner_text()
    assert listed["error"]["hint"] in row.inner_text()
