"""A view file written while the node runs: picked up, built from all of history, then live."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def test_a_changed_view_is_compared_and_taken_back(node: RunningNode) -> None:
    path = views_dir(node) / "compared.sql"
    text = VIEW.replace("slow_by_ip", "compared").replace("/own-view", "/compared")
    path.write_text(text)
    found = [{**line, "endpoint": "/compared"} for line in lines(0, 60)]
    post(node, found)
    until(lambda: node.get("/v1/views/compared").status == 200, lambda: node.get("/v1/views").json)
    first = node.view("compared", total="true")
    assert command(node, "views", "diff", "compared", code=2) == {}
    assert command(node, "views", "rollback", "compared", code=2) == {}

    path.write_text(text.replace("response_ms > 500", "response_ms > 800"))
    until(lambda: node.view("compared")["version"] != first["version"], lambda: node.view("compared"))
    post(node, found)  # both versions go on
    changed = command(node, "views", "diff", "compared", "--total", code=1)
    assert changed["rows"] == {"before": 3, "now": 3, "equal": 0, "changed": 3, "gone": 0, "new": 0}
    by_ip = {row["ip"]: row["columns"] for row in changed["differences"]}
    slow = expected(found)
    assert {ip: c["requests"]["before"] for ip, c in by_ip.items()} == {ip: 2 * n for ip, (n, _, _) in slow.items()}
    assert all("slowest_ms" not in columns for columns in by_ip.values())

    command(node, "views", "rollback", "compared")
    until(lambda: node.view("compared")["version"] == first["version"], lambda: node.view("compared"))
    assert {row[1]: row[2] for row in node.view("compared", total="true")["rows"]} == {
        ip: 2 * n for ip, (n, _, _) in slow.items()
    }
    assert row_of(node, "compared")["status"] == "rolled back"
    command(node, "views", "rollback", "compared")
    until(lambda: node.view("compared")["version"] != first["version"], lambda: node.view("compared"))
    until(lambda: row_of(node, "compared")["status"] == "live", lambda: row_of(node, "compared"))
    path.unlink()


def test_a_view_is_built_anew(node: RunningNode) -> None:
    post(node, lines(0, 40))
    until_covered(node)
    before = node.view("overall_health", total="true")
    assert command(node, "views", "rebuild", "overall_health")["status"] == "live"
    until(lambda: node.view("overall_health", total="true")["rows"] == before["rows"], lambda: before)
    assert until_covered(node)["ledger"]["balanced"]
    assert command(node, "views", "rebuild", "no_such_view", code=2) == {}


def command(node: RunningNode, *words: str, code: int = 0) -> Any:
    """What `tailrace WORDS --json` prints; {} if it is to fail."""
    run = [sys.executable, "-m", "tailrace.cli.main", *words, "--json", "--url", f"http://127.0.0.1:{node.port}"]
    done = subprocess.run(run, capture_output=True, timeout=120, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout) if code < 2 else {}


def row_of(node: RunningNode, name: str) -> dict[str, Any]:
    return next(view for view in node.get("/v1/views").json["views"] if view["name"] == name)


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
