"""`POST /v1/logs` on a real server: what is answered, what is stored, what is refused, and what is never said falsely."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard

from tailrace.errors import Backpressure, Unavailable
from tailrace.model.endpoint_rules import EndpointRule
from tailrace.model.line_format import Group, LineFormat
from tailrace.model.sequence import offset_of
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import Appended, ReadRequest, ShardBatch
from tests.ingest.serving import STAMP, ingesting, line, memory_stream, settings, with_queue

INCOMPRESSIBLE = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(64))


@pytest.fixture
def stream() -> MemoryStream:
    return memory_stream()


@pytest.fixture
def url(stream: MemoryStream, tmp_path: Path) -> Iterator[str]:
    with ingesting(stream, settings(tmp_path)) as address:
        yield address + "/v1/logs"


def stored(stream: MemoryStream) -> dict[str, list[dict[str, Any]]]:
    """All lines by shard: columns and raw of each."""
    found: dict[str, list[dict[str, Any]]] = {}
    for shard in stream.shards():
        blocks = stream.read(ReadRequest(shard.id, 0, with_raw=True))
        found[shard.id] = [
            {**columns, **raw}
            for block in blocks
            if block.columns is not None and block.raw is not None
            for columns, raw in zip(block.columns.to_pylist(), block.raw.to_pylist(), strict=True)
        ]
    return found


def flat(stream: MemoryStream) -> list[dict[str, Any]]:
    return [row for rows in stored(stream).values() for row in rows]


def test_lines_are_stored_and_counted(url: str, stream: MemoryStream) -> None:
    body = b"".join(line(n, f"/e{n % 7}") for n in range(100)) + b"bad\n\n" + line(7)
    answer = httpx.post(url, content=body)
    assert answer.status_code == 200
    found = answer.json()
    assert found["accepted"] == 101
    assert found["dead_lettered"] == [{"line": 101, "reason": "does not parse in the declared format"}]
    assert (found["dead_lettered_total"], found["deduplicated"]) == (1, 0)
    rows = flat(stream)
    assert sorted(row["status"] for row in rows if row["verdict"] == 0) == sorted([*range(100), 7])
    assert [row["raw"] for row in rows if row["verdict"]] == [b"bad"]
    assert {row["raw"] + b"\n" for row in rows} == set(body.replace(b"\n\n", b"\n").splitlines(keepends=True))


def test_the_position_names_the_last_line_of_each_shard(url: str, stream: MemoryStream) -> None:
    body = b"".join(line(n, f"/e{n}") for n in range(50))
    position = httpx.post(url, content=body).json()["position"]
    shards = {shard.id: shard for shard in stream.shards()}
    assert {name: offset_of(shards[name], number) + 1 for name, number in position.items()} == {
        name: len(rows) for name, rows in stored(stream).items()
    }


def test_a_key_keeps_its_lines_together(url: str, stream: MemoryStream) -> None:
    body = b"".join(line(n, f"/e{n}") for n in range(50))
    assert len(httpx.post(url, params={"key": "one"}, content=body).json()["position"]) == 1
    assert len(httpx.post(url, params={"key_field": "method"}, content=body).json()["position"]) == 2
    same = b"".join(f'{{"timestamp":1,"endpoint":"/{n}","tenant":"t"}}\n'.encode() for n in range(50))
    assert len(httpx.post(url, params={"key_field": "tenant"}, content=same).json()["position"]) == 1


@pytest.mark.parametrize(
    "body", [b"[" + line(1).strip() + b"," + line(2) + b"]", line(1) + line(2), line(1) + b"\r\n" + line(2)]
)
def test_arrays_and_lines(url: str, body: bytes) -> None:
    assert httpx.post(url, content=body).json()["accepted"] == 2


def test_an_access_log(url: str, stream: MemoryStream) -> None:
    log = '192.0.2.7 - - [22/Nov/2026:12:00:00 +0200] "GET /a HTTP/1.1" 200 512 "-" "curl" 5'
    assert httpx.post(url, params={"format": "combined"}, content=log).json()["accepted"] == 1
    assert httpx.post(url, params={"format": "combined", "response_time": "s"}, content=log).json()["accepted"] == 1
    assert sorted(str(row["response_ms"]) for row in flat(stream)) == ["0.005", "5000.000"]


def test_the_settings_say_the_format_of_posts_that_name_none(stream: MemoryStream, tmp_path: Path) -> None:
    own = LineFormat("own", r"^(?P<ts>\S+) (?P<path>\S+)$", (Group("ts", "timestamp"), Group("path", "endpoint")))
    rules = (EndpointRule("/users/*", "/users/{id}"),)
    given = replace(settings(tmp_path, format="own"), formats=(own,), endpoint_rules=rules)
    with ingesting(stream, given) as address:
        answer = httpx.post(address + "/v1/logs", content=f"{STAMP} /users/17".encode()).json()
        assert answer["accepted"] == 1
        assert httpx.post(address + "/v1/logs?format=json", content=line()).json()["accepted"] == 1
        unread = httpx.post(address + "/v1/logs", content=b"x").json()
        unknown = httpx.post(address + "/v1/logs?format=onw", content=b"x").json()
    assert unread["hint"].startswith("no line could be read as `own`; other formats: ?format= json,")
    assert "own" in unknown["error"]["hint"]
    assert sorted(row["endpoint"] for row in flat(stream) if not row["verdict"]) == ["/a", "/users/{id}"]


def test_at_most_a_hundred_dead_letters_are_listed(url: str) -> None:
    found = httpx.post(url, content=b"bad\n" * 250).json()
    assert len(found["dead_lettered"]) == 100
    assert (found["dead_lettered_total"], found["accepted"]) == (250, 0)
    assert "combined" in found["hint"]


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:40]) + gzip.compress(body[40:])),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("zstd", lambda body: zstandard.compress(body[:40]) + zstandard.compress(body[40:])),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_compressed_bodies(url: str, encoding: str, compress: Any) -> None:
    body = b"".join(line(n) for n in range(1000))
    answer = httpx.post(url, content=compress(body), headers={"Content-Encoding": encoding})
    assert answer.json()["accepted"] == 1000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(line(1) * 1000, mtime=0)[:-20]),
        ("gzip", gzip.compress(line(1), mtime=0) + b"junk"),
        ("zstd", b"no zstd"),
        ("zstd", zstandard.compress(line(1) * 1000)[:-5]),
        ("zstd", zstandard.compress(INCOMPRESSIBLE)[:-200]),
        ("zstd", zstandard.compress(line(1)) + b"junk"),
        ("br", b"x"),
    ],
    ids=["no gzip", "cut gzip", "gzip and more", "no zstd", "cut zstd", "cut blocks", "zstd and more", "unknown"],
)
def test_damaged_or_unknown_encodings_are_refused(url: str, stream: MemoryStream, encoding: str, body: bytes) -> None:
    answer = httpx.post(url, content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == 400
    assert encoding in answer.json()["error"]["message"]
    assert flat(stream) == []


@pytest.mark.parametrize(
    ("query", "headers", "content", "named"),
    [
        ({"format": "xml"}, {}, line(), "clf, combined, common, json"),
        ({"fromat": "json"}, {}, line(), "format, key, key_field"),
        ({"response_time": "h"}, {}, line(), "s, ms, us"),
        ({"key": "k" * 300}, {}, line(), "256"),
        ({}, {}, b"", "empty"),
        ({}, {"Tailrace-Producer": "web"}, line(), "ID;EPOCH;N"),
        ({}, {"Tailrace-Producer": "web;0"}, line(), "ID;EPOCH;N"),
        ({}, {"Tailrace-Producer": "web;0;x"}, line(), "ID;EPOCH;N"),
        ({}, {"Tailrace-Producer": "web;-1;0"}, line(), "ID;EPOCH;N"),
        ({}, {"Tailrace-Producer": "we b;0;0"}, line(), "ID;EPOCH;N"),
        ({}, {"Tailrace-Producer": f"web;0;{1 << 63}"}, line(), "ID;EPOCH;N"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(
    url: str, query: dict[str, str], headers: dict[str, str], content: bytes, named: str
) -> None:
    answer = httpx.post(url, params=query, headers=headers, content=content)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert named in error["message"] + error["hint"]


def test_blanks_alone_are_no_lines(url: str) -> None:
    assert httpx.post(url, content=b"\n \n").json()["accepted"] == 0
    assert httpx.post(url, content=b"[]").json() == {
        "accepted": 0, "dead_lettered": [], "dead_lettered_total": 0, "deduplicated": 0, "position": {},
    }  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_a_path_has_its_method(url: str, method: str) -> None:
    answer = httpx.request(method, url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_a_retry_with_the_same_stamp_changes_nothing(url: str, stream: MemoryStream) -> None:
    body = b"".join(line(n, f"/e{n}") for n in range(20)) + b"bad\n"
    first = httpx.post(url, content=body, headers={"Tailrace-Producer": "web-1;0;7"}).json()
    again = httpx.post(url, content=body, headers={"Tailrace-Producer": "web-1 ; 0 ; 7"}).json()
    assert (first["accepted"], first["deduplicated"], first["dead_lettered_total"]) == (20, 0, 1)
    assert (again["accepted"], again["deduplicated"], again["dead_lettered_total"]) == (0, 21, 0)
    assert again["dead_lettered"] == []
    assert again["position"] == first["position"]
    assert len(flat(stream)) == 21
    assert httpx.post(url, content=body, headers={"Tailrace-Producer": "web-1;0;8"}).json()["accepted"] == 20


@pytest.fixture
def small(stream: MemoryStream, tmp_path: Path) -> Iterator[str]:
    with ingesting(stream, settings(tmp_path, body_bytes_max=100_000, line_bytes_max=1000)) as address:
        yield address + "/v1/logs"


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_bomb_is_refused(small: str, stream: MemoryStream, compress: Any) -> None:
    bomb = compress(b"\n" * 50_000_000)
    assert len(bomb) < 100_000
    answer = httpx.post(
        small,
        content=bomb,
        headers={"Content-Encoding": compress.__module__.split(".")[0].replace("zstandard", "zstd")},
    )
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert flat(stream) == []


def test_a_body_over_the_limit_is_refused_whether_announced_or_not(small: str, stream: MemoryStream) -> None:
    body = line(1) * 5000

    def unannounced() -> Iterator[bytes]:
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    for content in (body, unannounced()):
        answer = httpx.post(small, content=content)
        assert answer.status_code == 413
        assert "several posts" in answer.json()["error"]["hint"]
    assert flat(stream) == []


def test_a_body_of_exactly_the_limit_is_taken(small: str) -> None:
    body = (line(1) * 5000)[:100_000]
    assert httpx.post(small, content=body).status_code == 200
    assert httpx.post(small, content=gzip.compress(body), headers={"Content-Encoding": "gzip"}).status_code == 200
    assert httpx.post(small, content=zstandard.compress(body), headers={"Content-Encoding": "zstd"}).status_code == 200


def test_an_announced_bomb_is_refused_before_it_is_sent(small: str) -> None:
    host, port = small.removeprefix("http://").split("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_client_that_leaves_midway_harms_nobody(url: str, stream: MemoryStream) -> None:
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + line(1))
    assert httpx.post(url, content=line(2)).json()["accepted"] == 1
    assert [row["status"] for row in flat(stream)] == [2]


class Troubled:
    """A stream whose appends fail as told: by shard index, an error to raise at once or to fail the future with."""

    def __init__(self, real: MemoryStream) -> None:
        self._real = real
        self.at_once: dict[int, Exception] = {}
        self.later: dict[int, Exception] = {}
        self.held: list[Future[Appended]] = []
        self.hold = False

    def append(self, batch: ShardBatch) -> Future[Appended]:
        index = int(batch.shard_id[-12:])
        if index in self.at_once:
            raise self.at_once[index]
        future: Future[Appended] = Future()
        if index in self.later:
            future.set_exception(self.later[index])
        elif self.hold:
            self.held.append(future)
        else:
            future.set_result(self._real.append(batch).result())
        return future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def troubled(stream: MemoryStream) -> Troubled:
    return Troubled(stream)


BOTH_SHARDS = b"".join(line(n, f"/e{n}") for n in range(50))


def test_a_store_that_cannot_be_written_is_never_a_200(
    troubled: Troubled, stream: MemoryStream, tmp_path: Path
) -> None:
    with ingesting(troubled, settings(tmp_path)) as address:
        troubled.later = {
            0: Unavailable("disk is full", retry_after_s=7),
            1: Unavailable("disk is full", retry_after_s=7),
        }
        answer = httpx.post(address + "/v1/logs", content=BOTH_SHARDS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert answer.json()["error"]["message"] == "disk is full"
        assert "may double lines" in answer.json()["error"]["hint"]
    assert flat(stream) == []


def test_half_a_post_stored_says_how_to_retry_and_the_retry_completes_it(
    troubled: Troubled, stream: MemoryStream, tmp_path: Path
) -> None:
    with ingesting(troubled, settings(tmp_path)) as address:
        troubled.later = {1: Unavailable("disk is full")}
        headers = {"Tailrace-Producer": "web;0;1"}
        answer = httpx.post(address + "/v1/logs", content=BOTH_SHARDS, headers=headers)
        assert answer.status_code == 503
        assert "same `Tailrace-Producer`" in answer.json()["error"]["hint"]
        half = len(flat(stream))
        assert 0 < half < 50
        troubled.later = {}
        again = httpx.post(address + "/v1/logs", content=BOTH_SHARDS, headers=headers).json()
        assert (again["accepted"], again["deduplicated"]) == (50 - half, half)
    assert sorted(row["status"] for row in flat(stream)) == list(range(50))


def test_a_full_queue_is_429(troubled: Troubled, stream: MemoryStream, tmp_path: Path) -> None:
    with ingesting(troubled, settings(tmp_path)) as address:
        troubled.at_once = {
            0: Backpressure("queue is full", retry_after_s=3),
            1: Backpressure("queue is full", retry_after_s=3),
        }
        answer = httpx.post(address + "/v1/logs", content=BOTH_SHARDS)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        assert answer.json()["error"]["code"] == "backpressure"
        troubled.at_once = {1: Backpressure("queue is full")}
        assert httpx.post(address + "/v1/logs", content=BOTH_SHARDS).status_code == 503
    assert 0 < len(flat(stream)) < 50


def test_an_answer_waits_until_every_shard_is_durable(troubled: Troubled, tmp_path: Path) -> None:
    answers: list[int] = []
    with ingesting(troubled, settings(tmp_path)) as address:
        troubled.hold = True
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(address + "/v1/logs", content=BOTH_SHARDS).status_code)
        )
        asking.start()
        while len(troubled.held) < 2:
            asking.join(0.01)
        first, second = troubled.held
        first.set_result(Appended("shardId-000000000000", 1, 0, 24, 25, 0, 0))
        asking.join(0.3)
        assert answers == []
        second.set_result(Appended("shardId-000000000001", 1, 0, 24, 25, 0, 0))
        asking.join(10)
    assert answers == [200]


def test_more_posts_than_places_are_429(troubled: Troubled, tmp_path: Path) -> None:
    with ingesting(troubled, settings(tmp_path, in_flight_max=1)) as address:
        troubled.hold = True
        asking = threading.Thread(target=lambda: httpx.post(address + "/v1/logs", content=line(1)))
        asking.start()
        while not troubled.held:
            asking.join(0.01)
        answer = httpx.post(address + "/v1/logs", content=line(2))
        assert answer.status_code == 429
        assert "retry-after" in answer.headers
        troubled.held[0].set_result(Appended("shardId-000000000000", 1, 0, 0, 1, 0, 0))
        asking.join(10)
        troubled.hold = False
        assert httpx.post(address + "/v1/logs", content=line(3)).status_code == 200


def test_more_bytes_than_may_be_held_are_429(stream: MemoryStream, tmp_path: Path) -> None:
    with ingesting(stream, with_queue(settings(tmp_path), 50_000)) as address:
        assert httpx.post(address + "/v1/logs", content=line(1) * 2000).status_code == 429
        assert httpx.post(address + "/v1/logs", content=line(1) * 100).status_code == 200


def test_metrics_tell_what_came_in(url: str) -> None:
    httpx.post(url, content=line(1) + b"bad\n")
    httpx.post(url, content=b"")
    text = httpx.get(url.replace("/v1/logs", "/metrics")).text
    assert 'outcome="stored"} 1\n' in text
    assert 'verdict="malformed"} 1\n' in text
    assert 'tailrace_ingest_posts_total{process="ingest",pid="' in text
    assert 'status="400"} 1\n' in text
    assert text.count("# TYPE tailrace_ingest_decode_seconds histogram") == 1


def test_many_clients_at_once_lose_and_double_nothing(url: str, stream: MemoryStream) -> None:
    def send(client: int) -> None:
        with httpx.Client() as http:
            for n in range(10):
                body = b"".join(line(client * 1000 + n * 10 + k, f"/e{k}") for k in range(10))
                assert http.post(url, content=body).json()["accepted"] == 10

    threads = [threading.Thread(target=send, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = sorted(client * 1000 + n for client in range(8) for n in range(100))
    assert sorted(row["status"] for row in flat(stream)) == expected
    assert json.loads(httpx.post(url, content=line(1)).content)["accepted"] == 1
