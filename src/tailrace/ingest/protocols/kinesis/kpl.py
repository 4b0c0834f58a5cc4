"""Records that the Kinesis Producer Library has packed together: one put that holds many, each with a key of its own.

Layout: the magic bytes, a protobuf message, the MD5 of that message. Source: amazon-kinesis-producer, `aggregation-format.md`. What only
looks like it (another checksum, no such message) is a record as any other, as the Kinesis Client Library takes it. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tailrace.model.shard import HASH_KEYS

MAGIC = b"\xf3\x89\x9a\xc2"
_MD5_BYTES = 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_KEY_TABLE, _HASH_TABLE, _RECORDS = 1, 2, 3
_KEY_INDEX, _HASH_INDEX, _DATA = 1, 2, 3


@dataclass(frozen=True, slots=True)
class SubRecord:
    """`hash_key`: where the producer gave one beside the partition key."""

    data: bytes
    key: str
    hash_key: int | None


class _NotAggregatedError(Exception):
    pass


def sub_records(data: bytes) -> list[SubRecord] | None:
    """Those in `data`, in their order; None if it is no aggregated record."""
    if not data.startswith(MAGIC) or len(data) < len(MAGIC) + _MD5_BYTES:
        return None
    message, checksum = data[len(MAGIC) : -_MD5_BYTES], data[-_MD5_BYTES:]
    if hashlib.md5(message, usedforsecurity=False).digest() != checksum:
        return None
    try:
        return _parsed(message)
    except (_NotAggregatedError, UnicodeDecodeError):
        return None


def _parsed(message: bytes) -> list[SubRecord]:
    keys: list[str] = []
    hashes: list[int] = []
    packed: list[bytes] = []
    for number, value in _fields(message):
        if isinstance(value, bytes) and number == _KEY_TABLE:
            keys.append(value.decode())
        elif isinstance(value, bytes) and number == _HASH_TABLE:
            hashes.append(_hash_key(value))
        elif isinstance(value, bytes) and number == _RECORDS:
            packed.append(value)
    return [_sub_record(each, keys, hashes) for each in packed]


def _sub_record(message: bytes, keys: list[str], hashes: list[int]) -> SubRecord:
    found = dict(_fields(message))
    data, key, hashed = found.get(_DATA), found.get(_KEY_INDEX), found.get(_HASH_INDEX)
    if not isinstance(data, bytes) or not isinstance(key, int) or key >= len(keys):
        raise _NotAggregatedError
    if hashed is not None and (not isinstance(hashed, int) or hashed >= len(hashes)):
        raise _NotAggregatedError
    return SubRecord(data, keys[key], None if hashed is None else hashes[hashed])


def _hash_key(text: bytes) -> int:
    if not text.isdigit() or len(text) > len(str(HASH_KEYS)) or int(text) >= HASH_KEYS:
        raise _NotAggregatedError
    return int(text)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message; those of fixed width are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        size = 8 if kind == _FIXED64 else 4
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind not in (_FIXED64, _FIXED32):
            raise _NotAggregatedError
        if at + size > len(message):
            raise _NotAggregatedError
        if kind == _BYTES:
            yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _NotAggregatedError
