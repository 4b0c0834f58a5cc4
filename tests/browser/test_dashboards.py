"""Dashboards in a real browser: right numbers, panels edited in place and kept, the way to the records and back, lasting links."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailrace.testing.node import RunningNode
from tests.browser.test_safety import AXE
from tests.browser.visit import Visit
from tests.e2e.waiting import count_of, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCRIPT = "/<script>alert(1)</script>"
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=4)
FIXED = (
    f"&from={(BEGIN - timedelta(minutes=1)).isoformat()[:19]}Z&to={(BEGIN + timedelta(minutes=3)).isoformat()[:19]}Z"
)
OPTIONS = {"unit": "count"}
SQL = (
    "SELECT endpoint, count(*) AS n FROM logs WHERE timestamp >= $from AND timestamp < $to GROUP BY ALL ORDER BY n DESC"
)


def lines(count: int, endpoint: str, status: int = 200) -> bytes:
    rows = [
        {"timestamp": (BEGIN + timedelta(seconds=n)).isoformat(), "endpoint": endpoint, "status": status, "response_ms": 10 + n}
        for n in range(count)
    ]  # fmt: skip
    return "\n".join(map(json.dumps, rows)).encode()


def panel(ident: str, kind: str, at: tuple[int, int, int, int], data: object, **options: object) -> dict[str, object]:
    x, y, w, h = at
    place = {"x": x, "y": y, "w": w, "h": h}
    return {
        "id": ident,
        "kind": kind,
        "title": f"The {ident}",
        "place": place,
        "data": data,
        "options": OPTIONS | options,
    }


def of_view(fields: list[str], **more: object) -> dict[str, object]:
    return {"view": "endpoint_health", "fields": fields, "total": True, **more}


BOARD = {
    "version": 1, "uid": "proof", "title": "Proof",
    "variables": [{"name": "endpoint", "label": "Endpoint", "view": "endpoint_health", "field": "endpoint"}],
    "panels": [
        panel("all", "number", (0, 0, 6, 4), of_view(["requests"], where="endpoint IN ($endpoint)")),
        panel(
            "rate", "number", (6, 0, 6, 4), of_view(["errors = 100 * server_errors / requests"], where="endpoint IN ($endpoint)"),
            unit="percent", thresholds=[{"value": 5, "level": "bad"}],
        ),
        panel("each", "table", (12, 0, 12, 8), of_view(["requests", "visitors"], by="endpoint", limit=2, order="requests")),
        panel("top", "top", (0, 4, 12, 6), of_view(["requests"], by="endpoint", limit=2)),
        panel("line", "line", (0, 10, 12, 7), {**of_view(["requests"], by="endpoint"), "total": False, "step": "10s"}),
        panel("bars", "bar", (12, 10, 12, 7), {**of_view(["requests"], by="status"), "view": "status_by_endpoint"}, stacked=True),
        panel("words", "text", (0, 17, 12, 4), None, text=f"## Notes\n\nOf *{SCRIPT}* and [a link](javascript:alert(1))."),
        panel("gone", "number", (12, 17, 12, 4), {**of_view(["requests"]), "view": "nobody"}),
        panel("sql", "table", (0, 21, 24, 6), {"sql": SQL}),
        panel("logs", "logs", (0, 27, 24, 8), None, search="status:>=500", columns=["timestamp", "endpoint", "status"]),
    ],
}  # fmt: skip
COUNTS = {"/a": 60, "/b": 30, SCRIPT: 10}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of its own, with 100 records of which 10 failed, and a dashboard of every sort of panel."""
    folder: Path = tmp_path_factory.mktemp("boards")
    with RunningNode(folder / "data") as node:
        for endpoint, count in COUNTS.items():
            assert node.post_logs(lines(count, endpoint, 500 if endpoint == SCRIPT else 200)).status == 200
        until(lambda: count_of(node) == sum(COUNTS.values()), lambda: count_of(node))
        assert node.request("PUT", "/v1/dashboards/proof", json.dumps(BOARD).encode()).status == 200
        yield node


