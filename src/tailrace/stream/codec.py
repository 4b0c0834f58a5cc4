"""Bytes of a block's two halves (typed columns, raw lines), and the join of many halves into one table.

Called by backends when they store and read, and by readers that want one table of many blocks. Pure: no I/O, no clock.

Layout of an encoded half:

    byte 0      version (2; 1 is read too, and is the same without packed columns)
    bytes 1-3   zero
    bytes 4-7   CRC-32 of everything after byte 7, little endian
    bytes 8-    Arrow IPC stream, its buffers compressed

Typed columns are compressed with LZ4, not zstd: it costs a third of the CPU to write and a quarter to read, and every block is read by
two layers. What LZ4 would leave large is made small before: text with few distinct values is dictionary-encoded, ids in
hexadecimal are packed. Raw lines are written by all and read by few, so they get zstd, which makes them a third smaller.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.errors import Corrupt, Invalid
from tailrace.formats.evolve import evolved
from tailrace.model.fields import EXTRA, VERDICT, Fields
from tailrace.stream.hexadecimal import packed, unpacked

VERSION = 2
VERSIONS = (1, VERSION)
_HEADER_BYTES = 8
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_ZSTD = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1), use_threads=False)
_ZSTD_BYTES_MIN = 65_536
"""Below, what zstd costs to begin with (40 us a block) is more than all else."""
_READ = pa.ipc.IpcReadOptions(use_threads=False)
_SAMPLE_ROWS = 512
_SAMPLE_DISTINCT_MAX = 64


def encode(table: pa.Table) -> memoryview:
    """The bytes of `table`; `decode` gives it back with the same values (text columns perhaps dictionary-encoded)."""
    return _encoded(packed(table), _LZ4)


def encode_raw(raw: pa.Table) -> memoryview:
    """The same for a table that few will read, as small as can be had cheaply."""
    return _encoded(raw, _ZSTD if raw.nbytes >= _ZSTD_BYTES_MIN else _LZ4)


def _encoded(table: pa.Table, options: pa.ipc.IpcWriteOptions) -> memoryview:
    sink = pa.BufferOutputStream()
    sink.write(bytes(_HEADER_BYTES))
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    encoded = memoryview(sink.getvalue()).cast("B")
    encoded[0] = VERSION
    encoded[4:8] = zlib.crc32(encoded[_HEADER_BYTES:]).to_bytes(4, "little")
    return encoded


def decode(blob: bytes, where: str) -> pa.Table:
    """The table that `encode` was given. Raises Corrupt (naming `where`) unless every byte is as it was written."""
    if not isinstance(blob, bytes):
        raise Corrupt(where, f"a block is stored as `{type(blob).__name__}`")
    if len(blob) < _HEADER_BYTES:
        raise Corrupt(where, f"a block of `{len(blob)}` bytes is too short")
    if blob[0] not in VERSIONS:
        raise Corrupt(where, f"block version `{blob[0]}` is not known", hint="it may come from a newer Tailrace")
    body = memoryview(blob)[_HEADER_BYTES:]
    if zlib.crc32(body) != int.from_bytes(blob[4:8], "little"):
        raise Corrupt(where, "the checksum of a block does not match its bytes")
    try:
        return unpacked(pa.ipc.open_stream(pa.py_buffer(body), options=_READ).read_all())
    except (pa.ArrowException, OSError) as error:
        raise Corrupt(where, f"a block is not an Arrow stream: {error}") from error


def compact(table: pa.Table) -> pa.Table:
    """Dictionary-encode the text columns that have few distinct values; the others are left as they are.

    A sample decides, so that columns such as addresses or trace ids cost nothing.
    """
    for index, name in enumerate(table.schema.names):
        column = table.column(index)
        if pa.types.is_string(column.type) and _has_few_values(column):
            table = table.set_column(index, name, _small_dictionary(column))
    return table


def _has_few_values(column: pa.ChunkedArray) -> bool:
    sample = column.slice(0, _SAMPLE_ROWS)
    if len(sample) < _SAMPLE_ROWS // 4 or sample.null_count == len(sample):
        return False
    return len(sample.unique()) <= _SAMPLE_DISTINCT_MAX


def _small_dictionary(column: pa.ChunkedArray) -> pa.Array:
    """`column` as one dictionary array with the narrowest index that fits."""
    encoded = column.combine_chunks()
    encoded = (encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded).dictionary_encode()
    size = len(encoded.dictionary)
    if size > 32767:
        return encoded
    index = pa.int8() if size <= 127 else pa.int16()
    return pa.DictionaryArray.from_arrays(encoded.indices.cast(index), encoded.dictionary)


def plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """`table` with exactly the columns and types of `schema`; columns it lacks are null. Raises Invalid where a cast fails."""
    if table.schema.equals(schema):
        return table
    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(table.column(index).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Invalid(f"column `{field.name}` is `{table.column(index).type}`, not `{field.type}`") from error
    return pa.table(columns, schema=schema)


def arranged(table: pa.Table, fields: Fields) -> pa.Table:
    """`table` (columns of a block) with the columns of `fields` in their order; text stays dictionary-encoded where it is.

    Blocks outlive changes of the field list; this is where old ones are read.
    """
    names = [VERDICT, *fields.names, EXTRA]
    found = evolved(table, fields)
    return found if found.column_names == names else found.select(names)


def concat(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """All rows of `tables` (halves of blocks) in one table whose types are exactly those of `schema`."""
    return pa.concat_tables([plain(t, schema) for t in tables]) if tables else schema.empty_table()


def dead_count(columns: pa.Table) -> int:
    """Rows whose verdict is not good."""
    return sum(int(np.count_nonzero(chunk)) for chunk in verdicts(columns))


def verdicts(columns: pa.Table) -> list[Any]:
    """The verdicts, as numpy arrays of uint8, a chunk each."""
    return [chunk.to_numpy() for chunk in columns.column(VERDICT).chunks]
