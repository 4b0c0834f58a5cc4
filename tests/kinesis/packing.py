"""Packs records as the Kinesis Producer Library does. Source: amazon-kinesis-producer, `aggregation-format.md`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tailrace.ingest.protocols.kinesis.kpl import MAGIC, SubRecord


def packed(records: Sequence[SubRecord]) -> bytes:
    keys = list(dict.fromkeys(each.key for each in records))
    hashes = list(dict.fromkeys(each.hash_key for each in records if each.hash_key is not None))
    message = b"".join(_field(1, key.encode()) for key in keys)
    message += b"".join(_field(2, str(hashed).encode()) for hashed in hashes)
    for each in records:
        inside = _number(1, keys.index(each.key))
        if each.hash_key is not None:
            inside += _number(2, hashes.index(each.hash_key))
        message += _field(3, inside + _field(3, each.data))
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))
