"""JSON 1.1 and CBOR, which say the same: how a request's body is read and an answer is written.

Blobs are base64 text in JSON and byte strings in CBOR; times are seconds with a fraction in JSON, and whole milliseconds under tag 1
in CBOR, as the SDK for Java reads and writes them.
"""

from __future__ import annotations

from typing import Any, Protocol

import cbor2
import msgspec

from tailrace.ingest.protocols.kinesis.errors import KinesisError, serialization
from tailrace.ingest.protocols.kinesis.validation import Instant
from tailrace.runtime.unreadable import UNREADABLE

_EPOCH_TAG = 1
_DEPTH_MAX = 32


class Wire(Protocol):
    media_type: str

    def decode(self, body: bytes) -> Any:
        """Raises SerializationException."""
        ...

    def encode(self, value: Any) -> bytes: ...

    def instant(self, ms: int) -> Any:
        """What `encode` writes at once for a time."""
        ...


class JsonWire:
    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    def decode(self, body: bytes) -> Any:
        if not body.strip():
            return {}
        try:
            return msgspec.json.decode(body)
        except UNREADABLE as error:
            raise serialization(f"the body is not JSON: {error}") from error

    def encode(self, value: Any) -> bytes:
        return msgspec.json.encode(value, enc_hook=_seconds)

    def instant(self, ms: int) -> Any:
        return ms / 1000


class CborWire:
    media_type = "application/x-amz-cbor-1.1"

    def decode(self, body: bytes) -> Any:
        if not body:
            return {}
        try:
            return cbor2.loads(
                body, semantic_decoders={_EPOCH_TAG: _instant}, max_depth=_DEPTH_MAX, strict_hashable_types=True
            )
        except (cbor2.CBORError, KinesisError, *UNREADABLE) as error:
            raise serialization(f"the body is not CBOR: {error}") from error

    def encode(self, value: Any) -> bytes:
        return cbor2.dumps(value, default=_tagged)

    def instant(self, ms: int) -> Any:
        return cbor2.CBORTag(_EPOCH_TAG, ms)


_JSON_TYPES = ("application/x-amz-json-1.1", "application/json")


def wire_of(content_type: str) -> Wire | None:
    """By the request's `Content-Type`; None for one that is not spoken."""
    name = content_type.partition(";")[0].strip().lower()
    if name in _JSON_TYPES:
        return JsonWire(name)
    return CborWire() if name == CborWire.media_type else None


def _seconds(value: Any) -> float:
    if isinstance(value, Instant):
        return value.ms / 1000
    raise NotImplementedError(type(value))


def _tagged(encoder: Any, value: Any) -> Any:
    if not isinstance(value, Instant):
        raise NotImplementedError(type(value))
    encoder.encode(cbor2.CBORTag(_EPOCH_TAG, value.ms))


def _instant(value: Any, immutable: bool) -> Instant:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1 << 58:
        raise serialization("the body is not CBOR: a time is no number")
    return Instant(int(value))
