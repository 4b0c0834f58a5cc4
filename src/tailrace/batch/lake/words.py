"""Which words a row group holds: a Bloom filter beside each, inside the Parquet file, so that a search can leave the group out.

A word is a longest run of ASCII letters, digits, `_` and bytes beyond ASCII; letters are taken as lower case. All words of the text
columns (fields and `extra`), and the values of whole-number fields, are in the filter. It may only say "not here" where that is so:
a group with one of the two characters that become ASCII when made lower case (U+0130, U+212A) has no filter.

Layout, version 1: the bits of a group, little-endian within a byte, stand right after its pages; the footer's key `tailrace.words` is
JSON, {"version": 1, "groups": [[offset, log2 of bits] or null, ...]}. A word sets two bits, taken from the halves of a 64-bit hash.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tailrace.model.fields import LAKE_COLUMNS

KEY = "tailrace.words"
VERSION = 1
ROWS_MIN = 65_536
"""Groups with fewer rows are read rather than asked about; they are merged soon."""
_LOG2_MAX, _LOG2_MIN = 22, 10
_FILL_MAX = 0.25
"""Share of bits that may be set: two bits then lie one time in sixteen, at most."""
_WORD_BYTES_MAX = 64
"""Of a longer word, so many bytes and its length count."""
_NOT_FIELDS = frozenset(name for name, _ in LAKE_COLUMNS)
_BECOME_ASCII = ("\u0130".encode(), "\u212a".encode())
_MULTIPLIERS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93,
     0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3], np.uint64
)  # fmt: skip
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)

_Bools = npt.NDArray[np.bool_]
_Hashes = npt.NDArray[np.uint64]


def _lowered() -> bytes:
    """Byte -> the byte it counts as; 0 for one that parts words."""
    table = bytearray(256)
    for byte in (*b"0123456789_abcdefghijklmnopqrstuvwxyz", *range(0x80, 0x100)):
        table[byte] = byte
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        table[byte] = byte + 32
    return bytes(table)


_LOWERED = _lowered()


@dataclass(frozen=True, slots=True)
class GroupWords:
    """Where a row group's filter is in its file."""

    offset: int
    log2_bits: int


class _Footer(msgspec.Struct):
    version: int
    groups: list[tuple[int, int] | None]


# -- hashes of words -----------------------------------------------------------------------------------------------------


