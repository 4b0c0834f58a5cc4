"""What a post to `/v1/logs` is made of, and whole posts to an ingest process with a stream in memory.

Oracles: what is inflated is what the standard library inflates, and is refused where that refuses it; a 200 says exactly what the
stream holds afterwards, line for line.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
import zstandard
from starlette.requests import Request

from tailrace.errors import Invalid, TooLarge
from tailrace.ingest.admission import Gate
from tailrace.ingest.app import create_app
from tailrace.ingest.body import Body, inflated
from tailrace.ingest.guard import Guard
from tailrace.ingest.protocols.http_json import parse_ask, parse_producer
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import ReadRequest
from tailrace.telemetry.registry import Registry
from tests.fuzz.target import Target
from tests.fuzz.targets.lines import split_lines
from tests.ingest.serving import memory_stream, settings

_BYTES_MAX = 1 << 16
_LINES_KEPT_MAX = 300
_LINES = b'{"timestamp":"2026-11-22T10:00:00Z","endpoint":"/a"}\n{"timestamp":"2026-11-22T10:00:01Z","endpoint":"/b"}\nno json\n'


# ---- compressed bodies -----------------------------------------------------------------------------------------------


def inflate(encoding: str, data: bytes) -> bytes | None:
    """What the product makes of it; None if it refuses."""
    body = Body(Gate(1, 1 << 30, Registry()), encoding)
    body.add(data)
    try:
        return inflated(body, _BYTES_MAX)
    except TooLarge:
        raise
    except Invalid:
        return None


def run_gzip(data: bytes) -> None:
    if not data:
        return
    found = inflate("gzip", data)
    try:
        wanted = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        wanted = None
    # zlib also looks at a header's own checksum and its reserved flags, and refuses what is wrong there.
    assert found in (None, wanted)
    check_whole("gzip", gzip.compress(data, 1, mtime=0), data)


def run_zstd(data: bytes) -> None:
    if not data:
        return
    found = inflate("zstd", data)
    assert found == frames(data)
    check_whole("zstd", zstandard.ZstdCompressor(level=1).compress(data), data)


def check_whole(encoding: str, squeezed: bytes, data: bytes) -> None:
    assert inflate(encoding, squeezed) == data
    assert inflate(encoding, squeezed + squeezed) == data + data
    cut = squeezed[: len(squeezed) - 1 - len(data) % (len(squeezed) - 1)]
    assert inflate(encoding, cut) is None, "a body that was cut off was taken"


def frames(data: bytes) -> bytes | None:
    """All frames of a zstd stream, one decompressor each; None unless each is whole."""
    parts: list[bytes] = []
    while data:
        frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        try:
            parts.append(frame.decompress(data))
        except zstandard.ZstdError:
            return None
        if not frame.eof:
            return None
        data = frame.unused_data
    return b"".join(parts)


# ---- what a request says ---------------------------------------------------------------------------------------------


def run_producer(data: bytes) -> None:
    text = data.decode("latin-1")
    stamp = parse_producer(text)
    assert stamp is not None
    name, epoch, number = (part.strip() for part in text.split(";"))
    assert (stamp.id, stamp.epoch, stamp.n) == (name, int(epoch), int(number))
    assert 0 <= stamp.epoch < 1 << 63
    assert 0 <= stamp.n < 1 << 63


def run_ask(data: bytes) -> None:
    """The first line is the query string, the second the producer's stamp."""
    query, _, stamp = data.partition(b"\n")
    headers = [(b"tailrace-producer", stamp)] if stamp else []
    scope = {"type": "http", "method": "POST", "path": "/v1/logs", "query_string": query, "headers": headers}
    ask = parse_ask(Request(scope), settings(Path("/nowhere")))
    assert ask.format.name in ("json", "logfmt", "combined", "common", "clf")
    assert len(ask.key.encode()) <= 256


def run_guard(data: bytes) -> None:
    """`Host` and `Origin`: only names of this machine are let through, whatever they look like."""
    host, _, origin = data.partition(b"\n")
    headers = [(b"host", host), *([(b"origin", origin)] if origin else [])]
    guard = Guard(None, "127.0.0.1")  # type: ignore[arg-type] - it is not called
    problem = guard._problem({"type": "http", "method": "POST", "headers": headers})
    if problem is None:
        name, page = host.decode("latin-1").strip().lower(), origin.decode("latin-1").lower()
        assert "localhost" in name or "127." in name or "::" in name or name[:1] == "[", name
        assert not page or "localhost" in page or "127." in page or "[" in page, page


# ---- whole posts -----------------------------------------------------------------------------------------------------

_QUERIES = (
    b"",
    b"format=logfmt",
    b"format=combined",
    b"key=k",
    b"key_field=status",
    b"format=nothing",
    b"key_field=user",
    b"x=1",
)
_ENCODINGS = ("", "gzip", "zstd", "br")


@cache
def ingest() -> tuple[Any, MemoryStream, asyncio.AbstractEventLoop]:
    stream = memory_stream(3)
    folder = Path(mkdtemp(prefix="tailrace-fuzz-"))
    return create_app(stream, settings(folder, body_bytes_max=_BYTES_MAX), None), stream, asyncio.new_event_loop()


