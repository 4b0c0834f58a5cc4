"""The rows that records become: one each, and for a record that the producer library has packed, one for each inside.

A sub-record whose own hash key lies outside the shard that the outer key chose is left out, as the Kinesis Client Library does: the
producer sends such ones again after a split. A packed record of which nothing stays is kept as the bytes that it is. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tailrace.ingest.protocols.kinesis.kpl import MAGIC, SubRecord, sub_records
from tailrace.model.shard import Shard, hash_key


class _Put(Protocol):
    @property
    def data(self) -> list[bytes]: ...
    @property
    def keys(self) -> list[str]: ...
    @property
    def hash_keys(self) -> Mapping[int, int]: ...


@dataclass(frozen=True, slots=True)
class Rows:
    """`hash_keys`: of the rows that have one of their own. `last`: for each record the last of its rows; None: record n is row n.

    `dropped`: sub-records that were left out.
    """

    data: list[bytes]
    keys: list[str]
    hash_keys: dict[int, int]
    last: npt.NDArray[np.int64] | None
    dropped: int = 0


def unpacked(puts: Sequence[_Put], shards: Sequence[Shard]) -> Rows:
    """`shards`: all of now."""
    data: list[bytes] = []
    keys: list[str] = []
    hashes: dict[int, int] = {}
    for put in puts:
        hashes |= {len(data) + row: hashed for row, hashed in put.hash_keys.items()}
        data += put.data
        keys += put.keys
    if MAGIC not in {each[: len(MAGIC)] for each in data}:
        return Rows(data, keys, hashes, None)
    return _taken_apart(Rows(data, keys, hashes, None), shards)


def _taken_apart(rows: Rows, shards: Sequence[Shard]) -> Rows:
    data: list[bytes] = []
    keys: list[str] = []
    hashes: dict[int, int] = {}
    last: list[int] = []
    dropped = 0
    for number, (body, key) in enumerate(zip(rows.data, rows.keys, strict=True)):
        outer = rows.hash_keys.get(number)
        inside = sub_records(body) or []
        staying = _within(inside, hash_key(key.encode()) if outer is None else outer, shards)
        dropped += len(inside) - len(staying)
        for each in staying or [SubRecord(body, key, outer)]:
            if each.hash_key is not None:
                hashes[len(data)] = each.hash_key
            data.append(each.data)
            keys.append(each.key)
        last.append(len(data) - 1)
    return Rows(data, keys, hashes, np.array(last, np.int64), dropped)


def _within(inside: Sequence[SubRecord], outer: int, shards: Sequence[Shard]) -> list[SubRecord]:
    """Those that belong to the open shard of the hash key `outer`."""
    shard = next((s for s in shards if not s.closed and s.hash_first <= outer <= s.hash_last), None)
    if shard is None:
        return list(inside)
    return [
        each
        for each in inside
        if shard.hash_first
        <= (hash_key(each.key.encode()) if each.hash_key is None else each.hash_key)
        <= shard.hash_last
    ]
