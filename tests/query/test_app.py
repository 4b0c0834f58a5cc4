"""`POST /v1/query` over a real server on a unix socket: answers in each format, errors, and what stops a statement."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn

from tailrace.batch.lake.reader import IcebergReader
from tailrace.serving.sql import app as app_module
from tailrace.serving.sql import run as run_module
from tailrace.serving.sql.app import create_query_app
from tailrace.serving.sql.engine import Execution
from tests.query.conftest import LINES, TwoViews

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.applications import Starlette

    from tests.query.conftest import World

FOREVER = "SELECT count(*) FROM range(100000000000) t(i) WHERE hash(i) % 7 = 3"
GOOD = 2 * LINES * 9 // 10


def app_of(world: World, **limits: Any) -> Starlette:
    settings = replace(world.settings, query=replace(world.settings.query, **limits))
    return create_query_app(world.stream, IcebergReader(world.settings.lake_dir), settings, TwoViews())


@contextmanager
def served(app: Starlette, folder: Path) -> Iterator[httpx.Client]:
    """The application in a real uvicorn; a client of it."""
    path = folder / "q.sock"
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://query", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(app_of(world), tmp_path_factory.mktemp("socket")) as client:
        yield client


def ask(client: httpx.Client, sql: str, **arguments: Any) -> httpx.Response:
    return client.post("/v1/query", json={"sql": sql}, **arguments)


def error_of(response: httpx.Response) -> tuple[int, str, str, str]:
    problem = response.json()["error"]
    return response.status_code, problem["code"], problem["message"], problem["hint"]


# -- answers -----------------------------------------------------------------------------------------------------------------


def test_json(client: httpx.Client) -> None:
    response = ask(client, "SELECT status, count(*) AS n FROM logs GROUP BY status ORDER BY status")
    answer = response.json()
    assert response.headers["content-type"] == "application/json"
    assert answer.pop("elapsed_ms") > 0
    assert answer == {
        "columns": [{"name": "status", "type": "INTEGER"}, {"name": "n", "type": "BIGINT"}],
        "rows": [[200, 80], [201, 64], [202, 80], [203, 64]],
        "truncated": False,
        "rows_scanned": GOOD + 8,
    }


VALUES = """SELECT 9007199254740993 AS big, 170141183460469231731687303715884105727::HUGEINT AS huge, 1.50::DECIMAL(10,2) AS money,
 'nan'::DOUBLE AS nan, '-inf'::DOUBLE AS inf, 2.5::FLOAT AS f, true AS b, 'é"\n' AS t, NULL AS n, '\\x01\\xFF'::BLOB AS blob,
 TIMESTAMPTZ '2026-01-01 00:00:00.123456+02' AS ts, TIMESTAMPTZ '2026-01-01 00:00:00Z' AS whole, TIMESTAMPTZ 'infinity' AS never,
 TIMESTAMP '2026-01-01 00:00:00.5' AS local, TIMESTAMP_NS '2026-01-01 00:00:00.123456789' AS ns,
 DATE '2026-01-02' AS d, TIME '10:00:00.5' AS ti, [1, NULL] AS li, {'a': 1, 'at': TIMESTAMPTZ '2026-01-01 00:00:00Z'} AS st,
 MAP {'k': 1.5::DOUBLE} AS m, 'b1eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID AS u, 'x'::ENUM ('x', 'y') AS e"""
WRITTEN = [
    "9007199254740993", "170141183460469231731687303715884105727", "1.50", '"nan"', '"-inf"', "2.5", "true", '"é\\"\\n"', "null",
    '"Af8="', '"2025-12-31T22:00:00.123456Z"', '"2026-01-01T00:00:00Z"', '"infinity"', '"2026-01-01T00:00:00.500"',
    '"2026-01-01T00:00:00.123456789"', '"2026-01-02"', '"10:00:00.500000"', "[1,null]", '{"a":1,"at":"2026-01-01T00:00:00Z"}',
    '{"k":1.5}', '"b1eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"', '"x"',
]  # fmt: skip


def test_json_values_keep_every_digit(client: httpx.Client) -> None:
    text = ask(client, VALUES).text
    assert text[text.index('"rows":') :].startswith(f'"rows":[[{",".join(WRITTEN)}]]')


FAR = [
    ("date 'infinity'", "infinity"),
    ("date '-infinity'", "-infinity"),
    ("date '10000-01-01'", "+010000-01-01"),
    ("date '0044-03-15 (BC)'", "-000043-03-15"),
    ("date '0001-12-31 (BC)'", "0000-12-31"),
    ("date '9999-12-31' + 1", "+010000-01-01"),
    ("timestamp '10000-01-01'", "+010000-01-01T00:00:00"),
    ("timestamp_s '10000-01-01'", "+010000-01-01T00:00:00"),
    ("timestamptz '10000-01-01 00:00:00.5Z'", "+010000-01-01T00:00:00.500Z"),
    ("time_ns '10:00:00.123456789'", "10:00:00.123456789"),
    ("time '24:00:00'", "24:00:00"),
]
"""Values that Python's own types do not have."""


