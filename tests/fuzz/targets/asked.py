"""What the node is asked: parameters of views, bodies, messages of the WebSocket; and the logs that are replayed to it."""

from __future__ import annotations

from urllib.parse import parse_qsl

from tailrace.dashboard import dead_letters_api, live, shards_api, views_api
from tailrace.producers.stamps import move_access, move_json, read_access, read_json
from tailrace.serving.sql.app import parse_body
from tailrace.serving.subscribe import live_query
from tests.fuzz.target import Target, text_of

_NOW_US = 1_795_341_600_000_000
_WINDOW_US = 10_000_000


def run_view_query(data: bytes) -> None:
    query = views_api.view_query(dict(parse_qsl(text_of(data), keep_blank_values=True)))
    for instant in (query.from_us, query.to_us):
        assert instant is None or isinstance(instant, int)
    assert query.limit >= 1


def run_redrive(data: bytes) -> None:
    wish = dead_letters_api._wish(data)
    assert 1 <= wish.limit <= dead_letters_api.REDRIVE_MAX


def run_hash_key(data: bytes) -> None:
    at = shards_api._hash_key(text_of(data))
    assert at == int(data)


def run_query_body(data: bytes) -> None:
    assert isinstance(parse_body(data).sql, str)


def run_live(data: bytes) -> None:
    """A message of a page, up to the query that it stands for."""
    session = live.LiveSession.__new__(live.LiveSession)
    session._held, session._wake = {}, _Wake()  # type: ignore[assignment]
    session._take(text_of(data))
    for held in session._held.values():
        query = live_query(held.wish, _WINDOW_US, _NOW_US)
        assert query.from_us is not None


def run_replayed(data: bytes) -> None:
    """A line of a log: where its stamp can be read, it can be moved, and is then read as moved."""
    for read, move in (
        (read_access, move_access),
        (lambda line: read_json(line, "ts"), lambda line, at: move_json(line, at, "ts")),
    ):
        if read(data) is not None:
            found = read(move(data, _NOW_US))
            assert found is not None
            assert abs(found - _NOW_US) < 1_000_000


class _Wake:
    def set(self) -> None:
        return


TARGETS = (
    Target(
        "replayed",
        "lines of a log that is replayed: what is read can be moved",
        run_replayed,
        (
            b'{"ts":"2026-11-22T10:00:00.5+02:00","a":[1]}',
            b'{"ts":1795341600123}',
            b'{"ts":1795341600.25}',
            b'::1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1',
        ),
        (b'"ts":', b"1e300", b"-1", b"1e-300", b"0", b"/Feb/", b"+9999", b"31/", b"[", b"\\ud800", b"true"),
    ),
    Target(
        "view_query",
        "parameters of /v1/views/{name}",
        run_view_query,
        (
            b"from=2026-11-22T10:00:00Z&to=2026-11-22T11:00:00%2B02:00&step=1m&where=endpoint%3D%27x%27&limit=5",
            b"over=5m&step=10s&columns=a,b",
            b"total=true&top=5&by=requests&key=endpoint",
        ),
        (
            b"&",
            b"=",
            b"from=",
            b"-W01",
            b"T24:00",
            b"0001-01-01",
            b"9999-12-31T23:59:59.999999-23:59",
            b"step=999999999999999d",
            b"top=0",
        ),
    ),
    Target(
        "redrive",
        "the body of /v1/deadletters/redrive",
        run_redrive,
        (b'{"verdict":"malformed","format":"combined","limit":5,"preview":true}', b'{"ids":["0-1"]}', b" ", b"{}"),
        (b'"ids":', b'"limit":', b"null", b"-1", b"1e9", b'"'),
    ),
    Target(
        "hash_key",
        "where a shard is split",
        run_hash_key,
        (b"170141183460469231731687303715884105728", b"0", b"\xc2\xb2"),
    ),
    Target(
        "query_body",
        "the body of /v1/query",
        run_query_body,
        (b'{"sql":"SELECT 1","format":"csv"}', b"SELECT 1", b' {"sql":1}'),
        (b'"sql":', b"\\ud800"),
    ),
    Target(
        "live",
        "messages of /v1/live",
        run_live,
        (
            b'{"op":"subscribe","sub":"a","view":"endpoint_health","over":"5m","step":"10s","where":"status = 200"}',
            b'{"op":"subscribe","sub":"b","view":"v","total":true,"top":{"by":"requests","n":5,"key":"endpoint"}}',
            b'{"op":"unsubscribe","sub":"a"}',
        ),
        (b'"op":', b'"over":"36500d"', b'"top":null', b'"n":-1', b"{", b'"step":"0s"', b'"step":"1ms"'),
    ),
)
