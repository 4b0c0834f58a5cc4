"""What the panels say is what the views say, digit for digit."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tailrace.testing.node import RunningNode
from tests.browser.lines import at, ndjson, now, traffic
from tests.browser.visit import Visit

DAY = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
MANY = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
SHARES = datetime(2026, 3, 6, 10, 0, tzinfo=UTC)
UNTIMED = datetime(2026, 3, 5, 10, 0, tzinfo=UTC)
ENDPOINTS = ["/home", "/login", "/profile", "/logout"]


def range_of(node: RunningNode, view: str, start: datetime, **params: object) -> list[dict[str, object]]:
    """The rows that the page asks for at `?at=` 100 s after `start`: five minutes up to the end of that window."""
    answer = node.view(view, _from=at(start, 110 - 300), to=at(start, 110), total="true", **params)
    return [dict(zip(answer["columns"], map(as_javascript, row), strict=True)) for row in answer["rows"]]


def as_javascript(cell: object) -> object:
    """A page has doubles only; the views' numbers have all their digits."""
    return float(cell) if isinstance(cell, Decimal) else cell


def test_panels_equal_the_views(visit: Visit, node: RunningNode) -> None:
    node.post_logs(ndjson(traffic(DAY, 2_000, ENDPOINTS)))
    page = visit.open(f"/?at={at(DAY, 100)}")
    visit.wait_number("requests-total", 2_000)

    (overall,) = range_of(node, "overall_health", DAY)
    assert visit.number("gauge-value") == overall["response_ms_avg"]
    assert visit.number("gauge-p99") == overall["response_ms_p99"]
    assert visit.number("server-errors") == overall["server_errors"]
    shown = page.get_by_test_id("gauge-value").inner_text()
    assert re.fullmatch(r"[\d,.]+ ms", shown), shown

    page.get_by_test_id("endpoints-table-toggle").click()
    page.get_by_test_id("status-table-toggle").click()
    health = visit.table("endpoint-row", 2_000)
    for row in range_of(node, "endpoint_health", DAY):
        cells = health.pop(row["endpoint"])
        expected = {name: row[column] for name, column in COLUMNS.items()}
        assert {name: cells[name] for name in COLUMNS} == expected
    assert health == {}

    classes: dict[str, dict[str, float]] = {}
    for row in range_of(node, "status_by_endpoint", DAY):
        of = classes.setdefault(str(row["endpoint"]), {"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0})
        of[f"{int(row['status']) // 100}xx"] += row["requests"]
    assert visit.table("status-row", 2_000) == classes


COLUMNS = {
    "requests": "requests",
    "average": "response_ms_avg",
    "p99": "response_ms_p99",
    "server_errors": "server_errors",
}


def test_two_thousand_endpoints_are_twenty_and_the_exact_rest(visit: Visit, node: RunningNode) -> None:
    lines = [
        {
            "timestamp": at(MANY, i % 90),
            "endpoint": f"/service{n % 10}/v2/tenants/{{id}}/items/{n}",
            "status": 200 + 300 * (i % 9 == 0),
            "response_ms": 10 + n % 50,
        }
        for i, n in enumerate([n for n in range(2_000) for _ in range(40 if n < 25 else 2)])
    ]
    node.post_logs(ndjson(lines))
    page = visit.open(f"/?at={at(MANY, 100)}")
    visit.wait_number("requests-total", len(lines))
    page.get_by_test_id("endpoints-table-toggle").click()
    page.get_by_test_id("status-table-toggle").click()
    health, status = visit.table("endpoint-row", len(lines)), visit.table("status-row", len(lines))
    assert len(health) == len(status) == 21
    assert health.keys() == status.keys()
    assert sum(row["requests"] for row in health.values()) == len(lines)
    assert sum(sum(row.values()) for row in status.values()) == len(lines)
    assert "others (1,980 endpoints)" in page.get_by_test_id("panel-endpoints").inner_text()
    others = [line for line in lines if line["endpoint"] not in health]
    assert health[None]["requests"] == len(others)
    assert health[None]["average"] == pytest.approx(sum(line["response_ms"] for line in others) / len(others), abs=1e-6)
    assert status[None]["5xx"] == sum(line["status"] == 500 for line in others)


def test_errors_are_ranked_and_listed_by_share(visit: Visit, node: RunningNode) -> None:
    counts = {"/many": (1_000, 20), "/few": (10, 5), "/none": (100, 0)}
    node.post_logs(
        ndjson(
            {"timestamp": at(SHARES), "endpoint": endpoint, "status": 500 if i < errors else 200, "response_ms": 5}
            for endpoint, (requests, errors) in counts.items()
            for i in range(requests)
        )
    )
    page = visit.open(f"/?at={at(SHARES, 100)}&rank=errors")
    visit.wait_number("requests-total", 1_110)
    page.get_by_test_id("endpoints-table-toggle").click()
    page.get_by_test_id("panel-status").get_by_role("button", name="Share").click()
    page.get_by_test_id("status-table-toggle").click()
    for testid, column in (("endpoint-row", "server_error_share"), ("status-row", "5xx")):
        rows = page.get_by_test_id(testid)
        rows.nth(2).wait_for()
        cells = rows.locator(f'[data-column="{column}"]')
        assert [row.get_attribute("data-endpoint") for row in rows.all()] == ["/few", "/many", "/none"]
        assert [text.strip() for text in cells.all_inner_texts()] == ["50 %", "2.0 %", "0 %"]


def test_a_log_without_response_times_shows_traffic(visit: Visit, node: RunningNode) -> None:
    stamp = UNTIMED.strftime("%d/%b/%Y:%H:%M:%S +0000")
    line = f'10.0.0.1 - - [{stamp}] "GET /index.html HTTP/1.1" 200 5120 "-" "curl/8.0"\n'
    node.post_logs(line.encode() * 300, format="combined")
    page = visit.open(f"/?at={at(UNTIMED, 100)}")
    visit.wait_number("requests-total", 300)
    assert page.get_by_test_id("no-response-times").is_visible()
    assert page.get_by_test_id("gauge-p99").count() == 0
    assert visit.number("gauge-value") == 1.0
    assert visit.number("requests-rate") == 1.0
    page.get_by_test_id("panel-endpoints").filter(has_text="no response times in this log").wait_for()
    page.get_by_test_id("panel-line").get_by_role("heading", name="Traffic over time").wait_for()


def test_a_new_event_reaches_the_page(
    visit: Visit, node: RunningNode, record_property: Callable[[str, object], None]
) -> None:
    """Proves that it arrives by itself; how fast is reported, not asserted: a busy machine may be slow.

    Two hundred lines each: the page shows the twenty busiest endpoints, and other tests have used this node.
    """
    page = visit.open()
    node.post_logs(ndjson([{"timestamp": at(now()), "endpoint": "/first", "status": 200, "response_ms": 12}]))
    page.get_by_test_id("endpoints-table-toggle").click()
    took_ms = []
    for i in range(8):
        line = {"timestamp": at(now()), "endpoint": f"/event-{i}", "status": 200, "response_ms": 900}
        started_s = time.perf_counter()
        assert node.post_logs(ndjson([line] * 200)).status == 200
        page.wait_for_selector(f'[data-testid="endpoint-row"][data-endpoint="/event-{i}"]')
        took_ms.append((time.perf_counter() - started_s) * 1000)
    record_property("event_to_dom_ms", took_ms)
    print(f"post to DOM, ms: {', '.join(f'{ms:.0f}' for ms in sorted(took_ms))}")


def test_the_gauge_follows(visit: Visit, node: RunningNode) -> None:
    """Its mean is of all lines of the last minute, those of other tests too; these are so many that they carry it."""
    page = visit.open()
    node.post_logs(
        ndjson([{"timestamp": at(now()), "endpoint": "/live", "status": 200, "response_ms": 9_000}] * 20_000)
    )
    page.wait_for_function(
        "() => Number(document.querySelector('[data-testid=requests-total]')?.dataset.value) >= 20000"
    )
    assert 2_000 < (visit.number("gauge-value") or 0) <= 9_000
    assert "ms" in page.get_by_test_id("gauge-value").inner_text()


def test_a_past_range_has_an_address_and_a_way_back(visit: Visit, node: RunningNode) -> None:
    page = visit.open(f"/?at={at(DAY, 100)}&range=15m")
    visit.wait_number("requests-total", 2_000)
    assert "3 Mar 2026" in page.get_by_test_id("past-range").inner_text()
    page.get_by_test_id("back-to-live").click()
    page.wait_for_url(lambda url: "at=" not in url and "range=15m" in url)
    page.go_back()
    visit.wait_number("requests-total", 2_000)
    assert page.get_by_test_id("range-15m").get_attribute("aria-current") == "page"
