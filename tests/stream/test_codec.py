"""Halves of blocks come back as they were, and a damaged one is noticed."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import Corrupt, Invalid
from tailrace.model.fields import DEFAULT_FIELDS, RAW_SCHEMA, Field, FieldKind, Fields
from tailrace.stream.codec import arranged, compact, concat, decode, encode, plain
from tailrace.testing.contracts.stream_samples import sample_batch

SCHEMA = DEFAULT_FIELDS.block_schema()
SHARD = "shardId-000000000000"


@given(st.lists(st.tuples(st.binary(max_size=300), st.none() | st.text(max_size=40)), max_size=60))
def test_raw_comes_back(rows: list[tuple[bytes, str | None]]) -> None:
    raw = pa.table(
        [pa.array([r for r, _ in rows], pa.binary()), pa.array([t for _, t in rows], pa.string())], schema=RAW_SCHEMA
    )
    assert decode(bytes(encode(raw)), "here").equals(raw)


@given(st.lists(st.none() | st.sampled_from(["a", "b", ""]) | st.text(max_size=20), max_size=800))
@settings(max_examples=50)
def test_compact_changes_no_value(texts: list[str | None]) -> None:
    table = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts, pa.string())})
    for column in (table, table.slice(len(texts) // 2), pa.concat_tables([table, table])):
        assert plain(decode(bytes(encode(compact(column))), "here"), column.schema).equals(column.combine_chunks())


def test_few_values_become_a_dictionary_and_many_do_not() -> None:
    table = compact(sample_batch(SHARD, range(2000)).columns)
    assert pa.types.is_dictionary(table.schema.field("endpoint").type)
    assert pa.types.is_string(table.schema.field("trace_id").type)


def test_dictionary_wider_than_its_sample_keeps_all_values() -> None:
    texts = ["x"] * 600 + [f"value {n}" for n in range(40_000)]
    table = pa.table({"text": pa.array(texts, pa.string())})
    assert plain(compact(table), table.schema)["text"].to_pylist() == texts


def test_any_flipped_bit_is_noticed() -> None:
    blob = bytes(encode(sample_batch(SHARD, range(20)).columns))
    for position in range(0, len(blob), 7):
        if 1 <= position <= 3:
            continue  # these bytes are kept for later versions
        damaged = bytearray(blob)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(Corrupt, match="here"):
            decode(bytes(damaged), "here")


def test_any_missing_end_is_noticed() -> None:
    blob = bytes(encode(sample_batch(SHARD, range(20)).columns))
    for length in (0, 1, 7, 8, 9, len(blob) // 2, len(blob) - 1):
        with pytest.raises(Corrupt):
            decode(blob[:length], "here")


def test_concat_of_all_encodings_has_the_plain_types() -> None:
    parts = [
        sample_batch(SHARD, range(3)).columns,
        sample_batch(SHARD, range(3, 5), dictionary=True).columns,
        compact(sample_batch(SHARD, range(5, 700)).columns),
    ]
    table = concat(parts, SCHEMA)
    assert table.schema == SCHEMA
    assert table.to_pylist() == sample_batch(SHARD, range(700)).columns.to_pylist()
    assert concat([], SCHEMA).num_rows == 0


def test_a_block_is_read_under_a_changed_field_list() -> None:
    table = sample_batch(SHARD, range(3)).columns
    fields = Fields((*DEFAULT_FIELDS.all[:1], Field("region", FieldKind.TEXT), *DEFAULT_FIELDS.all[1:]))
    found = arranged(table, fields)
    assert found.schema.names == fields.block_schema().names
    assert found["region"].null_count == 3
    assert found["status"].to_pylist() == table["status"].to_pylist()
    assert arranged(table, DEFAULT_FIELDS).schema == SCHEMA


def test_plain_refuses_what_cannot_be_cast() -> None:
    table = pa.table({"status": pa.array(["x"])})
    with pytest.raises(Invalid, match="status"):
        plain(table, pa.schema([pa.field("status", pa.int32())]))
