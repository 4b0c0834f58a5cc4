"""Text columns of hexadecimal digits (trace, span and request ids) kept as the bytes that they name: half the size. Pure.

Ids are drawn by chance, so that no compression finds anything in them but that only 16 of 256 bytes occur. A column is packed
if all its values have one even length and lower-case digits only, as OpenTelemetry and W3C write them; others stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WIDTH_MIN = 8
WIDTH_MAX = 128
_SAMPLE_ROWS = 16
_TEXT = np.frombuffer(b"".join(b"%02x" % n for n in range(256)), np.uint16)
"""By byte: its two digits, as they lie in memory."""
_BYTE = np.full(1 << 16, -1, np.int16)
_BYTE[_TEXT] = np.arange(256)
"""By two characters as they lie in memory: the byte that they name, or -1."""


def packed(table: pa.Table) -> pa.Table:
    """`table` with each text column of digits as fixed_size_binary; `unpacked` gives it back."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and (width := _width(table.column(index))):
            short = _pack(table.column(index), width)
            if short is not None:
                table = table.set_column(index, field.name, short)
    return table


def unpacked(table: pa.Table) -> pa.Table:
    """`table` with each fixed_size_binary column as text. Blocks have no columns of that type of their own."""
    for index, field in enumerate(table.schema):
        if pa.types.is_fixed_size_binary(field.type):
            chunks = [_unpack(chunk) for chunk in table.column(index).chunks]
            table = table.set_column(index, field.name, pa.chunked_array(chunks, pa.string()))
    return table


def _width(column: pa.ChunkedArray) -> int:
    """The length of its first value if the first few may be digits, else 0."""
    sample = [text for text in column.slice(0, _SAMPLE_ROWS).to_pylist() if text is not None]
    width = len(sample[0]) if sample else 0
    if width % 2 or not WIDTH_MIN <= width <= WIDTH_MAX:
        return 0
    return width if all(len(text) == width and not text.strip("0123456789abcdef") for text in sample) else 0


def _pack(column: pa.ChunkedArray, width: int) -> pa.Array | None:
    """None unless every value is of `width` digits, or null."""
    texts = column.combine_chunks()
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    nulls = texts.is_null() if texts.null_count else None
    texts = texts if nulls is None else pc.fill_null(texts, "0" * width)
    count = len(texts)
    offsets = np.frombuffer(texts.buffers()[1], np.int32, count + 1, texts.offset * 4)
    if not bool((np.diff(offsets) == width).all()):
        return None
    pairs = np.frombuffer(texts.buffers()[2], np.uint8, count * width, int(offsets[0])).view(np.uint16)
    named = _BYTE[pairs]
    if int(named.min()) < 0:
        return None
    data = pa.py_buffer(named.astype(np.uint8))
    validity = None if nulls is None else pc.invert(nulls).buffers()[1]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width // 2), count, [validity, data])


def _unpack(chunk: Any) -> pa.Array:
    width, count = chunk.type.byte_width, len(chunk)
    data = np.frombuffer(chunk.buffers()[1], np.uint8, count * width, chunk.offset * width)
    offsets = np.arange(0, 2 * width * count + 1, 2 * width, dtype=np.int32)
    texts = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(_TEXT[data]))
    if not chunk.null_count:
        return texts
    return pc.if_else(chunk.is_valid(), texts, pa.scalar(None, pa.string()))
