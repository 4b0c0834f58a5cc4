"""A node whose settings change between two runs: own formats, endpoints by rules, and fields that come, change and go.

What views, SQL and the tail say is compared with plain Python over everything that was posted, whenever that was.
"""

from __future__ import annotations

import http.client
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from tailrace.testing.node import RunningNode
from tests.e2e.nodes import QUICK
from tests.e2e.waiting import until, until_covered

FORMATS = r"""
[[formats]]
name = "java"
pattern = '^(?P<time>\S+) (?P<level>[A-Z]+) (?P<path>/\S*) (?P<took>\S+) (?P<message>.*)$'
groups = { took = { field = "response_ms", unit = "s" } }
multiline = { start = '^\d{4}-' }
[[endpoint_rules]]
match = "/users/*"
template = "/users/{id}"
"""
FIRST = """
[[fields]]
name = "user_id"
type = "text"
[[fields]]
name = "cost"
type = "decimal"
scale = 2
[[fields]]
name = "code"
type = "integer"
"""
THEN = """
[[fields]]
name = "cost"
type = "decimal"
scale = 2
[[fields]]
name = "code"
type = "text"
"""
VIEW = (
    "CREATE VIEW {name} AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, {columns} FROM logs GROUP BY ALL"
)
BY_USER = VIEW.format(name="by_user", columns="user_id, count(*) AS n, sum(cost) AS total, count(code) AS codes")
BY_CODE = VIEW.format(name="by_code", columns="code, extra['user_id'] AS who, count(*) AS n")
CODES = VIEW.format(name="codes", columns="count(code) AS n")
"""Stands in both settings, and means something else in each."""
Line = dict[str, Any]


