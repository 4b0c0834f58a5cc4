"""Shards of a stream, as Kinesis has them: an MD5 hash-key range, an id, parents after a split or merge."""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import dataclass
from functools import lru_cache

HASH_KEYS = 1 << 128


@dataclass(frozen=True, slots=True)
class Shard:
    """`hash_first`..`hash_last` (inclusive) of the 128-bit MD5 space; `created_s` is Unix time in seconds.

    `parents`: whose records of this range came before its own: one after a split, two after a merge, in the order of Kinesis's
    ParentShardId and AdjacentParentShardId. `first_epoch`: the number of its first epoch. `last_epoch`: that of its last, once it is
    closed: nothing is ever appended to a closed shard.
    """

    index: int
    hash_first: int
    hash_last: int
    created_s: int
    parents: tuple[str, ...] = ()
    closed: bool = False
    first_epoch: int = 1
    last_epoch: int | None = None

    @property
    def id(self) -> str:
        return shard_id(self.index)

    @property
    def hash_keys(self) -> int:
        """How many hash keys are in its range."""
        return self.hash_last - self.hash_first + 1

    def ends_at(self, epoch: int) -> bool:
        """Whether `epoch` is its last and no other can follow; for a closed shard without records, the one before its first."""
        return self.last_epoch is not None and epoch >= self.last_epoch


def shard_id(index: int) -> str:
    """AWS's form, e.g. `shardId-000000000003`."""
    return f"shardId-{index:012d}"


def shard_index(shard: str) -> int:
    """The number in a shard id."""
    prefix, _, digits = shard.partition("-")
    if prefix != "shardId" or not (digits.isascii() and digits.isdigit()):
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
