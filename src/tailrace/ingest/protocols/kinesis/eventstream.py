"""Messages of `application/vnd.amazon.eventstream`: how SubscribeToShard's events are framed. Pure.

Layout: bytes in all, bytes of headers, CRC-32 of both; headers; payload; CRC-32 of all before. Numbers are big-endian. A header is the
length of its name, the name, 7 (a string), the length of its value (2 bytes), the value.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

MEDIA_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7
_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name, value) for name, value in headers.items())
    total = _PRELUDE.size + 2 * _CRC.size + len(head) + len(payload)
    prelude = _PRELUDE.pack(total, len(head))
    found = prelude + _CRC.pack(zlib.crc32(prelude)) + head + payload
    return found + _CRC.pack(zlib.crc32(found))


def event(kind: str, media_type: str, payload: bytes) -> bytes:
    return message({":message-type": "event", ":event-type": kind, ":content-type": media_type}, payload)


def exception(name: str, media_type: str, payload: bytes) -> bytes:
    return message({":message-type": "exception", ":exception-type": name, ":content-type": media_type}, payload)


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes((len(name),)) + name.encode() + bytes((_STRING,)) + struct.pack(">H", len(text)) + text