@pytest.fixture
def tab(chromium: Browser, board: RunningNode) -> Iterator[Visit]:
    context = chromium.new_context(viewport={"width": 1440, "height": 2200}, timezone_id="Europe/Berlin")
    visit = Visit(context.new_page(), f"http://127.0.0.1:{board.port}")
    yield visit
    context.close()
    assert visit.elsewhere == []
    assert visit.errors == []


def value_is(page: Page, ident: str, value: float) -> None:
    page.wait_for_selector(f'[data-testid="value-{ident}"][data-value="{value:g}"]')


def table(page: Page, ident: str) -> list[list[str]]:
    page.get_by_test_id(f"row-{ident}").first.wait_for()
    return [row.locator("th, td").all_inner_texts() for row in page.get_by_test_id(f"row-{ident}").all()]


def test_numbers_are_those_that_were_sent(tab: Visit) -> None:
    page = tab.open(f"/?page=dashboards&d=proof{FIXED}")
    value_is(page, "all", 100)
    value_is(page, "rate", 10)
    assert "bad" in (page.get_by_test_id("value-rate").get_attribute("class") or "")
    assert [row[:2] for row in table(page, "each")] == [["/a", "60"], ["/b", "30"], ["1 others", "10"]]
    assert [row[:2] for row in table(page, "sql")] == [["/a", "60"], ["/b", "30"], [SCRIPT, "10"]]
    page.get_by_test_id("line-logs").nth(9).wait_for()
    assert page.get_by_test_id("line-logs").count() == 10
    assert page.get_by_test_id("panel-gone").get_by_role("alert").inner_text().startswith("there is no view `nobody`")
    assert page.get_by_test_id("panel-words").get_by_role("link").count() == 0
    assert SCRIPT in page.get_by_test_id("panel-words").inner_text()
    page.get_by_test_id("menu-bars").click()
    page.get_by_test_id("as-table-bars").click()
    assert {tuple(row[:3]) for row in table(page, "bars")} == {
        ("/a", "200", "60"),
        ("/b", "200", "30"),
        (SCRIPT, "500", "10"),
    }


def test_a_variable_narrows_the_panels_that_name_it(tab: Visit) -> None:
    page = tab.open(f"/?page=dashboards&d=proof{FIXED}")
    value_is(page, "all", 100)
    page.get_by_test_id("variable-endpoint").click()
    page.get_by_label("/b", exact=True).check()
    value_is(page, "all", 30)
    assert "v.endpoint=%2Fb" in page.url
    page.reload()
    value_is(page, "all", 30)
    assert [row[0] for row in table(page, "each")] == ["/a", "/b", "1 others"]


def test_a_row_leads_to_its_records_and_back(tab: Visit) -> None:
    page = tab.open(f"/?page=dashboards&d=proof{FIXED}")
    value_is(page, "all", 100)
    page.get_by_test_id("row-each").filter(has_text="/b").get_by_role("button").click()
    page.wait_for_url("**page=explore**")
    assert "q=endpoint%3A%2Fb" in page.url.replace("endpoint:", "endpoint%3A")
    page.get_by_text("30 lines", exact=False).first.wait_for()
    page.go_back()
    value_is(page, "all", 100)