@pytest.mark.parametrize(("sql", "text"), FAR)
def test_values_that_python_cannot_hold_are_text_wherever_they_stand(client: httpx.Client, sql: str, text: str) -> None:
    select = f"""SELECT {sql} AS v, [{sql}, NULL] AS li, array_value({sql}, {sql}) AS fixed,
        {{'a': {sql}, 'b': [{{'c': {sql}}}]}} AS st, map{{'k': {sql}}} AS m, map{{{sql}: 1}} AS k, union_value(u := {sql}) AS un"""
    answer = ask(client, select)
    assert answer.status_code == 200, answer.text
    [row] = answer.json()["rows"]
    assert row == [text, [text, None], [text, text], {"a": text, "b": [{"c": text}]}, {"k": text}, {text: 1}, text]
    header, cells = csv.reader(io.StringIO(ask(client, select, headers={"accept": "text/csv"}).text))
    assert (header[0], cells[0], json.loads(cells[1])) == ("v", text, [text, None])


def test_nested_values_keep_to_their_rows(client: httpx.Client) -> None:
    sql = """SELECT i, CASE WHEN i % 3 > 0 THEN range(i) END, CASE WHEN i % 3 > 0 THEN {'a': i, 'b': NULLIF(i, 2)} END,
        CASE WHEN i % 3 > 0 THEN map{i: [DATE 'infinity', NULL]} END, CASE WHEN i % 3 > 0 THEN [i, i + 1]::BIGINT[2] END,
        CASE WHEN i % 2 = 0 THEN i::UNION(n BIGINT, t VARCHAR) ELSE 'odd'::UNION(n BIGINT, t VARCHAR) END,
        [['x'::ENUM ('x', 'y')], NULL, []]
        FROM range(2000) t(i) WHERE i % 7 < 5 ORDER BY i"""
    found = ask(client, sql).json()["rows"]
    for row in found:
        i = row[0]
        full = [list(range(i)), {"a": i, "b": None if i == 2 else i}, {str(i): ["infinity", None]}, [i, i + 1]]
        assert row[1:5] == (full if i % 3 else [None] * 4)
        assert row[5:] == ["odd" if i % 2 else i, [["x"], None, []]]
    assert [row[0] for row in found] == [i for i in range(2000) if i % 7 < 5]


def test_what_nobody_foresaw_has_the_shape_of_errors(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Execution, sql: str) -> None:
        raise RuntimeError("a text that is not for everybody")

    monkeypatch.setattr(Execution, "prepare", fail)
    with served(app_of(world), tmp_path) as client:
        # One question: the server closes the connection after an error that it did not foresee.
        answer = ask(client, "SELECT 1")
    assert error_of(answer)[:2] == (500, "internal")
    assert "everybody" not in answer.text


def test_intervals_are_durations(client: httpx.Client) -> None:
    sql = "SELECT INTERVAL '1 month 2 days 3.25 seconds', INTERVAL '90 minutes', INTERVAL '0 days'"
    assert ask(client, sql).json()["rows"] == [["P1M2DT3.25S", "P0M0DT5400S", "P0M0DT0S"]]


@pytest.mark.parametrize("kind", ["UHUGEINT", "BIT", "BIGNUM", "TIMETZ", "UHUGEINT[]"])
def test_types_that_would_change_on_the_way_are_refused(client: httpx.Client, kind: str) -> None:
    status, code, message, hint = error_of(ask(client, f"SELECT NULL::{kind} AS v"))
    assert (status, code, hint) == (400, "invalid", "cast it to VARCHAR")
    assert "column `v`" in message


