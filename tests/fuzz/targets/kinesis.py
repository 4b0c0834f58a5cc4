"""The Kinesis API: whole requests to an ingest process with a stream in memory, packed records, signatures.

Oracles: an answer is 200 or an error in AWS's shape; a record that was acknowledged is read back byte for byte at the place that the answer
names, with its key; what is taken for packed is what packs to the same message; no signature is right that was not made with a key.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import cbor2
import msgspec

from tailrace.ingest.app import create_app
from tailrace.ingest.protocols.kinesis.api import TARGET_PREFIX, api
from tailrace.ingest.protocols.kinesis.errors import KinesisError
from tailrace.ingest.protocols.kinesis.kpl import MAGIC, sub_records
from tailrace.ingest.protocols.kinesis.sigv4 import Signable, verify
from tailrace.model.sequence import offset_of
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import ReadRequest
from tests.fuzz.target import Target, attempted
from tests.ingest.serving import memory_stream, settings
from tests.kinesis.packing import packed

_JSON, _CBOR = "application/x-amz-json-1.1", "application/x-amz-cbor-1.1"
_NAMES = sorted(api().operations)
_RECORDS_KEPT_MAX = 300


@cache
def ingest() -> tuple[Any, MemoryStream, asyncio.AbstractEventLoop]:
    stream = memory_stream(3)
    return create_app(stream, settings(Path(mkdtemp(prefix="tailrace-fuzz-"))), None), stream, asyncio.new_event_loop()


def ask(operation: str, media_type: str, body: bytes) -> tuple[int, bytes]:
    headers = {"host": "localhost", "x-amz-target": TARGET_PREFIX + operation, "content-type": media_type}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/", "root_path": "",
        "scheme": "http", "query_string": b"", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    app, _, loop = ingest()
    loop.run_until_complete(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def run_request(data: bytes) -> None:
    """The first byte says which operation and wire, the rest is the body."""
    if not data:
        return
    if sum(ingest()[1].end(s.id).next_offset for s in ingest()[1].shards()) > _RECORDS_KEPT_MAX:
        ingest()[2].close()
        ingest.cache_clear()
    operation, media_type = _NAMES[data[0] % len(_NAMES)], _CBOR if data[0] & 0x80 else _JSON
    if operation == "SubscribeToShard":
        return  # nobody is registered, and it would go on for minutes
    status, content = ask(operation, media_type, data[1:])
    answer = cbor2.loads(content) if media_type == _CBOR else msgspec.json.decode(content)
    if status != 200:
        assert status in (400, 503), (status, content)
        assert answer["__type"].isalnum()
        assert isinstance(answer["message"], str)


def run_put(data: bytes) -> None:
    """Records between zero bytes: their keys and their data in turn."""
    parts = data.split(b"\0")[:20]
    pairs = [(k.decode("utf-8", "replace")[:200] or "k", d) for k, d in zip(parts[::2], parts[1::2], strict=False)]
    if not pairs or any(body.startswith(MAGIC) for _, body in pairs):
        return
    records = [{"Data": base64.b64encode(body).decode(), "PartitionKey": key} for key, body in pairs]
    status, content = ask("PutRecords", _JSON, json.dumps({"StreamName": "logs", "Records": records}).encode())
    assert status == 200, content
    placed = msgspec.json.decode(content)["Records"]
    _, stream, _ = ingest()
    shards = {shard.id: shard for shard in stream.shards()}
    for (key, body), place in zip(pairs, placed, strict=True):
        offset = offset_of(shards[place["ShardId"]], place["SequenceNumber"])
        (block,) = stream.read(ReadRequest(place["ShardId"], offset, 1, with_raw=True))
        assert block.raw is not None
        row = block.raw.slice(offset - block.first_offset, 1).to_pylist()[0]
        assert (row["raw"], row["key"]) == (body, key.encode())
    if sum(stream.end(s).next_offset for s in shards) > _RECORDS_KEPT_MAX:
        ingest()[2].close()
        ingest.cache_clear()


def run_packed(data: bytes) -> None:
    for text in (data, MAGIC + data + hashlib.md5(data, usedforsecurity=False).digest()):
        found = sub_records(text)
        if found:
            assert sub_records(packed(found)) == found


def run_signature(data: bytes) -> None:
    """Lines: query, then headers; nobody knows the secret."""
    query, *lines = data.decode("latin-1").split("\n")
    headers = [(name.lower(), value) for name, _, value in (line.partition(":") for line in lines)]
    request = Signable("POST", "/", query, headers, data)
    _, error = attempted(lambda: verify(request, {"AKID": "nobody-knows-it"}, 1_795_435_200_000_000), KinesisError)
    assert error is not None, "a signature was taken that nobody made"
    assert error.status == 400
    assert "nobody-knows-it" not in error.message


_ENTRY = b'{"StreamName":"logs","Records":[{"Data":"e30=","PartitionKey":"k"}]}'
_SIGNED = (
    b"\nhost:localhost\nx-amz-date:20261123T120000Z\nauthorization:AWS4-HMAC-SHA256 "
    b"Credential=AKID/20261123/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64
)
TARGETS = (
    Target(
        "kinesis_request",
        "requests of the Kinesis API in both wires: an answer or an error in AWS's shape",
        run_request,
        (
            bytes([_NAMES.index("PutRecords")]) + _ENTRY,
            bytes([_NAMES.index("GetShardIterator")])
            + b'{"StreamName":"logs","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1.5}',
            bytes([_NAMES.index("ListShards")]) + b'{"StreamName":"logs","ShardFilter":{"Type":"AT_LATEST"}}',
            bytes([_NAMES.index("PutRecords") | 0x80])
            + cbor2.dumps({"StreamName": "logs", "Records": [{"Data": b"x", "PartitionKey": "k"}]}),
        ),
        (b'"Records"', b'"Data"', b'"Limit"', b'"NextToken"', b"null", b"-1", b"1e400", b"\xc1\x1b", b"[[[["),
    ),
    Target(
        "kinesis_put",
        "records of any bytes: read back at the place that the answer names",
        run_put,
        (b"k\0" + b'{"timestamp":1700000000}\n' + b"\0k\0a\nb", b"\0\0\xff\0\xef\xbb\xbf{}", b"a\0\n\n\0b\0"),
        (b"\0", b"\n", b"\r", b"\xef\xbb\xbf", b"{", b"\\", b'"'),
    ),
    Target(
        "kinesis_packed",
        "packed records: what is read packs to the same",
        run_packed,
        (b"\x0a\x01k\x1a\x05\x08\x00\x1a\x01x", b"\x0a\x00\x12\x011\x1a\x06\x08\x00\x10\x00\x1a\x00"),
    ),
    Target(
        "kinesis_signature",
        "signatures: none is right that was not made with the key",
        run_signature,
        (_SIGNED, b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261123T120000Z&X-Amz-Signature=0"),
        (b"/aws4_request", b"host;", b"&", b"=", b"%", b";", b","),
    ),
)
