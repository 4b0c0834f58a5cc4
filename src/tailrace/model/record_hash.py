"""A hash of records that does not depend on their order, on how they are cut up, or on how Arrow encodes them.

The stream keeps it of what it was given, batch computes it again of what it reads back from the lake, and the ledger compares the
two. All of it is arithmetic modulo 2**64 on numpy arrays that is written here, so it stays the same with other libraries.

    records   the sum, over the good records of a shard's epoch, of mixed(values + offset * odd + START)
    values    of one row: the sum over its columns; a null adds nothing
    column    spread(code) * odd(name): the code of a number is the number, of a decimal its unscaled number
    text      code: length * odd + the sum of spread(word) * odd(place) over its 8-byte words; what follows the first 64 bytes is
              added in the same way, each time to the mixed code; of a text over 1024 bytes, BLAKE2b of 8 bytes instead

`spread`, `mixed` and odd factors are one-to-one: one changed number, or text in one word, always changes its row's values. The
offset is in it, so a value that moves to another row is seen. It finds faults; it does not withstand somebody who means to deceive.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

_CHUNK = 64
"""Bytes of a text that are taken at once."""
_VECTOR_BYTES_MAX = 1024
_ROWS_AT_ONCE = 32_768
"""Rows whose codes are worked on together: more do not stay in the processor's cache."""
_WORDS = _CHUNK // 8
_NONE, _UNKNOWN = 0, -1
_U = np.uint64


@dataclass(frozen=True, slots=True)
class RecordHash:
    """Of any number of records. `sum`: 0 to 2**64 - 1. `columns`: which columns it is made of (`columns_id`).

    Hashes of the same columns add up; where they differ, or one is unknown, the sum is unknown. Equal means equal records; two that
    are not `comparable` say nothing about each other.
    """

    sum: int = 0
    columns: int = _NONE

    def __add__(self, other: RecordHash) -> RecordHash:
        if self.columns == _NONE:
            return other
        if other.columns == _NONE:
            return self
        if self.columns != other.columns or self.columns == _UNKNOWN:
            return UNKNOWN
        return RecordHash((self.sum + other.sum) % (1 << 64), self.columns)

    @property
    def known(self) -> bool:
        return self.columns != _UNKNOWN

    def comparable(self, other: RecordHash) -> bool:
        """Whether both are of the same columns. One of no records compares with any that is known."""
        known = self.known and other.known
        return known and (self.columns == other.columns or _NONE in (self.columns, other.columns))


NO_RECORDS = RecordHash()
UNKNOWN = RecordHash(0, _UNKNOWN)


@lru_cache(maxsize=4096)
def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def _odd(word: str) -> Any:
    return _U(_number(word) | 1)


_PLACES = np.array([_number(f"place {n}") | 1 for n in range(_WORDS)], _U)
_LENGTH = _odd("length")
_OFFSET, _START = _odd("offset"), _odd("start")
_MASKS = [
    np.where(np.arange(8 * words) < np.arange(8 * words + 1)[:, None], 255, 0).astype(np.uint8).view(_U)
    for words in range(1, _WORDS + 1)
]
"""By the number of words (less one), then by length: which bits of the words are the text's."""
_S32, _S29 = _U(32), _U(29)
_NULL = _U(_number("null"))
"""The code of a null: what it adds to a row is 0. No number that logs hold."""
_M1, _M2 = _odd("first"), _odd("second")


@lru_cache(maxsize=256)
def columns_id(schema: pa.Schema) -> int:
    """Of the names and types of columns in any order; text may be dictionary-encoded. From 1 to 2**63 - 1."""
    said = sorted(f"{field.name}:{_kind(_plain(field.type))}" for field in schema)
    return (_number("\n".join(said)) >> 1) or 1


def values(columns: pa.Table) -> Any:
    """The hash of each row's values (numpy uint64), whatever the order, the chunks and the encoding of the columns.

    Raises ValueError for a type that no record has.
    """
    found = [_batch_values(batch) for batch in columns.to_batches(max_chunksize=_ROWS_AT_ONCE)]
    return found[0] if len(found) == 1 else np.concatenate([np.empty(0, _U), *found])


def _batch_values(batch: pa.RecordBatch) -> Any:
    """All columns side by side: few numpy calls, as each costs a microsecond and may have to wait for other threads."""
    kept = [(n, c) for n, c in zip(batch.schema.names, batch.columns, strict=True) if c.null_count < len(c)]
    if not kept:
        return np.zeros(batch.num_rows, _U)
    codes = np.empty((len(kept), batch.num_rows), _U)
    encoded = []
    for into, (_, column) in zip(codes, kept, strict=True):
        if pa.types.is_dictionary(column.type):
            encoded.append((into, column))
        else:
            into[:] = _codes(column)
    if encoded:
        _look_up(encoded)
    codes ^= _NULL
    codes ^= codes >> _S32
    codes *= _factors(tuple(name for name, _ in kept))
    return np.add.reduce(codes, axis=0)


@lru_cache(maxsize=256)
def _factors(names: tuple[str, ...]) -> Any:
    return np.array([[_number(f"column {name}") | 1] for name in names], _U)


