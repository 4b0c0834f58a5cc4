"""The contract of the HTTP surface, asked of a running node: parameters, errors, SQL, tail, live frames, metrics."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from websockets.sync.client import connect

from tailrace.testing.node import RunningNode
from tests.e2e.waiting import count_of, until, until_covered

DAY = {"_from": "2026-04-01T00:00:00Z", "to": "2026-04-02T00:00:00Z"}


def post(node: RunningNode, lines: list[dict[str, Any]]) -> dict[str, Any]:
    answer = node.post_logs("\n".join(json.dumps(line) for line in lines).encode())
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture(scope="module")
def loaded(node: RunningNode) -> RunningNode:
    """Six windows of ten seconds on a day of its own: 60 records of two endpoints."""
    lines = [
        {
            "timestamp": f"2026-04-01T10:00:{n:02d}Z",
            "service": "shop",
            "endpoint": "/a" if n % 3 else "/b",
            "status": 500 if n % 10 == 0 else 200,
            "response_ms": n + 0.25,
            "ip": f"10.1.{n % 4}.7",
        }
        for n in range(60)
    ]
    post(node, lines)
    until(lambda: count_of(node, **DAY) == 60, lambda: count_of(node, **DAY))
    return node


def rows(node: RunningNode, view: str, *columns: str, **params: object) -> list[list[Any]]:
    answer = node.view(view, **{**DAY, **params})
    at = [answer["columns"].index(name) for name in columns]
    return [[row[i] for i in at] for row in answer["rows"]]


def test_rows_are_ordered_by_window_and_keys(loaded: RunningNode) -> None:
    found = rows(loaded, "endpoint_health", "window_start", "endpoint", "requests")
    assert found == sorted(found)
    assert found[:3] == [
        ["2026-04-01T10:00:00Z", "/a", 6],
        ["2026-04-01T10:00:00Z", "/b", 4],
        ["2026-04-01T10:00:10Z", "/a", 7],
    ]


def test_from_to_step_where_and_limit(loaded: RunningNode) -> None:
    window = {"_from": "2026-04-01T10:00:20Z", "to": "2026-04-01T10:00:40Z"}
    assert rows(loaded, "overall_health", "window_start", "requests", **window) == [
        ["2026-04-01T10:00:20Z", 10],
        ["2026-04-01T10:00:30Z", 10],
    ]
    assert rows(loaded, "overall_health", "window_start", "requests", step="30s") == [
        ["2026-04-01T10:00:00Z", 30],
        ["2026-04-01T10:00:30Z", 30],
    ]
    assert rows(loaded, "endpoint_health", "endpoint", "requests", step="1m", where="endpoint = '/b'") == [["/b", 20]]
    assert len(rows(loaded, "endpoint_health", "endpoint", limit=5)) == 5


def test_a_coarser_step_merges_averages_by_their_counts(loaded: RunningNode) -> None:
    [[average]] = rows(loaded, "overall_health", "response_ms_avg", step="1m")
    assert average == Decimal("29.75")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/views/endpoint_health?step=7s", 400, "invalid"),
        ("/v1/views/endpoint_health?from=yesterday", 400, "invalid"),
        ("/v1/views/endpoint_health?limit=0", 400, "invalid"),
        ("/v1/views/endpoint_health?colour=red", 400, "invalid"),
        ("/v1/views/endpoint_health?where=message+%3D+%27x%27", 400, None),
        ("/v1/views/endpoint_health?where=1%3B+DROP+TABLE+x", 400, None),
        ("/v1/views/nobody", 404, "not_found"),
        ("/v1/explain/endpoint_health", 400, "invalid"),
        ("/v1/nothing", 404, "not_found"),
    ],
)
def test_errors_have_one_shape(node: RunningNode, path: str, status: int, code: str | None) -> None:
    answer = node.get(path)
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert error.keys() == {"code", "message", "hint"}
    assert code is None or error["code"] == code
    assert error["message"]
    assert error["hint"]


@pytest.mark.parametrize(
    "path", ["views", "views/endpoint_health", "pipeline", "streams", "shards", "deadletters", "tail"]
)
def test_a_parameter_that_is_not_known_is_never_passed_over(node: RunningNode, path: str) -> None:
    answer = node.get(f"/v1/{path}", colour="red")
    assert (answer.status, "colour" in answer.json["error"]["message"]) == (400, True)


def test_nor_by_a_query(node: RunningNode) -> None:
    assert node.request("POST", "/v1/query?colour=red", b"SELECT 1").status == 400


def test_a_method_that_is_not_possible_is_answered_with_those_that_are(node: RunningNode) -> None:
    answers = [node.request("DELETE", path) for path in ("/v1/views", "/v1/query", "/v1/logs")]
    assert [answer.status for answer in answers] == [405, 405, 405]
    assert [set(answer.headers["allow"].split(", ")) for answer in answers] == [{"GET", "HEAD"}, {"POST"}, {"POST"}]


def test_the_raw_bytes_of_a_dead_letter_are_a_matter_of_true_or_false(node: RunningNode) -> None:
    node.post_logs(b"neither true nor false")
    letter = node.get("/v1/deadletters", limit=1).json["dead_letters"][0]
    path = f"/v1/deadletters/{letter['id']}"
    assert [node.get(f"{path}{ask}").body for ask in ("?raw", "?raw=true", "?raw=1")] == [letter["raw"].encode()] * 3
    assert node.get(f"{path}?raw=false").json["id"] == letter["id"]
    assert node.get(f"{path}?raw=maybe").status == 400


def test_the_receipt_names_each_dead_letter(node: RunningNode) -> None:
    body = b'{"timestamp":"2026-04-05T00:00:00Z"}\n{"endpoint":"/x"}\nnot json\n'
    found = node.post_logs(body).json
    assert (found["accepted"], found["deduplicated"]) == (1, 0)
    assert [(letter["line"], bool(letter["reason"])) for letter in found["dead_lettered"]] == [(2, True), (3, True)]
    assert all(number.startswith("49") and len(number) == 56 for number in found["position"].values())
    recent = node.pipeline()["dead_letters"]["recent"]
    assert "not json" in [letter["raw"] for letter in recent]


def test_a_retry_with_the_same_stamp_is_stored_once(node: RunningNode) -> None:
    day = {"_from": "2026-04-06T00:00:00Z", "to": "2026-04-07T00:00:00Z"}
    body = b'{"timestamp":"2026-04-06T00:00:00Z"}\n{"timestamp":"2026-04-06T00:00:01Z"}'
    first = node.post_logs(body, stamp="e2e;1;1").json
    again = node.post_logs(body, stamp="e2e;1;1").json
    other = node.post_logs(body, stamp="e2e;1;2").json
    assert [(r["accepted"], r["deduplicated"]) for r in (first, again, other)] == [(2, 0), (0, 2), (2, 0)]
    until(lambda: count_of(node, **day) == 4, lambda: count_of(node, **day))


def test_explain_adds_up(loaded: RunningNode) -> None:
    """Old lines in the batch part, new ones of the same window in the speed part: their sum is what the view says."""
    until_covered(loaded)
    post(loaded, [{"timestamp": "2026-04-01T10:00:05Z", "endpoint": "/explained", "response_ms": 1}] * 3)
    until_covered(loaded)
    post(loaded, [{"timestamp": "2026-04-01T10:00:06Z", "endpoint": "/explained", "response_ms": 3}] * 5)
    where = "endpoint = '/explained'"
    asked = {"window": "2026-04-01T10:00:07Z", "where": where}

    def parts() -> tuple[int, int, int]:
        found = loaded.get("/v1/explain/endpoint_health", **asked).json
        counts = []
        for part in ("batch", "speed", "merged"):
            at = found[part]["columns"].index("requests")
            counts.append(sum(row[at] for row in found[part]["rows"]))
        return counts[0], counts[1], counts[2]

    until(lambda: parts()[2] == 8, parts)
    batch, speed, merged = parts()
    assert batch + speed == merged == 8
    until_covered(loaded)
    until(lambda: parts() == (8, 0, 8), parts)


def test_sql_over_the_views_and_the_log_gives_the_same_numbers(loaded: RunningNode) -> None:
    until_covered(loaded)
    inside = "timestamp >= '2026-04-01T00:00:00Z' AND timestamp < '2026-04-02T00:00:00Z'"
    by_log = query(
        loaded,
        f"SELECT endpoint, count(*) AS n, sum(response_ms) AS total FROM logs WHERE {inside} GROUP BY 1 ORDER BY 1",
    )
    merged = rows(loaded, "endpoint_health", "endpoint", "requests", total="true")
    assert [[row[0], row[1]] for row in by_log["rows"]] == merged
    by_view = query(
        loaded,
        "SELECT endpoint, sum(requests)::BIGINT AS n FROM endpoint_health"
        " WHERE window_start >= '2026-04-01T00:00:00Z' AND window_start < '2026-04-02T00:00:00Z' GROUP BY 1 ORDER BY 1",
    )
    assert by_view["rows"] == merged
    assert [column["name"] for column in by_view["columns"]] == ["endpoint", "n"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO 'out.csv'",
        "SET threads = 64",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "SELECT getenv('HOME')",
        "DROP VIEW logs",
    ],
)
def test_sql_reaches_no_file_no_network_and_no_setting(node: RunningNode, sql: str) -> None:
    answer = node.request("POST", "/v1/query", json.dumps({"sql": sql}).encode(), {"Content-Type": "application/json"})
    assert answer.status == 400, answer.body
    assert answer.json["error"].keys() == {"code", "message", "hint"}


def query(node: RunningNode, sql: str) -> dict[str, Any]:
    answer = node.request("POST", "/v1/query", json.dumps({"sql": sql}).encode(), {"Content-Type": "application/json"})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def test_tail_shows_a_new_line(node: RunningNode) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    connection.request("GET", "/v1/tail?limit=0&where=endpoint+%3D+%27%2Ftailed%27")
    response = connection.getresponse()
    assert response.headers["content-type"].startswith("text/event-stream")
    events = tail_events(response)
    post(node, [{"timestamp": "2026-04-07T00:00:00Z", "endpoint": "/not-tailed"}])
    post(node, [{"timestamp": "2026-04-07T00:00:01Z", "endpoint": "/tailed", "other": {"kept": True}}])
    kind, row = next(events)
    connection.close()
    assert kind == "row"
    assert (row["endpoint"], row["timestamp"]) == ("/tailed", "2026-04-07T00:00:01Z")
    assert row["_shard"].startswith("shardId-")
    assert len(row["_sequence_number"]) == 56
    assert json.loads(row["extra"]) == {"other": {"kept": True}}


def tail_events(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = ""
    while line := response.readline().decode():
        if line.startswith("event: "):
            kind = line[7:].strip()
        elif line.startswith("data: "):
            yield kind, json.loads(line[6:])


def test_live_frames_follow_the_data(node: RunningNode) -> None:
    with connect(f"ws://127.0.0.1:{node.port}/v1/live") as socket:
        wish = {"op": "subscribe", "sub": "p1", "view": "endpoint_health", "over": "60s", "total": True}
        socket.send(json.dumps({**wish, "where": "endpoint = '/live'"}))
        first = snapshot(socket, lambda frame: True)
        assert (first["sub"], first["seq"], first["rows"]) == ("p1", 1, [])
        now = first["server_now"]
        post(node, [{"timestamp": now, "endpoint": "/live", "response_ms": 7}] * 4)
        later = snapshot(socket, lambda frame: bool(frame["rows"]))
        [row] = later["rows"]
        named = dict(zip(later["columns"], row, strict=True))
        assert (named["window_start"], named["endpoint"], named["requests"]) == (None, "/live", 4)
        assert later["seq"] > 1
        assert later["drift_rows"] == 0
        socket.send(json.dumps({**wish, "sub": "p2", "view": "nobody"}))
        error = frame_of(socket, lambda frame: frame["kind"] == "error")
        assert (error["sub"], error["error"]["code"]) == ("p2", "not_found")


def frame_of(socket: Any, wanted: Any) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(socket.recv(timeout=20))
        if wanted(frame):
            return frame


def snapshot(socket: Any, wanted: Any) -> dict[str, Any]:
    return frame_of(socket, lambda frame: frame["kind"] == "snapshot" and wanted(frame))


@pytest.mark.parametrize(
    "message", [b"\xff\xfe", b"", b'{"op":"sub\xff"}', "no json", "[" * 5_000, '{"op":"dance","sub":"a"}']
)
def test_a_message_that_cannot_be_read_is_told_before_the_socket_closes(
    node: RunningNode, message: str | bytes
) -> None:
    with connect(f"ws://127.0.0.1:{node.port}/v1/live") as socket:
        socket.send(message)
        found = frame_of(socket, lambda frame: frame["kind"] == "error")
        assert found["error"]["code"] == "invalid"
        assert found["error"]["hint"]


def test_a_message_may_come_as_bytes(loaded: RunningNode) -> None:
    with connect(f"ws://127.0.0.1:{loaded.port}/v1/live") as socket:
        socket.send(b'{"op":"subscribe","sub":"a","view":"endpoint_health"}')
        assert snapshot(socket, lambda frame: frame["sub"] == "a")["view"] == "endpoint_health"


@pytest.mark.parametrize(
    "wrong",
    [
        "step=0s",
        "over=0s",
        "over=0s&step=10s",
        "step=36500d",
        "from=0001-01-01",
        "to=9999-12-31T23:59:59.999999-23:59",
        "from=9999-12-31&over=3650d",
        "top=0&by=requests",
        "columns=",
        "columns=,",
        "step=10s&over=3650d&from=0001-01-01",
    ],
)
def test_edges_of_a_view_s_parameters_are_answered_or_refused(loaded: RunningNode, wrong: str) -> None:
    answer = loaded.get(f"/v1/views/endpoint_health?{wrong}")
    assert answer.status in (200, 400), answer.body
    where = loaded.request("GET", f"/v1/views/endpoint_health/diff?{wrong.partition('&')[0]}")
    assert where.status in (400, 404), where.body


def test_health_metrics_and_the_description(node: RunningNode) -> None:
    assert node.get("/healthz").status == 200
    assert node.get("/readyz").status == 200
    metrics = node.get("/metrics").body.decode()
    assert "\ntailrace_ledger_balanced 1\n" in metrics
    document = node.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert {"/v1/logs", "/v1/views/{name}", "/v1/query", "/v1/pipeline"} <= document["paths"].keys()


def test_the_pipeline_balances(node: RunningNode) -> None:
    state = until_covered(node)
    book = state["ledger"]
    assert book["balanced"]
    assert book["first_difference"] is None
    assert book["received"] == book["stored"] + book["dead_lettered"] + book["deduplicated"]
    assert book["lake"] == book["batch"] == book["stored"]
    assert {process["role"] for process in state["processes"]} >= {"ingest", "node", "batch", "query"}
    assert all(view["drift_rows"] == 0 for view in state["views"])
