"""Records -> one Parquet file, a row group at a time. Decides how each column is stored; knows nothing of tables or snapshots.

Stored as measured best for log lines (docs/adr, "lake file layout"): rows in stream order, so times rise and delta encoding
makes them, the offsets and the epochs nearly free; text that repeats as a dictionary, other text as lengths and bytes;
decimals as 64-bit integers. zstd level 1 is smaller here than level 3, except on free text, and a quarter cheaper.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tailrace.batch.lake.words import KEY, GroupWords, footer_value, group_filter
from tailrace.runtime.files import sync_folder

_NAMED = re.compile(r".*-[0-9a-f]{16}-([0-9a-f]{8})\.parquet")
ROWS_PER_GROUP = 131_072
_SAMPLE_ROWS = 8_192
_DICTIONARY_SHARE_MAX = 0.5
"""A column whose sample has more distinct values than this share of its rows gets no dictionary."""
_TEXT_ZSTD_LEVEL = 3
_ZSTD_LEVEL = 1
_FEW_VALUES = frozenset({"_shard", "_epoch", "_arrived_at"})
_FREE_TEXT = frozenset({"message", "extra"})


class ParquetStage:
    """One file under `path`, written in row groups of `ROWS_PER_GROUP`; at most one group's rows are held.

    `schema`: the file's columns, plain types, with their Iceberg field ids as `PARQUET:field_id`. Once finished, the file's name
    ends in the CRC-32 of its bytes (`name_checksum`): engines do not look at the checksums that Parquet has, so a reader of ours
    compares this one when it first opens the file.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema
        self._held: list[pa.Table] = []
        self._held_rows = 0
        self._file: Any = None
        self._handle: Any = None
        self._writer: Any = None
        self._words: list[GroupWords | None] = []

    def write(self, rows: pa.Table) -> None:
        """Columns that the schema has and `rows` has not are null."""
        start = 0
        while start < rows.num_rows:
            piece = rows.slice(start, ROWS_PER_GROUP - self._held_rows)
            self._held.append(piece)
            self._held_rows += piece.num_rows
            start += piece.num_rows
            if self._held_rows == ROWS_PER_GROUP:
                self._flush()

    def finish(self) -> int:
        """Close the file, give it its last name, sync it and the name; its size in bytes, 0 if there were no rows and so no file."""
        self._flush()
        if self._writer is None:
            return 0
        self._writer.add_key_value_metadata({KEY: footer_value(self._words)})
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size: int = self._file.tell()
        self._file.close()
        self.path = self.path.rename(self.path.with_stem(f"{self.path.stem}-{self._file.checksum:08x}"))
        sync_folder(self.path.parent)
        return size

    def discard(self) -> None:
        self._held.clear()
        if self._file is not None:
            self._file.close()
            self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        if not self._held_rows:
            return
        group = one_group(self._held, self._schema)
        self._held = []
        self.rows += self._held_rows
        self._held_rows = 0
        if self._writer is None:
            self._file = _Summed(self.path)
            # The writer counts what goes through this handle, so all of it does.
            self._handle = pa.PythonFile(self._file, mode="w")
            self._writer = pq.ParquetWriter(self._handle, group.schema, **writer_options(group))
        elif group.schema != self._writer.schema:
            group = group.cast(self._writer.schema)
        self._writer.write_table(group, row_group_size=ROWS_PER_GROUP)
        self._write_filter(group)

    def _write_filter(self, group: pa.Table) -> None:
        """Right after the group's pages, where nothing but the footer's own key points to."""
        made = group_filter(group)
        if made is None:
            self._words.append(None)
            return
        bits, log2_bits = made
        self._words.append(GroupWords(self._handle.tell(), log2_bits))
        self._handle.write(bits)


class _Summed(io.FileIO):
    """A new file that keeps the CRC-32 of what is written to it, from its start to its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "xb")
        self.checksum = 0

    def write(self, data: Any) -> int:
        """All of it."""
        left = memoryview(data).cast("B")
        self.checksum = zlib.crc32(left, self.checksum)
        size = len(left)
        while left:
            left = left[super().write(left) or 0 :]
        return size


def name_checksum(path: Path) -> int | None:
    """What the name of a data file says its CRC-32 is; None for files older than checksums."""
    match = _NAMED.fullmatch(path.name)
    return int(match[1], 16) if match else None


def one_group(parts: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """The rows of `parts` as one table of one chunk, in the schema's columns. Text stays a dictionary if it is one in every part."""
    columns, fields = [], []
    for field in schema:
        column = _joined([_column(part, field) for part in parts], field.type)
        columns.append(column)
        fields.append(field.with_type(column.type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _column(part: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    index = part.schema.get_field_index(field.name)
    return part.column(index) if index >= 0 else pa.chunked_array([pa.nulls(part.num_rows, field.type)])


def _joined(columns: list[pa.ChunkedArray], plain: pa.DataType) -> pa.Array:
    """One array of `plain`, or of a dictionary of it where all parts are dictionaries."""
    if all(pa.types.is_dictionary(c.type) for c in columns):
        wide = pa.dictionary(pa.int32(), plain)
        chunks = [chunk for c in columns for chunk in c.cast(wide).chunks]
        joined = pa.chunked_array(chunks, type=wide).unify_dictionaries()
    else:
        chunks = [chunk for c in columns for chunk in c.cast(plain).chunks]
        joined = pa.chunked_array(chunks, type=plain)
    combined = joined.combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined


def writer_options(group: pa.Table) -> Mapping[str, Any]:
    """How to store columns like those of `group`, the file's first row group; a sample of it decides what repeats."""
    sample = group.slice(0, _SAMPLE_ROWS)
    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    for name, kind in zip(group.schema.names, group.schema.types, strict=True):
        if name in ("timestamp", "_offset"):
            encodings[name] = "DELTA_BINARY_PACKED"
        elif name in _FEW_VALUES or pa.types.is_dictionary(kind) or repeats(sample[name]):
            dictionary.append(name)
        elif pa.types.is_string(kind):
            encodings[name] = "DELTA_LENGTH_BYTE_ARRAY"
        elif pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
            encodings[name] = "DELTA_BINARY_PACKED"
    # Bounds of text that does not repeat cost a fifth of its writing and never exclude a row group.
    bounded = [name for name in group.schema.names if encodings.get(name) != "DELTA_LENGTH_BYTE_ARRAY"]
    levels = {name: _TEXT_ZSTD_LEVEL if name in _FREE_TEXT else _ZSTD_LEVEL for name in group.schema.names}
    return {
        "compression": "zstd",
        "compression_level": levels,
        "use_dictionary": dictionary,
        "column_encoding": encodings,
        "write_statistics": bounded,
        "store_schema": False,
        "store_decimal_as_integer": True,
    }


def repeats(sample: pa.ChunkedArray) -> bool:
    """Whether a dictionary pays: the sample's distinct values are few beside its rows."""
    return int(pc.count_distinct(sample).as_py()) <= _DICTIONARY_SHARE_MAX * len(sample)
