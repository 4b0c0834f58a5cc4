"""Shards of a running node, as a person splits and merges them: on the command line, over HTTP, with numbers that stay right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tailrace.model.shard import HASH_KEYS
from tailrace.testing.node import RunningNode
from tests.e2e.waiting import until_covered

pytestmark = pytest.mark.slow
DAY = "2025-03-0"
KEYS = 24


def post(node: RunningNode, number: int) -> dict[str, Any]:
    """Post `number`, a line of each key, under its stamp."""
    rows = [
        {"timestamp": f"{DAY}1T00:00:{key:02}Z", "endpoint": f"/shards/{key}", "status": 200, "response_ms": number}
        for key in range(KEYS)
    ]
    answer = node.post_logs(b"\n".join(json.dumps(row).encode() for row in rows), stamp=f"shards-test;1;{number}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def run(node: RunningNode, *words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "tailrace.cli.main", "shards", *words, "--url", f"http://127.0.0.1:{node.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def split(node: RunningNode, shard: str) -> None:
    answer = node.request("POST", f"/v1/shards/{shard}/split")
    assert answer.status == 200, answer.body


def listed(node: RunningNode) -> dict[str, dict[str, Any]]:
    answer = node.get("/v1/shards")
    assert answer.status == 200, answer.body
    return {row["id"]: row for row in answer.json["shards"]}


def open_ids(node: RunningNode) -> list[str]:
    """By their range."""
    rows = [row for row in listed(node).values() if row["state"] == "open"]
    assert sum(int(row["hash_last"]) - int(row["hash_first"]) + 1 for row in rows) == HASH_KEYS
    return [row["id"] for row in sorted(rows, key=lambda row: int(row["hash_first"]))]


def counted(node: RunningNode) -> Counter[str]:
    """Endpoint -> requests of this test's day, as the view answers at once."""
    answer = node.view("endpoint_health", total="true", _from=f"{DAY}1T00:00:00Z", to=f"{DAY}2T00:00:00Z")
    at, count = answer["columns"].index("endpoint"), answer["columns"].index("requests")
    return Counter({row[at]: int(row[count]) for row in answer["rows"]})


def test_split_and_merge_while_lines_come_in(node: RunningNode) -> None:
    assert post(node, 0)["accepted"] == KEYS
    first = open_ids(node)[0]
    done = json.loads(run(node, "split", first, "--json"))
    children = [row["id"] for row in done["children"]]
    assert [row["id"] for row in done["closed"]] == [first]
    assert {tuple(row["parents"]) for row in done["children"]} == {(first,)}
    assert (post(node, 0)["deduplicated"], post(node, 1)["accepted"]) == (KEYS, KEYS)
    assert counted(node) == {f"/shards/{key}": 2 for key in range(KEYS)}

    merged = node.request("POST", f"/v1/shards/{children[0]}/merge", json.dumps({"adjacent": children[1]}).encode())
    assert merged.status == 200, merged.body
    (child,) = merged.json["children"]
    assert (child["parents"], child["state"], child["lines"]) == (children, "open", 0)
    assert (post(node, 0)["deduplicated"], post(node, 1)["deduplicated"], post(node, 2)["accepted"]) == (KEYS,) * 3
    assert counted(node) == {f"/shards/{key}": 3 for key in range(KEYS)}

    rows = listed(node)
    assert (rows[first]["children"], rows[children[0]]["children"]) == (children, [child["id"]])
    assert rows[first]["last_epoch"] + 1 == rows[children[0]]["first_epoch"]
    assert rows[child["id"]]["first_epoch"] == 1 + max(rows[c]["last_epoch"] for c in children)
    numbers = [rows[name]["last_sequence_number"] for name in (first, children[0], child["id"])]
    assert numbers == sorted(numbers, key=int)
    state = until_covered(node)
    assert state["ledger"]["balanced"]
    assert [view["drift_rows"] for view in state["views"] if view["drift_rows"]] == []
    assert counted(node) == {f"/shards/{key}": 3 for key in range(KEYS)}


def test_lines_of_a_key_are_in_order_over_a_split(node: RunningNode) -> None:
    begin = 100
    for number in range(begin, begin + 6):
        post(node, number)
        if number % 2:
            split(node, open_ids(node)[-1])
    sql = (
        "SELECT endpoint, list(response_ms ORDER BY _shard, _offset) AS found FROM logs "
        f"WHERE endpoint LIKE '/shards/%' AND response_ms >= {begin} GROUP BY ALL"
    )
    answer = node.request("POST", "/v1/query", json.dumps({"sql": sql}).encode())
    assert answer.status == 200, answer.body
    assert [[int(n) for n in row[1]] for row in answer.json["rows"]] == [list(range(begin, begin + 6))] * KEYS


def test_what_cannot_be_done_is_said_and_changes_nothing(node: RunningNode) -> None:
    first = open_ids(node)[0]
    split(node, first)
    before = listed(node)
    ids = open_ids(node)
    assert "took its place" in run(node, "split", first, code=2)
    assert "does not divide" in run(node, "split", ids[0], "--at", str(HASH_KEYS - 1), code=2)
    assert "not neighbours" in run(node, "merge", ids[0], ids[-1], code=2)
    refusals: list[tuple[str, bytes, int]] = [
        (f"/v1/shards/{first}/split", b"", 409),
        ("/v1/shards/%2e%2e/split", b"", 404),
        ("/v1/shards/shardId-000000009999/split", b"", 404),
        (f"/v1/shards/{ids[0]}/merge", b'{"adjacent":"what"}', 404),
        (f"/v1/shards/{ids[0]}/split", b'{"new_starting_hash_key":"half"}', 400),
        (f"/v1/shards/{ids[0]}/merge", b"", 400),
        (f"/v1/shards/{ids[0]}/merge", b'{"adjacent":7}', 400),
        (f"/v1/shards/{ids[0]}/split", b'{"at":"7"}', 400),
        (f"/v1/shards/{ids[0]}/split", b'{"new_starting_hash_key":true}', 400),
        (f"/v1/shards/{ids[0]}/split", b"{" * 5000, 400),
        (f"/v1/shards/{ids[0]}/split?at=7", b"", 400),
    ]
    for path, body, status in refusals:
        answer = node.request("POST", path, body)
        assert answer.status == status, (path, answer.body)
        assert answer.json["error"].keys() == {"code", "message", "hint"}
    after = listed(node)
    assert {name: row["state"] for name, row in after.items()} == {name: row["state"] for name, row in before.items()}


def test_the_list_is_for_people_and_for_programs(node: RunningNode) -> None:
    split(node, open_ids(node)[0])
    rows = list(listed(node).values())
    shown = run(node, "list")
    assert all(row["id"] in shown for row in rows)
    opened = json.loads(run(node, "list", "--open", "--json"))["shards"]
    assert {row["state"] for row in opened} == {"open"}
    assert sum(row["share"] for row in opened) == pytest.approx(1, abs=1e-4)
    closed = next(row for row in rows if row["state"] == "closed")
    assert closed["open_epoch"] is None
