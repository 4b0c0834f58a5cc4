"""Divide a post among shards by MD5 of the partition key, as Kinesis does.

Called by ingest once a post. Pure. A key is hashed once however many lines carry it; a line without a key is its own key.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.shard import Shard, hash_key
from tailrace.stream.base import ProducerStamp, ShardBatch
from tailrace.stream.checks import as_numbers
from tailrace.stream.codec import compact

_CACHED_KEYS_MAX = 4096
"""Posts with more distinct keys than this would only wash the cache of hashes out."""


def split(
    columns: pa.Table,
    raw: pa.Table,
    keys: pa.Array,
    shards: Sequence[Shard],
    lines: Sequence[int],
    producer: ProducerStamp | None = None,
) -> list[ShardBatch]:
    """One batch for each shard that gets lines, by shard index; the order of lines within a shard is kept.

    `columns` (block schema), `raw` (RAW_SCHEMA), `keys` (binary or utf8, plain or dictionary, chunked or not; null: the raw
    line is the key) and `lines` (line numbers in the post, ascending) have one entry a line. Where one shard gets all of it,
    nothing is copied.
    """
    open_shards = sorted((s for s in shards if not s.closed), key=lambda s: s.hash_first)
    if columns.num_rows == 0:
        return []
    if len(open_shards) == 1:
        return [ShardBatch(open_shards[0].id, columns, raw, lines, producer)]
    slots = _slots(keys, raw.column("raw"), [s.hash_first for s in open_shards])
    if bool((slots == slots[0]).all()):
        return [ShardBatch(open_shards[int(slots[0])].id, columns, raw, lines, producer)]
    return _scatter(compact(columns), raw, slots, open_shards, lines, producer)


def _scatter(
    columns: pa.Table,
    raw: pa.Table,
    slots: Any,
    shards: Sequence[Shard],
    lines: Sequence[int],
    producer: ProducerStamp | None,
) -> list[ShardBatch]:
    """One gather in shard order, then slices of it: each row is copied once, whatever the number of shards."""
    order = np.argsort(slots, kind="stable")
    columns, raw = (pc.take(table, pa.array(order), boundscheck=False) for table in (columns, raw))
    numbers = as_numbers(lines)[order]
    batches = []
    first = 0
    for slot, count in enumerate(np.bincount(slots, minlength=len(shards)).tolist()):
        if count:
            rows = slice(first, first + count)
            batches.append(
                ShardBatch(
                    shards[slot].id, columns.slice(first, count), raw.slice(first, count), numbers[rows], producer
                )
            )
        first += count
    return sorted(batches, key=lambda b: b.shard_id)


def _slots(keys: pa.Array, raw: pa.ChunkedArray, bounds: list[int]) -> Any:
    """The position in `bounds` (first hash keys of shards, ascending) of each line's shard: numpy array."""
    encoded = _one_dictionary(keys)
    known = encoded.dictionary.cast(pa.binary()).to_pylist()
    hashed = hash_key if len(known) <= _CACHED_KEYS_MAX else _md5
    # 16 bits at most: numpy sorts those by counting.
    owner = np.array([_owner(bounds, hashed(key)) for key in known] or [0], dtype=np.min_scalar_type(len(bounds)))
    slots = owner[encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)]
    if encoded.null_count:
        missing = np.flatnonzero(encoded.is_null().to_numpy(zero_copy_only=False))
        slots[missing] = [_owner(bounds, _md5(line)) for line in raw.take(missing).to_pylist()]
    return slots


def _one_dictionary(keys: pa.Array) -> pa.DictionaryArray:
    """`keys` as one dictionary array, whatever shape it came in."""
    if isinstance(keys, pa.ChunkedArray):
        keys = pa.concat_arrays(keys.unify_dictionaries().chunks) if keys.num_chunks else pa.array([], keys.type)
    if isinstance(keys, pa.DictionaryArray):
        if not keys.dictionary.null_count:
            return keys
        keys = keys.dictionary_decode()
    return keys.dictionary_encode()


def _owner(bounds: list[int], hashed: int) -> int:
    return bisect.bisect_right(bounds, hashed) - 1


def _md5(key: bytes) -> int:
    return int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest(), "big")