def lines(first: int, count: int) -> list[Line]:
    """Own keys of every sort: texts, numbers, missing, and codes that are no numbers."""
    found = []
    for n in range(first, first + count):
        line: Line = {"timestamp": f"2026-05-01T00:{n // 60:02d}:{n % 60:02d}Z", "endpoint": f"/users/{n}", "n": n}
        line |= {"cost": [n / 8, f"{n}.005", None][n % 3], "code": [n % 4, "x", str(n % 4)][n // 3 % 3]}
        if n % 5:
            line["user_id"] = n % 5 if n % 2 else f"u{n % 5}"
        found.append(line)
    return found


def text(value: Any) -> str | None:
    return None if value is None else str(value)


def cents(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def is_integer(value: Any) -> bool:
    return str(value).isdigit()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    (tmp_path / "views").mkdir()
    running = RunningNode(tmp_path / "data", config=tmp_path / "tailrace.toml")
    try:
        yield running
        running.stop()
    finally:
        running.kill_all()


def start(node: RunningNode, toml: str, *views: str) -> None:
    folder = node.data_dir.parent
    (folder / "tailrace.toml").write_text(QUICK + FORMATS + toml)
    for path in (folder / "views").glob("*.sql"):
        path.unlink()
    for view in views:
        (folder / "views" / f"{view.split()[2]}.sql").write_text(view)
    node.start()


def post(node: RunningNode, found: list[Line]) -> None:
    answer = node.post_logs("\n".join(map(json.dumps, found)).encode())
    assert (answer.status, answer.json["accepted"]) == (200, len(found))


def rows_of_view(node: RunningNode, name: str) -> list[list[Any]]:
    return [row[1:] for row in node.view(name, total="true")["rows"]]


def query(node: RunningNode, sql: str) -> list[list[Any]]:
    answer = node.request("POST", "/v1/query", json.dumps({"sql": sql}).encode())
    assert answer.status == 200, answer.body
    rows: list[list[Any]] = answer.json["rows"]
    return rows


def tail(node: RunningNode, where: str) -> list[Line]:
    """The newest rows that are kept; the last is one that was posted last."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    connection.request("GET", f"/v1/tail?limit=500&where={where}")
    response = connection.getresponse()
    found: list[Line] = []
    while line := response.readline().decode():
        if line.startswith("data: ") and '"endpoint"' in line:
            found.append(json.loads(line[6:]))
            if json.loads(found[-1]["extra"])["n"] == 149:
                break
    connection.close()
    return found


def assert_no_drift(node: RunningNode) -> None:
    state = until_covered(node)
    assert [view["drift_rows"] for view in state["views"]] == [0] * len(state["views"])
    assert state["ledger"]["balanced"]


def by_user(found: list[Line]) -> list[list[Any]]:
    counted: dict[str | None, list[Any]] = defaultdict(lambda: [0, None, 0])
    for line in found:
        row = counted[text(line.get("user_id"))]
        cost = cents(line["cost"])
        row[0] += 1
        row[1] = row[1] if cost is None else (row[1] or 0) + cost
        row[2] += is_integer(line["code"])
    return [[user, *row] for user, row in counted.items()]


def by_code(found: list[Line]) -> list[list[Any]]:
    counted = Counter((text(line["code"]), text(line.get("user_id"))) for line in found)
    return [[*keys, n] for keys, n in counted.items()]


def same(one: list[list[Any]], other: list[list[Any]]) -> bool:
    return sorted(one, key=str) == sorted(other, key=str)


def test_fields_come_change_and_go_and_nothing_is_lost(node: RunningNode) -> None:
    posted = lines(0, 60)
    start(node, "")
    post(node, posted)
    until_covered(node)
    post(node, lines(60, 30))
    node.stop()
    posted += lines(60, 30)

    start(node, FIRST, BY_USER, CODES)
    until(lambda: same(rows_of_view(node, "by_user"), by_user(posted)), lambda: rows_of_view(node, "by_user"))
    post(node, lines(90, 60))
    posted += lines(90, 60)
    until(lambda: same(rows_of_view(node, "by_user"), by_user(posted)), lambda: rows_of_view(node, "by_user"))
    whole = sum(is_integer(line["code"]) for line in posted)
    until(lambda: rows_of_view(node, "codes") == [[whole]], lambda: rows_of_view(node, "codes"))
    sql = "SELECT user_id, count(*), sum(cost), count(code) FROM logs GROUP BY ALL"
    assert same(query(node, sql), by_user(posted))
    kept = query(node, "SELECT extra->>'code', (extra->>'n')::int FROM logs WHERE code IS NULL ORDER BY 2")
    assert kept == [["x", line["n"]] for line in posted if line["code"] == "x"]
    shown = tail(node, "user_id+IS+NOT+NULL")
    assert {json.loads(row["extra"])["n"] for row in shown} >= {n for n in range(90, 150) if n % 5}
    for row in shown:
        line = posted[json.loads(row["extra"])["n"]]
        assert row["user_id"] == text(line["user_id"])
        assert cents(row["cost"]) == cents(line["cost"])
    assert_no_drift(node)
    post(node, lines(150, 30))
    node.stop()
    posted += lines(150, 30)

    start(node, THEN, BY_CODE, CODES)
    until(lambda: same(rows_of_view(node, "by_code"), by_code(posted)), lambda: rows_of_view(node, "by_code"))
    post(node, lines(180, 30))
    posted += lines(180, 30)
    until(lambda: same(rows_of_view(node, "by_code"), by_code(posted)), lambda: rows_of_view(node, "by_code"))
    until(lambda: rows_of_view(node, "codes") == [[len(posted)]], lambda: rows_of_view(node, "codes"))
    assert same(query(node, "SELECT code, extra->>'user_id', count(*) FROM logs GROUP BY ALL"), by_code(posted))
    assert_no_drift(node)
    assert same(rows_of_view(node, "by_code"), by_code(posted))
    costs = query(node, "SELECT (extra->>'n')::int, cost FROM logs ORDER BY 1")
    assert [[n, cents(cost)] for n, cost in costs] == [[line["n"], cents(line["cost"])] for line in posted]
    own_formats_and_endpoints_by_rules(node)
    assert_no_drift(node)


def own_formats_and_endpoints_by_rules(node: RunningNode) -> None:
    body = (
        "\tat orphan\n"
        "2026-05-02T00:00:00Z ERROR /users/17?x=1 0.25 boom\njava.lang.X: y\n\n\tat a.b(C.java:1)\n"
        "2026-05-02T00:00:01Z INFO /users/18 - fine\n2026- bad\n"
    )
    answer = node.post_logs(body.encode(), format="java")
    assert answer.json["accepted"] == 2
    assert answer.json["dead_lettered"] == [
        {"line": 1, "reason": "continues a record whose beginning is not in the same post"},
        {"line": 7, "reason": "does not parse in the declared format"},
    ]
    columns = "endpoint, response_ms, message, extra->>'path'"
    found = query(node, f"SELECT {columns} FROM logs WHERE level IS NOT NULL ORDER BY timestamp")
    assert [[row[0], None if row[1] is None else Decimal(row[1]), *row[2:]] for row in found] == [
        ["/users/{id}", Decimal(250), "boom\njava.lang.X: y\n\n\tat a.b(C.java:1)", "/users/17"],
        ["/users/{id}", None, "fine", "/users/18"],
    ]
    health = [row for row in rows_of_view(node, "endpoint_health") if row[0] == "/users/{id}"]
    assert len(health) == len(rows_of_view(node, "endpoint_health"))
    refused = node.post_logs(b"x", format="jaav")
    assert (refused.status, "java" in refused.json["error"]["hint"]) == (400, True)
