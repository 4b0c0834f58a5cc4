"""A view file written while the node runs: picked up, built from all of history, then live."""

from __future__ import annotations

import json
from pathlib import Path

from tailrace.testing.node import RunningNode
from tests.e2e.waiting import until, until_covered

VIEW = """
CREATE VIEW slow_by_ip AS
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start, ip,
       count(*) AS requests, sum(response_ms) AS total_ms, max(response_ms) AS slowest_ms
FROM logs WHERE response_ms > 500 AND endpoint = '/own-view' GROUP BY ALL;
"""


def lines(first: int, count: int) -> list[dict[str, object]]:
    return [
        {
            "timestamp": f"2026-03-01T00:00:{n % 60:02d}Z",
            "endpoint": "/own-view",
            "response_ms": 100 * (n % 10) + 0.5,
            "ip": f"10.9.0.{n % 3}",
        }
        for n in range(first, first + count)
    ]


def post(node: RunningNode, found: list[dict[str, object]]) -> None:
    assert node.post_logs("\n".join(json.dumps(line) for line in found).encode()).status == 200


def expected(found: list[dict[str, object]]) -> dict[str, tuple[int, float, float]]:
    """ip -> count, sum and max of the response times above 500."""
    slow: dict[str, list[float]] = {}
    for line in found:
        value = line["response_ms"]
        assert isinstance(value, float)
        if value > 500:
            slow.setdefault(str(line["ip"]), []).append(value)
    return {ip: (len(values), sum(values), max(values)) for ip, values in slow.items()}


def answered(node: RunningNode) -> dict[str, tuple[int, float, float]]:
    answer = node.view("slow_by_ip", total="true")
    assert answer["columns"] == ["window_start", "ip", "requests", "total_ms", "slowest_ms"]
    return {row[1]: (row[2], float(row[3]), float(row[4])) for row in answer["rows"]}


def test_a_new_view_file_covers_history_and_stays_live(node: RunningNode) -> None:
    history = lines(0, 200)
    post(node, history)
    until_covered(node)
    path = views_dir(node) / "slow_by_ip.sql"
    path.write_text(VIEW)
    until(lambda: answered(node) == expected(history), lambda: node.get("/v1/views").json)
    later = lines(200, 100)
    post(node, later)
    until(lambda: answered(node) == expected(history + later), lambda: answered(node), seconds=10)
    until_covered(node)
    assert answered(node) == expected(history + later)
    [row] = [view for view in node.get("/v1/views").json["views"] if view["name"] == "slow_by_ip"]
    assert (row["status"], row["keys"], row["shipped"], row["drift_rows"]) == ("live", ["ip"], False, 0)


def test_a_changed_view_file_takes_over_once_it_is_built(node: RunningNode) -> None:
    path = views_dir(node) / "changing.sql"
    text = VIEW.replace("slow_by_ip", "changing")
    path.write_text(text)
    post(node, lines(0, 50))
    until(lambda: node.get("/v1/views/changing").status == 200, lambda: node.get("/v1/views").json)
    before = node.view("changing")["version"]
    path.write_text(text.replace("response_ms > 500", "response_ms > 800"))
    until(lambda: bool(node.view("changing")["version"] != before), lambda: node.view("changing")["version"])
    answer = node.view("changing", total="true")
    slowest = answer["columns"].index("slowest_ms")
    assert answer["rows"]
    assert all(row[slowest] > 800 for row in answer["rows"])


def test_a_view_that_cannot_be_merged_is_refused_with_its_place(node: RunningNode) -> None:
    path = views_dir(node) / "broken.sql"
    path.write_text(
        "CREATE VIEW broken AS\nSELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,\n"
        "       count(DISTINCT ip) AS visitors\nFROM logs GROUP BY ALL;\n"
    )

    def problem() -> str:
        listed = [view for view in node.get("/v1/views").json["views"] if view["status"] == "failed"]
        return json.dumps(listed[0]["error"]) if listed else ""

    until(lambda: "approx_count_distinct" in problem(), problem)
    assert "line 3" in problem()
    path.unlink()
    until(lambda: problem() == "", problem)


def views_dir(node: RunningNode) -> Path:
    return node.data_dir.parent / "views"
