"""Shards of a stream, as Kinesis has them: an MD5 hash-key range, an id, parents after a split or merge."""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import dataclass
from functools import lru_cache

HASH_KEYS = 1 << 128


@dataclass(frozen=True, slots=True)
class Shard:
    """`hash_first`..`hash_last` (inclusive) of the 128-bit MD5 space; `created_s` is Unix time in seconds."""

    index: int
    hash_first: int
    hash_last: int
    created_s: int
    parents: tuple[str, ...] = ()
    closed: bool = False

    @property
    def id(self) -> str:
        return shard_id(self.index)


def shard_id(index: int) -> str:
    """AWS's form, e.g. `shardId-000000000003`."""
    return f"shardId-{index:012d}"


def shard_index(shard: str) -> int:
    """The number in a shard id."""
    prefix, _, digits = shard.partition("-")
    if prefix != "shardId" or not digits.isdigit():
        raise ValueError(f"`{shard}` is not a shard id")
    return int(digits)


def even_shards(count: int, created_s: int) -> tuple[Shard, ...]:
    """`count` shards that divide the hash space evenly, as CreateStream does."""
    width = HASH_KEYS // count
    return tuple(
        Shard(i, i * width, HASH_KEYS - 1 if i == count - 1 else (i + 1) * width - 1, created_s) for i in range(count)
    )


@lru_cache(maxsize=65536)
def hash_key(partition_key: bytes) -> int:
    """The 128-bit key that decides the shard. Source: Kinesis `PutRecord`, MD5 of the partition key."""
    return int.from_bytes(hashlib.md5(partition_key, usedforsecurity=False).digest(), "big")


def route(shards: tuple[Shard, ...], partition_key: bytes) -> int:
    """Position in `shards` (open ones, sorted by `hash_first`) of the shard that owns the key."""
    return bisect.bisect_right([s.hash_first for s in shards], hash_key(partition_key)) - 1
