"""`POST /v1/otlp/v1/logs` as its protocol has it: bodies, encodings, partial success, and which answers mean: send it again."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tailrace.errors import Unavailable
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import ReadRequest
from tests.formats.test_otlp import as_json, request
from tests.ingest.serving import ingesting, memory_stream, settings

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PATH = "/v1/otlp/v1/logs"


@pytest.fixture
def stream() -> MemoryStream:
    return memory_stream()


@pytest.fixture
def url(stream: MemoryStream, tmp_path: Path) -> Iterator[str]:
    with ingesting(stream, settings(tmp_path, body_bytes_max=100_000, line_bytes_max=2_000)) as url:
        yield url


def post(
    url: str, body: bytes, kind: str = PROTOBUF, path: str = PATH, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {"Content-Type": kind, **named} if kind else named)
    response = connection.getresponse()
    found = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return found


def status(kind: str, body: bytes) -> tuple[int, str]:
    """Code and message of a google.rpc.Status. In protobuf it has the wire form of field 1, a number, and field 2, text."""
    if kind == JSON:
        value = json.loads(body)
        return value["code"], value["message"]
    assert (body[0], body[2]) == (0x08, 0x12)
    at, size, shift = 3, 0, 0
    while True:
        size |= (body[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not body[at - 1] & 0x80:
            break
    assert len(body) == at + size
    return body[1], body[at:].decode()


def stored(stream: MemoryStream) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for shard in stream.shards():
        for block in stream.read(ReadRequest(shard.id, 0)):
            rows += block.columns.to_pylist()
    return rows


def test_protobuf_and_json_are_stored_and_answered_in_kind(url: str, stream: MemoryStream) -> None:
    message = request({"http.route": "/a"})
    assert post(url, message.SerializeToString())[::2] == (200, b"")
    code, headers, body = post(url, as_json(message), "application/json; charset=utf-8")
    assert (code, headers["content-type"], body) == (200, JSON, b"{}")
    assert post(url, gzip.compress(message.SerializeToString()), Content_Encoding="gzip")[0] == 200
    assert [(row["service"], row["endpoint"], row["message"]) for row in stored(stream)] == [
        ("shop", "/a", "hello")
    ] * 3


def test_nothing_to_store_is_a_success(url: str) -> None:
    assert post(url, b"")[::2] == (200, b"")
    assert post(url, b"{}", JSON)[::2] == (200, b"{}")


def test_what_becomes_a_dead_letter_is_told_as_rejected(url: str, stream: MemoryStream) -> None:
    message = request()
    message.MergeFrom(request({"long": "x" * 3_000}))
    code, _, body = post(url, message.SerializeToString())
    found = ExportLogsServiceResponse.FromString(body).partial_success
    assert (code, found.rejected_log_records) == (200, 1)
    assert "kept as dead letters" in found.error_message
    assert "longer than the limit" in found.error_message
    code, _, body = post(url, as_json(message), JSON)
    assert json.loads(body)["partialSuccess"]["rejectedLogRecords"] == "1"
    assert len(stored(stream)) == 4


def test_a_stamp_makes_a_retry_safe(url: str, stream: MemoryStream) -> None:
    message = request({"long": "x" * 3_000})
    message.MergeFrom(request())
    first = post(url, message.SerializeToString(), Tailrace_Producer="otel;0;1")
    again = post(url, message.SerializeToString(), Tailrace_Producer="otel;0;1")
    assert (first[0], again[0], again[2], len(stored(stream))) == (200, 200, b"", 2)


def test_parameters_choose_the_key_and_nothing_else(url: str) -> None:
    body = request().SerializeToString()
    assert post(url, body, path=f"{PATH}?key=x")[0] == 200
    assert post(url, body, path=f"{PATH}?key_field=service")[0] == 200
    code, _, answer = post(url, body, path=f"{PATH}?format=json")
    assert (code, status(PROTOBUF, answer)[0]) == (400, 3)


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        (PROTOBUF, b"\xff\xff\xff", 400),
        (JSON, b"{", 400),
        (PROTOBUF, b"x" * 100_001, 413),
    ],
)
def test_errors_for_good(url: str, kind: str, body: bytes, code: int) -> None:
    found, headers, answer = post(url, body, kind)
    assert (found, headers["content-type"], status(kind, answer)[0]) == (code, kind, 3)
    assert "retry-after" not in headers


@pytest.mark.parametrize("kind", ["", "text/plain"])
def test_a_kind_that_is_not_known(url: str, kind: str) -> None:
    code, _, body = post(url, b"x", kind)
    assert (code, status(JSON, body)[0]) == (415, 3)
    assert "use application/x-protobuf" in status(JSON, body)[1]


def test_other_methods_are_refused(url: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", PATH)
    assert connection.getresponse().status in (404, 405, 503)
    connection.close()


def test_a_full_queue_is_told_to_come_again(stream: MemoryStream, tmp_path: Path) -> None:
    with ingesting(stream, settings(tmp_path, disk_percent_max=0, disk_free_bytes_enough=1 << 60)) as url:
        for kind, body in ((PROTOBUF, request().SerializeToString()), (JSON, as_json(request()))):
            code, headers, answer = post(url, body, kind)
            assert (code, headers["retry-after"], status(kind, answer)[0]) == (429, "10", 8)


def test_a_store_that_cannot_be_written_is_told_to_come_again(
    url: str, stream: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(batch: object) -> None:
        raise Unavailable("the disk is away", retry_after_s=3)

    monkeypatch.setattr(stream, "append", refuse)
    code, headers, answer = post(url, request().SerializeToString())
    assert (code, headers["retry-after"], status(PROTOBUF, answer)[0]) == (503, "3", 14)


def test_many_at_once(url: str, stream: MemoryStream) -> None:
    threads = [threading.Thread(target=post, args=(url, request().SerializeToString())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored(stream)) == 8