def post(app: Any, query: bytes, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/v1/logs", "root_path": "",
        "scheme": "http", "query_string": query, "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), *((k.encode(), v.encode("latin-1")) for k, v in headers.items())],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    ingest()[2].run_until_complete(app(scope, receive, send))
    return sent[0]["status"], msgspec.json.decode(b"".join(message.get("body", b"") for message in sent))


def held(stream: MemoryStream) -> tuple[int, int, int]:
    counts = [stream.end(shard.id).open_counts for shard in stream.shards()]
    return tuple(sum(getattr(c, name) for c in counts) for name in ("stored", "dead_lettered", "deduplicated"))  # type: ignore[return-value]


def run_post(data: bytes) -> None:
    """The first byte says how it is sent, the second whether it is compressed here (so that most of it gets through)."""
    if len(data) < 2:
        return
    if sum(held(ingest()[1])) > _LINES_KEPT_MAX:
        ingest()[2].close()
        ingest.cache_clear()  # a stream in memory gets slow as it grows
    app, stream, _ = ingest()
    query, encoding = _QUERIES[data[0] % 8], _ENCODINGS[data[0] >> 3 & 3]
    text = data[2:]
    body = squeezed(encoding, text) if data[1] & 1 else text
    headers = {"content-encoding": encoding} if encoding else {}
    if data[1] & 2:
        headers["tailrace-producer"] = f"fuzz;1;{zlib.crc32(data)}"
    for _ in range(1 + bool(data[1] & 2)):
        before, starts = held(stream), {s.id: stream.end(s.id).next_offset for s in stream.shards()}
        status, answer = post(app, query, headers, body)
        assert status in (200, 400, 413), (status, answer)
        after = held(stream)
        if status != 200:
            assert after == before, "a post that was refused was stored"
            assert answer["error"].keys() == {"code", "message", "hint"}
            continue
        assert encoding != "br"
        told = (answer["accepted"], answer["dead_lettered_total"], answer["deduplicated"])
        assert told == tuple(b - a for a, b in zip(before, after, strict=True)), (told, before, after)
        check_stored(stream, starts, body if not data[1] & 1 else text, encoding, query, told)


def squeezed(encoding: str, text: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.compress(text, 1, mtime=0)
    return zstandard.ZstdCompressor(level=1).compress(text) if encoding == "zstd" else text


def check_stored(
    stream: MemoryStream, starts: dict[str, int], text: bytes, encoding: str, query: bytes, told: tuple[int, ...]
) -> None:
    """The lines that were stored are those of the body; a body that is one JSON document is not looked into."""
    blocks = [block for s, at in starts.items() for block in stream.read(ReadRequest(s, at, with_raw=True))]
    found = Counter(raw for block in blocks if block.raw is not None for raw in block.raw.column("raw").to_pylist())
    assert found.total() == told[0] + told[1]
    json_body = query in (b"", b"key=k", b"key_field=status", b"key_field=user")
    first = text.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1]
    if (
        told[2] == 0
        and not (encoding and inflate(encoding, text) is not None)
        and not (json_body and first in (b"[", b"{"))
    ):
        assert found == Counter(split_lines(text))


TARGETS = (
    Target(
        "gzip",
        "gzip bodies: as the standard library reads them",
        run_gzip,
        (
            gzip.compress(_LINES, 6, mtime=0),
            gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0) + b"\0\0",
            b"\x1f\x8b\x08\0",
        ),
    ),
    Target(
        "zstd",
        "zstd bodies: as frame by frame",
        run_zstd,
        (
            zstandard.ZstdCompressor().compress(_LINES),
            zstandard.ZstdCompressor(write_checksum=True).compress(b"a" * 3000),
            zstandard.ZstdCompressor().compress(b"x") * 2,
            b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.ZstdCompressor().compress(b"y"),
        ),
        (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"),
    ),
    Target(
        "producer",
        "the header Tailrace-Producer",
        run_producer,
        (b"web-1;0;42", b" a ; 9223372036854775807 ; 1 ", b"x;1"),
        (b";", b" ", b"9" * 19),
    ),
    Target(
        "ask",
        "parameters of /v1/logs",
        run_ask,
        (b"format=logfmt&key=a%20b\nweb-1;0;42", b"key_field=user&response_time=us", b"format=%ff&key=%00"),
        (b"&", b"%", b"=", b"%ed%a0%80", b"key="),
    ),
    Target(
        "guard",
        "Host and Origin",
        run_guard,
        (
            b"localhost:8080\nhttp://localhost:8080",
            b"[::1]:80\nhttp://[::1]",
            b"127.0.0.1",
            b"evil.example\nhttps://evil.example",
            b"a.localhost.",
        ),
        (b"http://", b"[", b"]", b":", b"@", b"#", b"?", b"\\", b"0x7f.1", b"127.1"),
    ),
    Target(
        "post",
        "whole posts: a 200 says what is stored",
        run_post,
        (
            b"\0\0" + _LINES,
            b"\x08\x03" + _LINES,
            b"\x11\x01ts=2026-11-22T10:00:00Z a=b\nno\n",
            b"\0\2[" + _LINES.replace(b"}\n", b"},") + b"{}]",
            b"\x08\0\x1f\x8b",
        ),
        (b"\n", b"\r\n", b"}\n{", b"[", b"]", b'"timestamp":"2026-11-22T10:00:00Z"'),
    ),
)
