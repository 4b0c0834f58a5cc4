"""The bytes of a request: received with a limit, and inflated with the same limit. Neither ever holds more than that."""

from __future__ import annotations

import zlib

import zstandard
from starlette.requests import Request

from tailrace.errors import Invalid, TooLarge
from tailrace.ingest.admission import Gate

ENCODINGS = ("gzip", "zstd")
_STEP_BYTES = 1 << 20
_DRAIN_FACTOR = 2
_WINDOW_BYTES_MAX = 1 << 27
_LAST_TEXT = b"end of the body"
_LAST_FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(_LAST_TEXT)


class Body:
    """A received body; its bytes count in `gate` until `close`."""

    def __init__(self, gate: Gate, encoding: str) -> None:
        self.encoding = encoding
        self.chunks: list[bytes] = []
        self.size = 0
        self._gate = gate

    def add(self, chunk: bytes) -> None:
        self._gate.hold(len(chunk))
        self.chunks.append(chunk)
        self.size += len(chunk)

    def close(self) -> None:
        self._gate.release(self.size)
        self.chunks, self.size = [], 0


def content_encoding(request: Request) -> str:
    """`gzip`, `zstd` or empty. Raises Invalid for any other."""
    named = request.headers.get("content-encoding", "").strip().lower()
    if named in ("", "identity"):
        return ""
    if named not in ENCODINGS:
        raise Invalid(f"content encoding `{named}` is not known", hint=f"use one of: {', '.join(ENCODINGS)}, or none")
    return named


async def receive(request: Request, body: Body, bytes_max: int) -> None:
    """Fill `body`. Raises TooLarge as soon as it is clear that it has more than `bytes_max` bytes."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > bytes_max:
        if int(announced) <= _DRAIN_FACTOR * bytes_max and "expect" not in request.headers:
            await _drain(request, int(announced))
        raise too_large(bytes_max)
    async for chunk in request.stream():
        if body.size + len(chunk) > bytes_max:
            body.close()
            await _drain(request, bytes_max)
            raise too_large(bytes_max)
        body.add(chunk)


async def _drain(request: Request, size: int) -> None:
    """Read up to `size` bytes away: a client that still sends would see a reset connection instead of the answer."""
    async for chunk in request.stream():
        size -= len(chunk)
        if size < 0:
            break


def too_large(bytes_max: int) -> TooLarge:
    return TooLarge(
        f"the body has more than `{bytes_max}` bytes", hint="send it in several posts, cut at the ends of lines"
    )


def inflated(body: Body, bytes_max: int) -> bytes:
    """The bytes that were meant. Raises TooLarge beyond `bytes_max`, Invalid if the compressed data is damaged.

    Runs in a worker thread.
    """
    data = body.chunks[0] if len(body.chunks) == 1 else b"".join(body.chunks)
    try:
        if body.encoding == "gzip":
            return _gunzip(data, bytes_max)
        if body.encoding == "zstd":
            return _unzstd(data, bytes_max)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Invalid(f"the body is not valid {body.encoding}: {error}") from error
    return data


def _gunzip(data: bytes, bytes_max: int) -> bytes:
    """All members of a gzip stream, one after the other."""
    parts: list[bytes] = []
    size = 0
    while data:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            part = member.decompress(data, min(_STEP_BYTES, bytes_max - size + 1))
            data = member.unconsumed_tail
            size += len(part)
            if size > bytes_max:
                raise too_large(bytes_max)
            if not part and not data and not member.eof:
                raise Invalid("the body is not valid gzip: it ends too early")
            parts.append(part)
        data = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _unzstd(data: bytes, bytes_max: int) -> bytes:
    """All frames of a zstd stream.

    The reader does not say whether its last frame was whole. So a frame of our own is put behind: if it does not come out
    at the end, it was taken for the rest of a frame that had none.
    """
    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX).stream_reader(
        data + _LAST_FRAME, read_across_frames=True
    )
    parts: list[bytes] = []
    size = 0
    while part := reader.read(min(_STEP_BYTES, bytes_max + len(_LAST_TEXT) - size + 1)):
        size += len(part)
        if size > bytes_max + len(_LAST_TEXT):
            raise too_large(bytes_max)
        parts.append(part)
    text = b"".join(parts)
    if not text.endswith(_LAST_TEXT):
        raise Invalid("the body is not valid zstd: it ends too early")
    return text[: -len(_LAST_TEXT)]
