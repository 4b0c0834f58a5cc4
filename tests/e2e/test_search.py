"""Explore's questions to a real node: found, paged, cancelled, saved, followed, on the command line too."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from tailrace.testing.node import RunningNode

LINES = [
    {"timestamp": f"2026-11-22T10:00:{n:02d}Z", "endpoint": "/pay" if n % 4 == 0 else "/cart", "status": 503 if n % 4 == 0 else 200,
     "level": "ERROR" if n % 4 == 0 else "INFO", "message": f"order {n} <script>alert({n})</script>", "plan": "pro" if n % 2 else None}
    for n in range(60)
]  # fmt: skip


@pytest.fixture(scope="module")
def found_in(node: RunningNode) -> RunningNode:
    answer = node.request("POST", "/v1/logs", "\n".join(json.dumps(line) for line in LINES).encode())
    assert answer.json["accepted"] == len(LINES)
    return node


RANGE = {"from": "2026-11-22T10:00:00Z", "to": "2026-11-22T10:01:00Z"}


def ask(node: RunningNode, path: str, body: dict[str, Any]) -> Any:
    answer = node.request("POST", f"/v1/search{path}", json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return answer.json


def test_a_search_is_paged_and_every_record_comes_once(found_in: RunningNode) -> None:
    asked: dict[str, Any] = {**RANGE, "query": "order script", "limit": 25, "columns": ["message"]}
    seen: list[str] = []
    while True:
        page = ask(found_in, "", asked)
        seen += [row[0] for row in page["rows"]]
        if page["cursor"] is None:
            break
        asked["cursor"] = page["cursor"]
    assert sorted(seen) == sorted(line["message"] for line in LINES)
    assert seen[0] == LINES[-1]["message"]


def test_every_question_is_answered(found_in: RunningNode) -> None:
    query = {**RANGE, "query": "level:error"}
    assert ask(found_in, "/histogram", {**query, "group_by": "endpoint"})["total"] == 15
    assert {f["name"] for f in ask(found_in, "/fields", RANGE)["fields"]} >= {"status", "extra.plan"}
    assert ask(found_in, "/values", {**query, "field": "endpoint"})["values"] == [
        {"value": "/pay", "count": 15, "share": 1.0}
    ]
    compared = ask(found_in, "/compare", {"selection": query, "baseline": RANGE})
    assert compared["fields"][0]["difference"] > 0.8
    page = ask(found_in, "", {**query, "limit": 1})
    shard, number = page["rows"][0][-3:-1]
    around = ask(found_in, "/context", {"shard": shard, "sequence_number": number, "before": 2, "after": 2})
    assert around["rows"][around["index"]][-2] == number
    answer = found_in.request("POST", "/v1/search/export", json.dumps({**query, "format": "ndjson"}).encode())
    assert (answer.status, len(answer.body.splitlines()), answer.headers["tailrace-records"]) == (200, 15, "15")


@pytest.mark.parametrize("path", ["", "/histogram", "/fields", "/values", "/context", "/compare", "/export"])
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"query":5}', b'{"nothing":1}', b"\xff", b'{"from":"x","field":"a"}'])
def test_what_cannot_be_read_is_refused(found_in: RunningNode, path: str, body: bytes) -> None:
    answer = found_in.request("POST", f"/v1/search{path}", body)
    assert answer.status == 400
    assert answer.json["error"]["message"]


def test_a_mistake_in_a_search_has_a_place(found_in: RunningNode) -> None:
    answer = found_in.request("POST", "/v1/search", b'{"query":"level:x and status:many"}')
    error = answer.json["error"]
    assert (answer.status, error["code"], error["line"], error["column"], error["length"]) == (
        400,
        "search_error",
        1,
        20,
        4,
    )


def test_searches_are_saved_as_files(found_in: RunningNode) -> None:
    body = json.dumps({"title": "Failures", "query": "status:>=500", "columns": ["endpoint"]}).encode()
    assert found_in.request("PUT", "/v1/searches/failures", body).status == 200
    assert [s["title"] for s in found_in.get("/v1/searches").json["searches"]] == ["Failures"]
    assert found_in.request("PUT", "/v1/searches/broken", b'{"query":"("}').status == 400
    assert found_in.request("PUT", "/v1/searches/..", body).status in (400, 404)
    assert found_in.request("DELETE", "/v1/searches/failures", b"").status == 200
    assert found_in.get("/v1/searches/failures").status == 404


def test_the_tail_takes_the_language(found_in: RunningNode) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", found_in.port, timeout=60)
    connection.request("GET", "/v1/tail?limit=1000&query=level:error%20order%20script")
    answer = connection.getresponse()
    rows: list[dict[str, Any]] = []
    while len(rows) < 15:
        line = answer.readline()
        if line.startswith(b"data: "):
            rows.append(json.loads(line.removeprefix(b"data: ")))
    connection.close()
    assert {row["level"] for row in rows} == {"ERROR"}
    assert found_in.get("/v1/tail", query="(").status == 400
