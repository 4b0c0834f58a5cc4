"""Divide a post among shards by MD5 of the partition key, as Kinesis does.

Called by ingest once a post. Pure. A key is hashed once however many lines carry it; a line without a key is its own key.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.fields import KEY
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
    *,
    hash_keys: Mapping[int, int] | None = None,
    ids: pa.Array | None = None,
) -> list[ShardBatch]:
    """One batch for each shard that gets lines, by shard index; the order of lines within a shard is kept.

    `columns` (block schema), `raw` (RAW_SCHEMA), `keys` (binary or utf8, plain or dictionary, chunked or not; null: the raw
    line is the key), `lines` (line numbers in the post, ascending) and `ids` (see ShardBatch) have one entry a line. `hash_keys`: rows
    whose hash key is given, and not that of their partition key. Where one shard gets all of it, nothing is copied.
    """
    open_shards = sorted((s for s in shards if not s.closed), key=lambda s: s.hash_first)
    if columns.num_rows == 0:
        return []
    encoded = _one_dictionary(keys)
    keyed = _keyed(raw, encoded)
    if len(open_shards) == 1:
        return [ShardBatch(open_shards[0].id, columns, keyed, lines, producer, ids)]
    slots = _slots(encoded, raw.column("raw"), [s.hash_first for s in open_shards], hash_keys or {})
    if bool((slots == slots[0]).all()):
        return [ShardBatch(open_shards[int(slots[0])].id, columns, keyed, lines, producer, ids)]
    return _scatter(compact(columns), keyed, slots, open_shards, lines, producer, ids)


def _keyed(raw: pa.Table, keys: pa.DictionaryArray) -> pa.Table:
    """`raw` with the keys beside it: as a dictionary where they repeat, and then with the narrowest index."""
    known = keys.dictionary.cast(pa.binary())
    if 2 * len(known) > len(keys):
        column = pa.DictionaryArray.from_arrays(keys.indices, known).dictionary_decode()
    else:
        index = pa.int8() if len(known) < 128 else pa.int16() if len(known) < 32768 else keys.indices.type
        column = pa.DictionaryArray.from_arrays(keys.indices.cast(index), known)
    return raw.select(["raw", "reason"]).append_column(KEY, column)


def _scatter(
    columns: pa.Table,
    raw: pa.Table,
    slots: Any,
    shards: Sequence[Shard],
    lines: Sequence[int],
    producer: ProducerStamp | None,
    ids: pa.Array | None,
) -> list[ShardBatch]:
    """One gather in shard order, then slices of it: each row is copied once, whatever the number of shards."""
    order = np.argsort(slots, kind="stable")
    columns, raw = (pc.take(table, pa.array(order), boundscheck=False) for table in (columns, raw))
    numbers = as_numbers(lines)[order]
    ids = None if ids is None else ids.take(pa.array(order))
    batches = []
    first = 0
    for slot, count in enumerate(np.bincount(slots, minlength=len(shards)).tolist()):
        if count:
            rows = slice(first, first + count)
            batches.append(
                ShardBatch(
                    shards[slot].id,
                    columns.slice(first, count),
                    raw.slice(first, count),
                    numbers[rows],
                    producer,
                    None if ids is None else ids.slice(first, count),
                )
            )
        first += count
    return sorted(batches, key=lambda b: b.shard_id)


def _slots(encoded: pa.DictionaryArray, raw: pa.ChunkedArray, bounds: list[int], hash_keys: Mapping[int, int]) -> Any:
    """The position in `bounds` (first hash keys of shards, ascending) of each line's shard: numpy array."""
    known = encoded.dictionary.cast(pa.binary()).to_pylist()
    hashed = hash_key if len(known) <= _CACHED_KEYS_MAX else _md5
    # 16 bits at most: numpy sorts those by counting.
    owner = np.array([_owner(bounds, hashed(key)) for key in known] or [0], dtype=np.min_scalar_type(len(bounds)))
    slots = owner[encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)]
    if encoded.null_count:
        missing = np.flatnonzero(encoded.is_null().to_numpy(zero_copy_only=False))
        slots[missing] = [_owner(bounds, _md5(line)) for line in raw.take(missing).to_pylist()]
    if hash_keys:
        slots[list(hash_keys)] = [_owner(bounds, hashed) for hashed in hash_keys.values()]
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