def word_hashes(data: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64]) -> _Hashes:
    """One for each word in the values that `bounds` part; a word that occurs again is there again."""
    padded = data.tobytes().translate(_LOWERED) + bytes(_WORD_BYTES_MAX + 8)
    lowered = np.frombuffer(padded, np.uint8)
    alike = _alike_hashes(lowered[: len(data)], bounds)
    if alike is not None:
        return alike
    starts, ends = _word_bounds(lowered[: len(data)], bounds)
    lengths = ends - starts
    # Eight bytes from any place on.
    eight: npt.NDArray[np.uint64] = np.ndarray((len(lowered) - 7,), "<u8", lowered, strides=(1,))
    hashes: _Hashes = (eight[starts] & _MASKS[np.minimum(lengths, 8)]) * _MULTIPLIERS[0]
    longest = min(int(lengths.max(initial=0)), _WORD_BYTES_MAX)
    for step in range(1, (longest + 7) // 8):
        long = np.flatnonzero(lengths > 8 * step)
        part = eight[starts[long] + 8 * step] & _MASKS[np.minimum(lengths[long] - 8 * step, 8)]
        hashes[long] = (hashes[long] ^ (hashes[long] >> np.uint64(31)) ^ part) * _MULTIPLIERS[step]
    return _mixed(hashes, lengths.astype(np.uint64))


def _mixed(hashes: _Hashes, lengths: _Hashes | np.uint64) -> _Hashes:
    hashes ^= lengths << np.uint64(48)
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MULTIPLIERS[1]
    hashes ^= hashes >> np.uint64(29)
    return hashes


def _alike_hashes(lowered: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64]) -> _Hashes | None:
    """Where each value is one word and all are as long as the first, 8, 16, ... 64 bytes, such as ids; else None."""
    length = int(bounds[1]) if len(bounds) > 1 else 0
    rows = len(bounds) - 1
    if not 0 < length <= _WORD_BYTES_MAX or length % 8 or len(lowered) != rows * length:
        return None
    if not (np.diff(bounds) == length).all() or not lowered.all():
        return None
    eight = lowered.view("<u8").reshape(rows, length // 8)
    hashes: _Hashes = eight[:, 0] * _MULTIPLIERS[0]
    for step in range(1, length // 8):
        hashes = (hashes ^ (hashes >> np.uint64(31)) ^ eight[:, step]) * _MULTIPLIERS[step]
    return _mixed(hashes, np.uint64(length))


def _word_bounds(
    lowered: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    size = len(lowered)
    inside = np.zeros(size + 2, np.bool_)
    np.not_equal(lowered, 0, out=inside[1:-1])
    parted = np.zeros(size + 1, np.bool_)
    parted[bounds] = True
    before = ~inside[:-1]
    before |= parted
    after = ~inside[1:]
    after |= parted
    starts = np.flatnonzero(inside[1:-1] & before[:-1])
    ends = np.flatnonzero(inside[1:-1] & after[1:]) + 1
    return starts, ends


def hashes_of(words: Iterable[str]) -> _Hashes:
    """Of words of ASCII, one each, in their order."""
    each = [word.encode() for word in words]
    data = np.frombuffer(b"".join(each), np.uint8)
    return word_hashes(data, np.cumsum([0, *map(len, each)]))


# -- making filters ------------------------------------------------------------------------------------------------------


def group_filter(group: pa.Table) -> tuple[bytes, int] | None:
    """The filter of a row group's words and log2 of its bits; None where it is to have none."""
    if group.num_rows < ROWS_MIN:
        return None
    found: list[_Hashes] = []
    for name in group.column_names:
        for chunk in () if name in _NOT_FIELDS else group.column(name).chunks:
            hashes = _column_hashes(chunk)
            if hashes is None:
                return None
            found.append(hashes)
    log2_bits = min(max(8 * sum(map(len, found)), 1 << _LOG2_MIN).bit_length(), _LOG2_MAX)
    bits = np.zeros(1 << log2_bits, np.bool_)
    for hashes in found:
        for place in _places(hashes, log2_bits):
            bits[place] = True
    bits = _folded(bits)
    return np.packbits(bits, bitorder="little").tobytes(), len(bits).bit_length() - 1


def _column_hashes(column: pa.Array) -> _Hashes | None:
    """None for text whose words cannot be told by their bytes; no hashes for a column that free text is not looked for in."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary
    elif pa.types.is_int32(column.type):
        column = column.unique().cast(pa.string())
    if not pa.types.is_string(column.type):
        return np.zeros(0, np.uint64)
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return np.zeros(0, np.uint64)
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    text = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    if len(text) and int(text.max()) >= 0x80:
        held = text.tobytes()
        if any(odd in held for odd in _BECOME_ASCII):
            return None
    return word_hashes(text, bounds - bounds[0])


def _places(hashes: _Hashes, log2_bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    mask = np.uint64((1 << log2_bits) - 1)
    return (hashes & mask).view(np.int64), ((hashes >> np.uint64(32)) & mask).view(np.int64)


def _folded(bits: _Bools) -> _Bools:
    """Halved as long as few enough bits are set: a place of half as many bits is the same place without its highest bit."""
    while len(bits) > 1 << _LOG2_MIN:
        half = bits[: len(bits) // 2] | bits[len(bits) // 2 :]
        if np.count_nonzero(half) > _FILL_MAX * len(half):
            break
        bits = half
    return bits


def footer_value(groups: Sequence[GroupWords | None]) -> str:
    """What the footer says under `KEY`."""
    return msgspec.json.encode(_Footer(VERSION, [(g.offset, g.log2_bits) if g else None for g in groups])).decode()


# -- asking them ---------------------------------------------------------------------------------------------------------


def read_footer(metadata: pa.parquet.FileMetaData) -> list[GroupWords | None]:
    """Of each row group, where its filter is; None for one that has none, as in files of before there were filters."""
    none: list[GroupWords | None] = [None] * metadata.num_row_groups
    said = (metadata.metadata or {}).get(KEY.encode())
    if said is None:
        return none
    try:
        footer = msgspec.json.decode(said, type=_Footer)
    except msgspec.MsgspecError:
        return none
    if footer.version != VERSION or len(footer.groups) != metadata.num_row_groups:
        return none
    return [GroupWords(*group) if group else None for group in footer.groups]


def holds(descriptor: int, group: GroupWords, hashes: _Hashes) -> list[bool]:
    """Of each hash, whether its word may be in the group. `descriptor`: of the open file."""
    first, second = _places(hashes, group.log2_bits)
    return [
        all(os.pread(descriptor, 1, group.offset + (place >> 3))[0] >> (place & 7) & 1 for place in pair)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
