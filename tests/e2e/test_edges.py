"""The ends of time, and parameters that make no sense: every answer is right, or says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tailrace.testing.node import RunningNode
from tests.e2e.waiting import count_of, until

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
EARLY = "1969-07-20T20:17:40Z"


@pytest.fixture(scope="module")
def edges(node: RunningNode) -> RunningNode:
    lines = [{"timestamp": at, "endpoint": "/edge"} for at in (FIRST, EARLY, LAST)]
    assert node.post_logs("\n".join(json.dumps(line) for line in lines).encode()).json["accepted"] == 3
    where = "endpoint = '/edge'"
    until(lambda: count_of(node, "endpoint_health", where=where) == 3, node.pipeline)
    return node


def windows(node: RunningNode, step: str) -> list[str]:
    return [row[0] for row in node.view("endpoint_health", step=step, where="endpoint = '/edge'")["rows"]]


def test_windows_that_start_before_the_first_year(edges: RunningNode) -> None:
    assert windows(edges, "10s") == [FIRST, "1969-07-20T20:17:40Z", "9999-12-31T23:59:50Z"]
    assert windows(edges, "7d")[0] == "0000-12-28T00:00:00Z"
    assert windows(edges, "3650d")[0].startswith("-00000")
    assert edges.get("/v1/views/overall_health?step=7d").status == 200


@pytest.mark.parametrize("at", [FIRST, EARLY, LAST])
def test_explain_answers_for_every_window_that_views_keep(edges: RunningNode, at: str) -> None:
    answer = edges.get("/v1/explain/endpoint_health", window=at, where="endpoint = '/edge'")
    assert answer.status == 200, answer.body
    merged = answer.json["merged"]
    assert [row[merged["columns"].index("requests")] for row in merged["rows"]] == [1]
    assert merged["rows"][0][merged["columns"].index("window_start")] == answer.json["window_start"]
    assert at != LAST or answer.json["window_end"] == "+010000-01-01T00:00:00Z"


def test_sql_over_the_last_day(edges: RunningNode) -> None:
    sql = f"SELECT timestamp::DATE + 1 FROM logs WHERE timestamp = '{LAST}' AND endpoint = '/edge'"
    answer = edges.request("POST", "/v1/query", sql.encode())
    assert answer.json["rows"] == [["+010000-01-01"]]


VIEW = "/v1/views/endpoint_health?"
EXPLAIN = "/v1/explain/endpoint_health?window=2026-04-01T10:00:00Z"


@pytest.mark.parametrize(
    "path",
    [
        VIEW + "limit=%C2%B2",
        VIEW + "limit=" + "1" * 5000,
        VIEW + "top=%C2%B2&by=requests",
        VIEW + "top=" + "1" * 5000 + "&by=requests",
        VIEW + "step=999999999d",
        VIEW + "step=106751991d",
        VIEW + "step=3651d",
        VIEW + "step=" + "1" * 5000 + "d",
        VIEW + "step=0s",
        VIEW + "total=maybe",
        VIEW + "total=2",
        VIEW + "by=requests",
        VIEW + "key=endpoint",
        VIEW + "limit=1&limit=2",
        VIEW + "where=true&where=false",
        EXPLAIN + "&colour=red",
        EXPLAIN + "&window=2026-04-01T10:00:00Z",
        "/v1/tail?colour=red",
        "/v1/tail?limit=-5",
        "/v1/tail?limit=99999999",
        "/v1/tail?limit=%C2%B2",
        "/v1/tail?limit=1&limit=2",
    ],
    ids=lambda path: path[4:60],
)
def test_parameters_that_make_no_sense_are_refused(node: RunningNode, path: str) -> None:
    answer = node.get(path)
    assert answer.status == 400, answer.body
    error: dict[str, Any] = answer.json["error"]
    assert error["code"] == "invalid"
    assert error["message"]
    assert error["hint"]


@pytest.mark.parametrize("text", ["true", "1", "YES", "false", "0", "no"])
def test_truths(node: RunningNode, text: str) -> None:
    assert node.get(VIEW + f"total={text}").status == 200