def test_panels_are_added_changed_copied_removed_and_kept(tab: Visit, board: RunningNode) -> None:
    page = tab.open("/?page=dashboards")
    page.get_by_test_id("board-new").click()
    page.get_by_test_id("board-title").fill("Mine, at last")
    page.get_by_test_id("board-make").click()
    page.get_by_test_id("add-first").click()
    page.get_by_test_id("edit-title").fill("Traffic")
    page.get_by_test_id("edit-view").select_option("endpoint_health")
    page.get_by_test_id("edit-by").select_option("endpoint")
    page.get_by_test_id("formula-0").fill("share = 100 * server_errors / requests")
    page.get_by_test_id("formula-0").press("Tab")
    page.get_by_test_id("menu-p1").click()
    page.get_by_test_id("duplicate-p1").click()
    page.get_by_test_id("edit-kind").select_option("table")
    page.get_by_test_id("panel-p2").wait_for()
    page.get_by_test_id("editor-close").click()

    def kept() -> list[dict[str, object]]:
        found: list[dict[str, object]] = board.get("/v1/dashboards/mine-at-last").json["dashboard"]["panels"]
        return found

    until(lambda: [each["kind"] for each in kept()] == ["line", "table"], kept)
    first, second = kept()
    assert (first["title"], second["title"]) == ("Traffic", "Traffic (copy)")
    assert first["data"]["by"] == "endpoint"  # type: ignore[index]
    assert first["data"]["fields"] == ["requests", "share = 100 * server_errors / requests"]  # type: ignore[index]
    assert second["place"] == {"x": 12, "y": 0, "w": 12, "h": 7}

    page.get_by_test_id("menu-p2").click()
    page.get_by_test_id("remove-p2").click()
    until(lambda: len(kept()) == 1, kept)
    page.get_by_test_id("undo").click()
    until(lambda: len(kept()) == 2, kept)
    page.get_by_test_id("redo").click()
    until(lambda: len(kept()) == 1, kept)

    page.get_by_test_id("menu-p1").click()
    page.get_by_test_id("edit-p1").click()
    page.get_by_test_id("panel-editor").press("ArrowRight")
    page.get_by_test_id("panel-editor").press("Shift+ArrowDown")
    until(lambda: kept()[0]["place"] == {"x": 1, "y": 0, "w": 12, "h": 8}, kept)
    handle = page.get_by_test_id("panel-p1").locator("header").bounding_box()
    assert handle is not None
    page.mouse.move(handle["x"] + 30, handle["y"] + 10)
    page.mouse.down()
    page.mouse.move(handle["x"] + 430, handle["y"] + 12, steps=10)
    page.mouse.up()
    until(lambda: int(kept()[0]["place"]["x"]) > 4, kept)  # type: ignore[index]


def test_what_somebody_else_saved_is_not_written_over(tab: Visit, board: RunningNode) -> None:
    other = {**BOARD, "uid": "shared", "title": "Shared", "panels": BOARD["panels"][:1]}
    assert board.request("PUT", "/v1/dashboards/shared", json.dumps(other).encode()).status == 200
    page = tab.open("/?page=dashboards&d=shared&edit=1")
    page.get_by_test_id("board-name").wait_for()
    assert (
        board.request("PUT", "/v1/dashboards/shared", json.dumps({**other, "title": "Theirs"}).encode()).status == 200
    )
    page.get_by_test_id("board-name").fill("Ours")
    page.get_by_role("button", name="Take theirs").click()
    name = page.get_by_test_id("board-name")
    until(lambda: name.input_value() == "Theirs", name.input_value)
    tab.errors[:] = [error for error in tab.errors if "409" not in error]


def test_a_pinned_link_shows_the_same_numbers_later(tab: Visit, board: RunningNode) -> None:
    page = tab.open(f"/?page=dashboards&d=proof{FIXED}")
    value_is(page, "all", 100)
    page.get_by_test_id("share").click()
    page.get_by_test_id("pin").click()
    page.wait_for_url("**pin=**")
    link = page.url
    assert board.post_logs(lines(7, "/late")).status == 200
    page.goto(link.split("&pin=")[0])
    value_is(page, "all", 107)
    page.goto(link)
    value_is(page, "all", 100)
    page.get_by_text("pinned", exact=True).wait_for()


@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (390, "light")])
def test_nothing_serious_for_axe_and_nothing_sideways(
    chromium: Browser, board: RunningNode, width: int, theme: str
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 2200}, color_scheme=theme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        for path in ("d=proof", "d=proof&edit=each", ""):
            page.goto(f"http://127.0.0.1:{board.port}/?page=dashboards&{path}{FIXED}")
            page.get_by_role("heading").first.wait_for()
            if path:
                page.get_by_test_id("row-each").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            page.evaluate(AXE.read_text())
            found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
            serious = [v for v in found if v["impact"] in ("serious", "critical")]
            assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in serious] == [], path
    finally:
        context.close()
