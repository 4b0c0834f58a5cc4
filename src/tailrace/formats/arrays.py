"""Arrow arrays straight from numpy: text gathered out of a buffer, fixed-point numbers, instants, JSON members.

Called by the formats and by `columns`. Nothing here knows a field or a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.fields import TIMESTAMP_TYPE


def gather(buffer: Any, start: Any, end: Any, absent: Any, kind: pa.DataType) -> pa.Array:
    """The texts at `start`..`end` (null where the mask `absent`) as a string or binary array.

    One Arrow array is laid over the buffer whose even entries are the texts and whose odd ones are the gaps between them;
    taking the even ones copies each text once.
    """
    count = len(start)
    if absent.all():
        return pa.nulls(count, kind)
    some_absent = bool(absent.any())
    if some_absent:
        present = np.flatnonzero(~absent)
        start, end = start[present], end[present]
    order = None
    if not bool((start[1:] >= end[:-1]).all()):
        order = np.lexsort((end, start))  # an empty text comes before the one that begins where it does
        start, end = start[order], end[order]
    offsets = np.empty(2 * len(start), np.int32)
    offsets[0::2], offsets[1::2] = start, end
    over = pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(buffer)])
    at = np.arange(0, len(offsets), 2, dtype=np.int32)
    if order is not None:
        at[order] = at.copy()
    if not some_absent:
        return over.take(pa.array(at))
    spread = np.zeros(count, np.int32)
    spread[present] = at
    return over.take(pa.array(spread, mask=absent))


def _validity(good: Any) -> Any:
    return None if good.all() else pa.py_buffer(np.packbits(good, bitorder="little"))


def decimals(units: Any, good: Any, kind: pa.DataType) -> pa.Array:
    """decimal128 of `kind`'s scale from integers in its unit; null where not `good`."""
    words = np.empty((len(units), 2), np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    return pa.Array.from_buffers(kind, len(units), [_validity(good), pa.py_buffer(words)])


def integers(values: Any, good: Any) -> pa.Array:
    return pa.array(np.where(good, values, 0).astype(np.int32), mask=None if good.all() else ~good)


def stamps(micros: Any, good: Any) -> pa.Array:
    return pa.Array.from_buffers(TIMESTAMP_TYPE, len(micros), [_validity(good), pa.py_buffer(micros)])


def json_strings(texts: pa.Array) -> pa.Array:
    """Each text (string array without offset) as a JSON string; null stays null."""
    quoted = pc.binary_join_element_wise('"', texts, '"', "")
    rows = _unsafe_rows(texts)
    if not len(rows):
        return quoted
    encoded = [None if text is None else json_text(text) for text in texts.take(pa.array(rows)).to_pylist()]
    return replaced(quoted, rows, pa.array(encoded, pa.string()))


def _unsafe_rows(texts: pa.Array) -> Any:
    """Indices of the texts that hold a byte which JSON wants escaped."""
    _, offsets, data = texts.buffers()
    if data is None:
        return np.zeros(0, np.int64)
    text = np.frombuffer(data, np.uint8)
    unsafe = np.flatnonzero((text < 0x20) | (text == 0x22) | (text == 0x5C))
    starts = np.frombuffer(offsets, np.int32)[: len(texts) + 1]
    rows = np.unique(np.searchsorted(starts, unsafe, side="right") - 1)
    return rows[rows < len(texts)]


def without_last_byte(texts: pa.Array) -> pa.Array:
    """Each of the (not empty, not null) texts of a string array without offset, less its last byte."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[: len(texts) + 1].astype(np.int64)
    return gather(np.frombuffer(data, np.uint8), bounds[:-1], bounds[1:] - 1, np.zeros(len(texts), bool), pa.string())


def replaced(values: pa.Array, rows: Any, by: pa.Array) -> pa.Array:
    """`values` with those at the ascending indices `rows` replaced."""
    mask = np.zeros(len(values), bool)
    mask[rows] = True
    return pc.replace_with_mask(values, pa.array(mask), by)


def with_members(extra: pa.Array, key: str, rows: Any, values: pa.Array) -> pa.Array:
    """Add `"key":value` to the objects of `rows`. Where an object has that key already, underscores make it a new one."""
    if not len(rows):
        return extra
    before = extra.take(pa.array(rows))
    name = json_text(key)
    if before.null_count == len(rows):
        return replaced(extra, rows, pc.binary_join_element_wise(f"{{{name}:", values, "}", ""))
    plain = before.null_count == 0 and not pc.any(pc.match_substring(before, name)).as_py()
    if plain:
        after = pc.binary_join_element_wise(without_last_byte(before), f",{name}:", values, "}", "")
    else:
        pairs = zip(before.to_pylist(), values.to_pylist(), strict=True)
        after = pa.array([_with_member(text, key, value) for text, value in pairs], pa.string())
    return replaced(extra, rows, after)


def _with_member(text: str | None, key: str, value: str) -> str:
    if text is None:
        return f"{{{json_text(key)}:{value}}}"
    if json_text(key) in text:
        taken = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        while key in taken:
            key += "_"
    return f"{text[:-1]},{json_text(key)}:{value}}}"


def json_objects(members: Sequence[tuple[str, pa.Array]], count: int) -> pa.Array:
    """JSON objects of `count` rows from (key, JSON text or null) in this order; null where a row has no member."""
    if not members:
        return pa.nulls(count, pa.string())
    some = np.zeros(count, bool)
    for _, values in members:
        some |= values.is_valid().to_numpy(zero_copy_only=False)
    if some.all():
        return _joined(members)
    rows = np.flatnonzero(some)
    if not len(rows):
        return pa.nulls(count, pa.string())
    return scatter(
        [(rows, _joined([(key, values.take(pa.array(rows))) for key, values in members]))], count, pa.string()
    )


def _joined(members: Sequence[tuple[str, pa.Array]]) -> pa.Array:
    """Every row must have a member: Arrow's join leaves rows of nulls out altogether."""
    pieces = [pc.binary_join_element_wise(f"{json_text(key)}:", values, "") for key, values in members]
    return pc.binary_join_element_wise("{", pc.binary_join_element_wise(*pieces, ",", null_handling="skip"), "}", "")


def json_text(text: str) -> str:
    """`text` as a JSON string."""
    return msgspec.json.encode(text).decode()


def scatter(parts: Sequence[tuple[Any, pa.Array]], count: int, kind: pa.DataType) -> pa.Array:
    """One array of `count` rows from (row numbers, their values) that together name every row at most once; else null."""
    if len(parts) == 1 and len(parts[0][0]) == count:
        return parts[0][1]  # row numbers ascend, so these are all of them in order
    if not parts:
        return pa.nulls(count, kind)
    at = np.full(count, -1, np.int64)
    at[np.concatenate([rows for rows, _ in parts])] = np.arange(sum(len(rows) for rows, _ in parts))
    missing = at < 0
    indices = pa.array(np.where(missing, 0, at), mask=missing if missing.any() else None)
    return pa.concat_arrays([values.cast(kind) for _, values in parts]).take(indices)
