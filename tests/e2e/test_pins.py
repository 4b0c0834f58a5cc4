"""`at=` and pins on a real node: the same numbers again, damage named, what can be computed no more archived."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.states.pins import PinStore
from tailrace.testing.node import Answer, RunningNode
from tests.e2e.waiting import until, until_covered

OWN = (
    "CREATE VIEW own AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, endpoint, count(*) AS n,"
    " avg(response_ms) AS ms FROM logs WHERE starts_with(endpoint, '/pin/') GROUP BY ALL"
)
Recorded = list[tuple[str, dict[str, str], list[list[Any]]]]


@pytest.fixture(scope="module")
def recorded(node: RunningNode) -> Recorded:
    """(token, position, rows) of each answer while lines came in and batch took them over."""
    views_file(node).write_text(OWN)
    until(lambda: node.get("/v1/views/own").status == 200, node.log_end)
    found: Recorded = []
    for n in range(6):
        lines = [
            {"timestamp": f"2026-05-01T00:00:{k % 60:02d}Z", "endpoint": f"/pin/{k % 5}", "response_ms": k * n + 0.1}
            for k in range(40 + n)
        ]
        assert node.post_logs("\n".join(map(json.dumps, lines)).encode()).status == 200
        answer = node.view("own")
        found.append((answer["position_token"], answer["position"], answer["rows"]))
        if n == 2:
            until_covered(node)
    return found


def views_file(node: RunningNode) -> Path:
    return node.data_dir.parent / "views" / "own.sql"


def pin(node: RunningNode, view: str, **query: object) -> Answer:
    return node.request("POST", "/v1/pins", json.dumps({"view": view, "query": query}).encode())


def pinned(node: RunningNode, view: str, **query: object) -> dict[str, Any]:
    answer = pin(node, view, **query)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


def shown(node: RunningNode, pin_id: str) -> dict[str, Any]:
    answer = node.get(f"/v1/pins/{pin_id}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def run(node: RunningNode, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tailrace.cli.main", *words]
    env = {**os.environ, "TAILRACE_URL": f"http://127.0.0.1:{node.port}"}
    return subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=node.data_dir.parent, env=env)


def tailrace(node: RunningNode, *words: str, code: int = 0) -> Any:
    done = run(node, *words, "--json")
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout or done.stderr)


def test_every_answer_comes_again_in_both_forms_of_its_position(node: RunningNode, recorded: Recorded) -> None:
    for token, position, rows in recorded:
        for at in (token, json.dumps(position)):
            answer = node.view("own", at=at)
            assert answer["rows"] == rows
            assert (answer["position"], answer["position_token"]) == (position, token)
    pruned = node.view("own", at=recorded[0][0], _from="2026-05-01T00:00:20Z", to="2026-05-01T00:00:40Z")
    assert pruned["rows"] == [r for r in recorded[0][2] if "00:00:20Z" <= r[0][11:] < "00:00:40Z"]
    assert pruned["source"]["states"]["records"] + pruned["source"]["recomputed"]["lake_records"] > 0


def test_errors_say_what_is_wrong_with_a_position(node: RunningNode, recorded: Recorded) -> None:
    token, position, _ = recorded[0]
    half = dict(list(position.items())[:1])
    for at, reason in (
        (token[:-3], "no token"),
        (json.dumps(half), "which was there"),
        (json.dumps({name: str(int(number) + (1 << 100)) for name, number in position.items()}), "not reached yet"),
    ):
        answer = node.get("/v1/views/own", at=at)
        assert answer.status == 400
        assert reason in answer.json["error"]["message"]
        assert answer.json["error"]["hint"]
    assert node.get("/v1/views/nothing", at=token).status == 404
    assert node.get("/v1/views/own", at=token, where="response_ms > 1").status == 400
    arrow = node.request("GET", f"/v1/views/own?at={token}", None, {"Accept": "application/vnd.apache.arrow.stream"})
    assert arrow.status == 400


def test_a_pin_keeps_its_result_whatever_comes_after(node: RunningNode, recorded: Recorded) -> None:
    made = pinned(node, "own", step="1m", columns=["n"], **{"from": "now-400d"})
    assert made["query"]["from"].endswith("Z"), "an absolute time"
    late = pinned(node, "own", at=recorded[2][0])
    before = shown(node, made["id"])
    line = {"timestamp": "2026-05-01T00:00:05Z", "endpoint": "/pin/0", "response_ms": 1}
    assert node.post_logs(json.dumps(line).encode()).status == 200
    after = shown(node, made["id"])
    assert (after["checked"], after["differs"], after["archived"]) == (True, False, False)
    assert after["rows"] == before["rows"]
    assert node.view("own", step="1m", columns="n")["rows"] != before["rows"]
    assert shown(node, late["id"])["rows"] == recorded[2][2]
    assert {each["id"] for each in node.get("/v1/pins").json["pins"]} >= {made["id"], late["id"]}
    assert node.request("DELETE", f"/v1/pins/{late['id']}").status == 200
    assert node.get(f"/v1/pins/{late['id']}").status == 404


def test_bad_pins_are_refused(node: RunningNode) -> None:
    for answer, reason in (
        (node.request("POST", "/v1/pins", b"{"), "not a pin"),
        (node.request("POST", "/v1/pins", b'{"view":"own","step":"1m"}'), "not a pin"),
        (pin(node, "own", frm="now"), "unknown parameter `frm`"),
        (pin(node, "own", step={"a": 1}), "neither text nor a number"),
        (pin(node, "own", **{"from": "yesterday"}), "yesterday"),
        (pin(node, "own", at="nonsense"), "no token"),
    ):
        assert answer.status == 400
        assert reason in answer.json["error"]["message"]
    assert pin(node, "nothing").status == 404


def test_the_command_line(node: RunningNode, recorded: Recorded) -> None:
    made = tailrace(node, "pins", "add", "own", "--from", "2026-05-01T00:00:00Z", "--total", "--at", recorded[1][0])
    assert made["id"] in [each["id"] for each in tailrace(node, "pins", "list")["pins"]]
    found = tailrace(node, "pins", "show", made["id"])
    assert sum(row[2] for row in found["rows"]) == sum(row[2] for row in recorded[1][2])
    assert "computed again, the same" in run(node, "pins", "show", made["id"]).stdout.decode()
    assert tailrace(node, "pins", "remove", made["id"])["removed"]
    assert "no pin" in tailrace(node, "pins", "show", made["id"], code=2)["error"]["message"]


def test_a_result_that_comes_out_differently_says_so(node: RunningNode, recorded: Recorded) -> None:
    """As after a fault: a pin whose stored result is whole, and not that of its query."""
    made = pinned(node, "own", at=recorded[3][0], columns="n")
    store = PinStore(node.data_dir / "pins.db")
    pin_, result = store.one(made["id"])
    rows = json.loads(result)["rows"]
    store.remove(pin_.id)
    store.add(pin_, json.dumps({**json.loads(result), "rows": [rows[0], [*rows[1][:2], 99], *rows[2:]]}).encode())
    found = tailrace(node, "pins", "show", made["id"], code=1)
    assert (found["checked"], found["differs"], found["archived"]) == (True, True, False)
    assert found["rows"][1][2] == 99, "the stored result is shown"
    assert found["difference"]["row"] == 1
    assert found["difference"]["recomputed"] == rows[1]
    assert 'tailrace_pin_reads_total{outcome="differs"} 1' in node.get("/metrics").body.decode()


def test_a_damaged_pin_is_named_and_not_shown(node: RunningNode, recorded: Recorded) -> None:
    kept, damaged = (pinned(node, "own", at=recorded[n][0])["id"] for n in range(2))
    with closing(sqlite3.connect(node.data_dir / "pins.db", isolation_level=None, timeout=30)) as store:
        store.execute("UPDATE pins SET result = substr(result, 1, length(result) - 1) WHERE id = ?", (damaged,))
    answer = node.get(f"/v1/pins/{damaged}")
    assert answer.status == 500
    assert answer.json["error"]["code"] == "corrupt"
    assert "pins.db" in answer.json["error"]["message"]
    assert damaged in answer.json["error"]["hint"]
    assert shown(node, kept)["checked"]
    assert node.request("DELETE", f"/v1/pins/{damaged}").status == 200


def test_it_is_archived_once_the_version_is_gone(node: RunningNode, recorded: Recorded) -> None:
    """The last of the file."""
    kept = pinned(node, "own", at=recorded[0][0])["id"]
    views_file(node).unlink()
    until(lambda: bool(shown(node, kept)["archived"]), lambda: shown(node, kept))
    found = shown(node, kept)
    assert "is gone" in found["reason"]
    assert (found["rows"], found["checked"], found["differs"]) == (recorded[0][2], False, False)
    assert 'tailrace_pin_reads_total{outcome="archived"}' in node.get("/metrics").body.decode()
