"""The HTTP surface of a real node, asked rightly and wrongly for everything that its OpenAPI document lists.

`TAILRACE_HTTP_EXAMPLES` asks more often, `TAILRACE_FUZZ_SEED` otherwise.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator

import pytest

from tailrace.dashboard.openapi import document
from tailrace.testing.node import RunningNode
from tests.e2e.nodes import QUICK
from tests.e2e.waiting import until

pytest.importorskip("schemathesis", reason="schemathesis is not installed; `make setup` installs it")
from tests.fuzz.http import ENDLESS, KEY, SETTINGS, Surface, undocumented

EXAMPLES = int(os.environ.get("TAILRACE_HTTP_EXAMPLES", "6"))
SEED = int(os.environ.get("TAILRACE_FUZZ_SEED", "1"))
OPERATIONS = [(p, m) for p, methods in document()["paths"].items() for m in methods if p not in ENDLESS]


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surface]:
    folder = tmp_path_factory.mktemp("surface")
    (folder / "tailrace.toml").write_text(QUICK + SETTINGS)
    with RunningNode(folder / "data", config=folder / "tailrace.toml", key=KEY) as node:
        found = Surface(node)
        rows = [{"timestamp": f"2026-04-01T10:00:{n:02d}Z", "endpoint": "/a", "status": n} for n in range(20)]
        body = "\n".join([*map(json.dumps, rows), "no json"]).encode()
        found.acknowledged += node.post_logs(body).json["accepted"] + 1
        yield found


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_those_of_the_document(surface: Surface, path: str, method: str) -> None:
    surface.try_operation(path, method, EXAMPLES, SEED)


def test_what_was_acknowledged_is_in_the_ledger(surface: Surface) -> None:
    """After all the others: no answer spoke of lines that are not there, and none are there that no answer spoke of."""

    def received() -> int:
        book = surface.node.pipeline()["ledger"]
        return int(book["stored"] + book["dead_lettered"])

    until(lambda: received() == surface.acknowledged, lambda: (received(), surface.acknowledged))


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=-1", 400), ("limit=x", 400), ("where=1", 400), ("colour=red", 400), ("stream=nobody", 404)],
)
def test_a_wrong_tail_is_refused_before_it_begins(surface: Surface, query: str, status: int) -> None:
    assert surface.node.get(f"/v1/tail?{query}").status == status


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/views/\xff\xfe HTTP/1.1",
        b"GET /v1/views/%00 HTTP/1.1",
        b"GET /v1/views/endpoint_health?where=%ff%fe HTTP/1.1",
        b"GET /v1/views?\xff=1 HTTP/1.1",
        b"GET http://[ HTTP/1.1",
        b"GET //v1//views HTTP/1.1",
        b"GET /v1/deadletters/%2e%2e%2f HTTP/1.1",
        b"POST /v1/logs?format=%00 HTTP/1.1\r\nContent-Length: 2",
        b"POST /v1/query HTTP/1.1\r\nContent-Length: 2",
        b"POST /v1/shards/shardId-000000000000/split HTTP/1.1\r\nContent-Length: 2",
        b"BREW /v1/views HTTP/1.1",
    ],
)
def test_odd_requests_are_refused_and_nothing_falls_over(surface: Surface, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", surface.node.port), timeout=60) as connection:
        connection.sendall(
            line
            + b"\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "
            + KEY.encode()
            + b"\r\n\r\n"
            + (b"\xff\xff" if b"POST" in line else b"")
        )
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    status = int(answer.split(b" ", 2)[1])
    assert 300 <= status < 500, answer
    assert answer.lower().count(b"\r\ndate:") <= 1, answer
    assert surface.node.get("/healthz").status == 200


def test_an_answer_that_the_document_does_not_name_is_noticed() -> None:
    whole = document()
    schema = whole["components"]["schemas"]["Shard"]
    assert undocumented({"id": "x", "colour": "red"}, schema, whole, "") == [".colour"]
    answer = {"view": {"error": {"nobody": 1}}}
    assert undocumented(answer, {"properties": {"view": {"$ref": "#/components/schemas/Error"}}}, whole, "") == [
        ".view.error.nobody"
    ]
