"""What deduplication remembers of records that carry an identity: for each, where in which shard it stands.

The rows stand in the table `dedupe`, under a producer that no client can name, so that a stream without identities costs nothing. The
text of an identity is not kept but 126 bits of its MD5. Look-ups ask the same files as those of stamps do.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tailrace.errors import Corrupt
from tailrace.stream.backends.embedded.dedupe import ClosedStamps, Run
from tailrace.stream.backends.embedded.rows import file_of
from tailrace.stream.base import ProducerStamp

Identity = tuple[int, int]
Place = tuple[str, int]
"""Shard and offset."""

PRODUCER = "tailrace ids"
_KIND = b"\x03"
_AT_ONCE = 400
_MASK = (1 << 63) - 1


def identities(ids: Iterable[bytes | None]) -> list[Identity | None]:
    return [None if each is None else _identity(each) for each in ids]


def _identity(text: bytes) -> Identity:
    hashed = int.from_bytes(hashlib.md5(text, usedforsecurity=False).digest(), "big")
    return hashed >> 65, hashed & _MASK


def find(
    connection: sqlite3.Connection, closed: ClosedStamps, asked: Sequence[Identity], shard_id: str
) -> dict[Identity, Place]:
    """Where those stand that are known, in the open file (as this transaction sees it) and in the closed ones of the horizon."""
    if not asked:
        return {}
    found: dict[Identity, Place] = {}
    for file in closed.files_with(ProducerStamp(PRODUCER, *each) for each in asked):
        try:
            found |= _select(file.select, asked, file.shard_id, str(file.path))
        except FileNotFoundError:
            continue
    here = _select(lambda q, v: connection.execute(q, v).fetchall(), asked, shard_id, file_of(connection))
    return here | found


def remember(connection: sqlite3.Connection, places: Mapping[Identity, Place]) -> None:
    """Write into the open file where its new ones stand."""
    connection.executemany(
        "INSERT INTO dedupe VALUES (?, ?, ?, ?)",
        [(PRODUCER, *each, _sealed(each, offset)) for each, (_, offset) in places.items()],
    )


def _sealed(identity: Identity, offset: int) -> bytes:
    at = offset.to_bytes(8, "little")
    return _KIND + _checksum(identity, at).to_bytes(4, "little") + at


def _checksum(identity: Identity, at: bytes) -> int:
    return zlib.crc32(at, zlib.crc32(identity[0].to_bytes(8, "little") + identity[1].to_bytes(8, "little")))


def _select(run: Run, asked: Sequence[Identity], shard_id: str, path: str) -> dict[Identity, Place]:
    found: dict[Identity, Place] = {}
    for start in range(0, len(asked), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        keys = ", ".join(["(?, ?)"] * len(part))
        values: tuple[Any, ...] = tuple(number for each in part for number in each)
        rows = run(
            f"WITH asked (e, n) AS (VALUES {keys}) SELECT e, asked.n, lines FROM asked JOIN dedupe "
            f"ON producer = '{PRODUCER}' AND producer_epoch = e AND dedupe.n = asked.n",
            values,
        )
        found |= {(e, n): (shard_id, _offset((e, n), blob, path)) for e, n, blob in rows}
    return found


def _offset(identity: Identity, blob: object, path: str) -> int:
    if not isinstance(blob, bytes) or blob != _sealed(identity, int.from_bytes(blob[5:], "little") & _MASK):
        raise Corrupt(path, "what is remembered of the identity of a record is damaged")
    return int.from_bytes(blob[5:], "little")