def test_csv(client: httpx.Client) -> None:
    response = ask(client, VALUES, headers={"accept": "text/csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    header, row = csv.reader(io.StringIO(response.text))
    plain = [json.loads(w) if w.startswith('"') else "" if w == "null" else w for w in WRITTEN]
    assert header[:3] == ["big", "huge", "money"]
    assert row == plain


def test_parquet_and_arrow_have_the_engines_types(client: httpx.Client) -> None:
    sql = "SELECT timestamp, endpoint, status, response_ms, _offset FROM logs ORDER BY _shard, _offset"
    parquet = ask(client, sql, headers={"accept": "application/vnd.apache.parquet"})
    arrow = ask(client, sql, headers={"accept": "application/vnd.apache.arrow.stream"})
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    assert arrow.headers["content-type"] == "application/vnd.apache.arrow.stream"
    table = pa.ipc.open_stream(arrow.content).read_all()
    assert table.num_rows == GOOD
    assert table.schema.types == [pa.timestamp("us", "UTC"), pa.string(), pa.int32(), pa.decimal128(18, 3), pa.int64()]
    assert pq.read_table(io.BytesIO(parquet.content)).equals(table)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_an_empty_answer_still_names_its_columns(client: httpx.Client, form: str) -> None:
    content = ask(client, "SELECT endpoint, status FROM logs WHERE false", params={"format": form}).content
    match form:
        case "csv":
            assert content == b'"endpoint","status"\n'
        case "parquet":
            assert pq.read_table(io.BytesIO(content)).column_names == ["endpoint", "status"]
        case _:
            assert pa.ipc.open_stream(content).read_all().column_names == ["endpoint", "status"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv; charset=utf-8"),
        ("application/json, text/csv", "application/json"),
        ("text/csv;q=oops, application/json;q=0.1", "application/json"),
    ],
)
def test_the_accept_header_chooses(client: httpx.Client, accept: str, kind: str) -> None:
    assert ask(client, "SELECT 1", headers={"accept": accept}).headers["content-type"] == kind


def test_the_query_string_comes_before_the_body_and_the_body_before_the_header(client: httpx.Client) -> None:
    body, header = {"sql": "SELECT 1 AS a", "format": "csv"}, {"accept": "application/vnd.apache.parquet"}
    assert client.post("/v1/query", json=body, headers=header).text == '"a"\n1\n'
    assert client.post("/v1/query?format=json", json=body, headers=header).json()["rows"] == [[1]]


def test_the_statement_may_be_the_whole_body(client: httpx.Client) -> None:
    assert client.post("/v1/query", content="SELECT 1 AS a").json()["rows"] == [[1]]


def test_large_answers_come_whole_and_in_pieces(client: httpx.Client) -> None:
    body = {"sql": "SELECT i, i % 7 AS k FROM range(300000) t(i)"}
    with client.stream("POST", "/v1/query?format=csv", json=body) as response:
        pieces = list(response.iter_raw())
    assert len(pieces) > 3
    lines = b"".join(pieces).splitlines()
    assert (len(lines), lines[-1]) == (300_001, b"299999,0")


def test_views_are_relations(client: httpx.Client) -> None:
    sql = "SELECT endpoint, requests FROM endpoint_health ORDER BY requests"
    assert ask(client, sql).json()["rows"] == [["/a", 3], ["/b", 4]]
    assert ask(client, sql).json()["rows_scanned"] == 0


# -- bounds ------------------------------------------------------------------------------------------------------------------


def test_rows_beyond_the_bound_are_cut_and_it_is_said(client: httpx.Client) -> None:
    exact = ask(client, "SELECT * FROM range(10000)").json()
    more = ask(client, "SELECT * FROM range(10001)").json()
    assert (len(exact["rows"]), exact["truncated"]) == (10_000, False)
    assert (len(more["rows"]), more["truncated"]) == (10_000, True)


def test_bytes_beyond_the_bound_are_cut_and_it_is_said(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "JsonRows", lambda rows_max: run_module_rows(rows_max, bytes_max=10_000))
    answer = ask(client, "SELECT repeat('x', 1000) FROM range(100)").json()
    assert (len(answer["rows"]), answer["truncated"]) == (9, True)


run_module_rows = run_module.JsonRows


def test_a_statement_ends_at_its_time_limit(world: World, tmp_path: Path) -> None:
    with served(app_of(world, timeout_s=1), tmp_path) as client:
        for form in ("json", "csv"):
            status, code, message, hint = error_of(ask(client, FOREVER, params={"format": form}))
            assert (status, code, message) == (408, "timeout", "the query took longer than `1` s")
            assert "timestamp" in hint
        assert ask(client, "SELECT 1").status_code == 200


def test_a_statement_that_needs_too_much_memory(world: World, tmp_path: Path) -> None:
    with served(app_of(world, memory_bytes_max=64 << 20), tmp_path) as client:
        hungry = "SELECT list(i ORDER BY i DESC) FROM range(100000000) t(i)"
        status, code, message, hint = error_of(ask(client, hungry))
        assert (status, code, message) == (413, "too_large", "the query needs more than `64` MiB of memory")
        assert hint
        assert ask(client, "SELECT 1").status_code == 200


def wait_until(condition) -> None:
    """Fails after 20 s of waiting."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen within 20 s")


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_client_that_goes_cancels_its_statement(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    running, closed = threading.Event(), threading.Event()
    prepare, close = Execution.prepare, Execution.close

    def noted_prepare(self: Execution, sql: str) -> None:
        running.set()
        prepare(self, sql)

    def noted_close(self: Execution) -> None:
        close(self)
        closed.set()

    monkeypatch.setattr(Execution, "prepare", noted_prepare)
    monkeypatch.setattr(Execution, "close", noted_close)
    app = app_of(world, timeout_s=600)
    with served(app, tmp_path) as client:
        with pytest.raises(httpx.ReadTimeout):
            ask(client, FOREVER, params={"format": form}, timeout=httpx.Timeout(30, read=0.5))
        assert running.is_set()
        wait_until(closed.is_set)
        wait_until(lambda: app.state.turns._value == app_module.QUERIES_MAX)


def test_a_client_that_goes_in_the_middle_of_an_answer(world: World, tmp_path: Path) -> None:
    app = app_of(world, timeout_s=600)
    body = {"sql": "SELECT i, repeat('x', 100) FROM range(10000000000) t(i)"}
    with served(app, tmp_path) as client:
        with client.stream("POST", "/v1/query?format=csv", json=body) as response:
            assert next(response.iter_raw())
        wait_until(lambda: app.state.turns._value == app_module.QUERIES_MAX)


def test_an_error_in_the_middle_breaks_the_answer_off(client: httpx.Client) -> None:
    """The status has been sent by then: what must not happen is an answer that looks whole.

    The error lies 50 MB into the answer, far behind what the engine computes ahead of its reader (10 MB).
    """
    sql = "SELECT CASE WHEN i = 500000 THEN error('too late') ELSE i END, repeat('x', 100) FROM range(600000) t(i)"
    with client.stream("POST", "/v1/query?format=csv", json={"sql": sql}) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            list(response.iter_raw())


def test_an_error_in_the_first_rows_has_its_status(client: httpx.Client) -> None:
    status, code, message, _ = error_of(ask(client, "SELECT error('at once')", params={"format": "csv"}))
    assert (status, code, message) == (400, "invalid", "at once")


def test_more_statements_than_turns_wait_and_then_are_refused(world: World, tmp_path: Path) -> None:
    app = app_of(world, timeout_s=2)
    with served(app, tmp_path) as client:
        started = [threading.Thread(target=lambda: ask(client, FOREVER)) for _ in range(app_module.QUERIES_MAX)]
        for thread in started:
            thread.start()
        wait_until(lambda: app.state.turns._value == 0)
        app.state.limits = replace(app.state.limits, timeout_s=0)
        response = ask(client, "SELECT 1")
        app.state.limits = replace(app.state.limits, timeout_s=30)
        waited = ask(client, "SELECT 1")
        for thread in started:
            thread.join()
    assert error_of(response)[:2] == (503, "unavailable")
    assert response.headers["retry-after"] == "2"
    assert waited.json()["rows"] == [[1]]


# -- refusals ----------------------------------------------------------------------------------------------------------------


def test_the_engines_words_and_caret_are_kept(client: httpx.Client) -> None:
    status, code, message, _ = error_of(ask(client, "SELECT endpoint,\n  nope FROM logs"))
    assert (status, code) == (400, "invalid")
    assert message.startswith('Referenced column "nope" not found')
    assert message.endswith("LINE 2:   nope FROM logs\n          ^^^^")


def test_a_syntax_error(client: httpx.Client) -> None:
    status, code, message, _ = error_of(ask(client, "SELEC 1"))
    assert (status, code) == (400, "invalid")
    assert "syntax error" in message
    assert "LINE 1: SELEC 1" in message


def test_a_refused_statement_says_what_may_be_sent(client: httpx.Client) -> None:
    status, code, message, hint = error_of(ask(client, "DROP VIEW logs"))
    assert (status, code, message) == (400, "invalid", "a statement of kind `DROP` cannot be run here")
    assert hint == "send one SELECT, DESCRIBE, SUMMARIZE, SHOW TABLES or EXPLAIN"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "the request cannot be read"),
        (b'{"sq": "SELECT 1"}', "the request cannot be read"),
        (b'{"sql": 1}', "the request cannot be read"),
        (b"\xff\xfe", "the request cannot be read"),
        (b"", "there is no statement"),
        (b'{"sql": "SELECT 1", "format": "xml"}', "there is no format `xml`"),
        (b'{"sql": "SELECT ?"}', "Values were not provided"),
    ],
)
def test_requests_that_make_no_sense(client: httpx.Client, content: bytes, message: str) -> None:
    status, code, said, _ = error_of(client.post("/v1/query", content=content))
    assert (status, code) == (400, "invalid")
    assert message in said


def test_a_request_that_is_too_long(client: httpx.Client) -> None:
    for body in ("SELECT '" + "x" * (1 << 20) + "'", "SELECT '" + "x" * (3 << 20) + "'"):
        assert error_of(client.post("/v1/query", content=body))[:2] == (413, "too_large")


def test_the_path_is_post_only(client: httpx.Client) -> None:
    assert client.get("/v1/query").status_code == 405
    assert client.get("/healthz").json() == {"status": "ok"}