def _look_up(encoded: list[tuple[Any, pa.DictionaryArray]]) -> None:
    """The codes of dictionary-encoded columns, each into its numpy array. Their few texts are worked out together."""
    known = _codes(pa.concat_arrays([column.dictionary for _, column in encoded]))
    start = 0
    for into, column in encoded:
        size = len(column.dictionary)
        own = np.append(known[start : start + size], _NULL)
        own.take(_indices(column), out=into, mode="clip")
        start += size


def placed(rows: Any, offsets: Any) -> Any:
    """The hash of each record: `rows` from `values`, `offsets` int64. Changes nothing."""
    found = offsets.astype(_U)
    found *= _OFFSET
    found += _START
    found += rows
    return _mixed(found)


def total(rows: Any, offsets: Any) -> int:
    """The sum of the records' hashes, 0 to 2**64 - 1."""
    return int(np.add.reduce(placed(rows, offsets)))


def _indices(chunk: pa.DictionaryArray) -> Any:
    """Of each row, in the dictionary; a null's is the one after its end."""
    indices = chunk.indices
    if indices.null_count:
        indices = indices.cast(pa.int64()).fill_null(len(chunk.dictionary))
    return indices.to_numpy()


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _kind(kind: pa.DataType) -> str:
    """A type's name, as `columns_id` has it. Raises ValueError for one that no record has."""
    if pa.types.is_string(kind):
        return "text"
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return "timestamp"
    if pa.types.is_int32(kind):
        return "integer"
    if pa.types.is_decimal128(kind) and kind.precision <= 18:
        return f"decimal {kind.scale}"
    raise ValueError(f"no record has a column of type `{kind}`")


def _codes(chunk: pa.Array) -> Any:
    """A number for each value of a plain array (uint64)."""
    codes = _value_codes(chunk)
    if chunk.null_count:
        codes = np.where(chunk.is_valid().to_numpy(zero_copy_only=False), codes, _NULL)
    return codes


def _value_codes(chunk: pa.Array) -> Any:
    """The same, and any number for a null."""
    kind = _kind(chunk.type)
    if kind == "text":
        return _text_codes(chunk)
    values = chunk.buffers()[1]
    rows = slice(chunk.offset, chunk.offset + len(chunk))
    if kind == "integer":
        return np.frombuffer(values, np.int32)[rows].astype(np.int64).view(_U)
    if kind == "timestamp":
        return np.frombuffer(values, _U)[rows]
    # A number of 18 digits fits the lower word; the upper one repeats its sign.
    return np.frombuffer(values, _U)[: 2 * rows.stop].reshape(-1, 2)[rows, 0]


def _text_codes(chunk: pa.StringArray) -> Any:
    _, ends, data = chunk.buffers()
    ends = np.frombuffer(ends, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    first, last = int(ends[0]), int(ends[-1])
    starts = ends[:-1] - first
    lengths = ends[1:] - ends[:-1]
    codes = lengths.astype(_U)
    codes *= _LENGTH
    if first == last:
        return codes
    held = np.frombuffer(data, np.uint8)[first:last]
    longest = int(np.maximum.reduce(lengths))
    if longest <= _CHUNK:
        codes += _chunk_codes(held, starts, lengths, longest)
    else:
        _add_long(codes, held, starts, lengths)
    return codes


def _add_long(codes: Any, data: Any, starts: Any, lengths: Any) -> None:
    """Add the text to the codes of its length, 64 bytes of all that have so many left at a time."""
    huge = np.flatnonzero(lengths > _VECTOR_BYTES_MAX)
    ends = starts + lengths
    digests = [hashlib.blake2b(data[starts[row] : ends[row]], digest_size=8).digest() for row in huge.tolist()]
    codes[huge] += np.frombuffer(b"".join(digests), "<u8")
    rows = np.flatnonzero(lengths <= _VECTOR_BYTES_MAX)
    done = 0
    while len(rows):
        found = codes[rows]
        if done:
            found = _mixed(found)
        found += _chunk_codes(data, starts[rows] + done, np.minimum(lengths[rows] - done, _CHUNK), _CHUNK)
        codes[rows] = found
        done += _CHUNK
        rows = rows[lengths[rows] > done]


def _chunk_codes(data: Any, starts: Any, lengths: Any, longest: int) -> Any:
    """Of `lengths` bytes of `data` from `starts` on, at most `longest` (up to 64) each."""
    width = -(-longest // 8) * 8
    if len(data) == width * len(starts) and int(np.minimum.reduce(lengths)) == width:
        words = data.view(_U).reshape(len(starts), width // 8).copy()
    else:
        padded = np.zeros(len(data) + width, np.uint8)
        padded[: len(data)] = data
        # Every place of the text as the beginning of `width` bytes: taking of them copies those of each row, side by side.
        windows = np.ndarray((len(data) + 1,), f"V{width}", padded, strides=(1,))
        words = windows[starts].view(_U).reshape(len(starts), width // 8)
        words &= _MASKS[width // 8 - 1].take(lengths, axis=0)
    words ^= words >> _S32
    return words @ _PLACES[: width // 8]


def _mixed(found: Any) -> Any:
    """In place: every bit of the result depends on every bit of it, and no two give the same."""
    found ^= found >> _S32
    found *= _M1
    found ^= found >> _S29
    found *= _M2
    found ^= found >> _S32
    return found
