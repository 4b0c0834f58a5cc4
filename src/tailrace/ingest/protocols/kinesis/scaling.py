"""UpdateShardCount: splits and merges until so many open shards divide the hash keys evenly.

Each step is one split or merge of the stream, so that a node that dies in between leaves a stream that is whole, with some of the
steps done; the same call then does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tailrace.model.shard import HASH_KEYS, Shard
from tailrace.stream.base import StreamBackend


def scale(stream: StreamBackend, target: int) -> None:
    """Split at every boundary that is wanted and not there, merge over every one that is there and not wanted."""
    wanted = [HASH_KEYS // target * n for n in range(1, target)]
    for at in wanted:
        shard = next(s for s in _open(stream) if s.hash_first <= at <= s.hash_last)
        if shard.hash_first != at:
            stream.split(shard.id, at)
    while (pair := _to_merge(_open(stream), set(wanted))) is not None:
        stream.merge(pair[0].id, pair[1].id)


def _open(stream: StreamBackend) -> list[Shard]:
    return sorted((s for s in stream.shards() if not s.closed), key=lambda s: s.hash_first)


def _to_merge(shards: Sequence[Shard], wanted: set[int]) -> tuple[Shard, Shard] | None:
    """The first two neighbours between which there should be no boundary."""
    return next(((a, b) for a, b in pairwise(shards) if b.hash_first not in wanted), None)
