"""The hash of records: the same however they are cut up and encoded, another for whatever is changed, moved, lost or doubled."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model.fields import DEFAULT_FIELDS, LAKE_COLUMNS
from tailrace.model.record_hash import NO_RECORDS, UNKNOWN, RecordHash, columns_id, total, values

SCHEMA = pa.schema(
    [
        ("at", pa.timestamp("us", tz="UTC")),
        ("status", pa.int32()),
        ("took", pa.decimal128(18, 3)),
        ("a", pa.string()),
        ("b", pa.string()),
    ]
)
TEXT = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.sampled_from(
        ["", "GET", "x", "x\0", "\0", "a" * 63, "a" * 64, "a" * 65, "ü" * 40, "b" * 1024, "b" * 1025, "c" * 4000]
    ),
)
ROW = st.tuples(
    st.one_of(st.none(), st.integers(0, 2**50)),
    st.one_of(st.none(), st.sampled_from([-1, 0, 1]), st.integers(-(2**31), 2**31 - 1)),
    st.one_of(st.none(), st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: Decimal(n).scaleb(-3))),
    TEXT,
    TEXT,
)
ROWS = st.lists(ROW, min_size=1, max_size=12)
Row = tuple[Any, ...]


def table(rows: Sequence[Row]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in SCHEMA)
    return pa.table([pa.array(list(c), f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def hash_of(rows: pa.Table, first: int = 0) -> int:
    return total(values(rows), np.arange(first, first + rows.num_rows))


@given(ROWS, st.data())
def test_it_does_not_depend_on_chunks_encoding_order_or_cuts(rows: list[Row], data: st.DataObject) -> None:
    whole = table(rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    edges = list(zip([0, *cuts], [*cuts, len(rows)], strict=True))
    # Slices of a larger table: their arrays begin inside of their buffers.
    padded = table([rows[0], *rows, rows[-1]])
    parts = [padded.slice(1 + a, b - a) for a, b in edges]
    for number, part in enumerate(parts):
        for name in data.draw(st.sets(st.sampled_from(["a", "b"]))):
            index = SCHEMA.get_field_index(name)
            kind = data.draw(st.sampled_from([pa.int8(), pa.int32()]))
            parts[number] = parts[number].set_column(
                index,
                name,
                part.column(name).combine_chunks().dictionary_encode().cast(pa.dictionary(kind, pa.string())),
            )
    summed = sum(hash_of(part, a) for part, (a, _) in zip(parts, edges, strict=True)) % 2**64
    assert summed == hash_of(whole)
    chunked = pa.concat_tables([padded.slice(1 + a, b - a) for a, b in edges])
    assert hash_of(chunked.select(data.draw(st.permutations(SCHEMA.names)))) == hash_of(whole)


@given(ROWS, st.data())
def test_a_null_inside_a_dictionary_is_a_null(rows: list[Row], data: st.DataObject) -> None:
    texts = [row[3] for row in rows]
    listed = data.draw(st.permutations([*dict.fromkeys([*texts, None])]))
    encoded = pa.DictionaryArray.from_arrays(
        pa.array([listed.index(t) for t in texts], pa.int16()), pa.array(listed, pa.string())
    )
    plain = values(pa.table({"a": pa.array(texts, pa.string())}))
    assert values(pa.table({"a": encoded})).tolist() == plain.tolist()


@given(ROWS, ROW, st.data())
def test_any_change_of_any_value_changes_it(rows: list[Row], other: Row, data: st.DataObject) -> None:
    row, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(SCHEMA) - 1))
    changed = [*rows[row]]
    changed[column] = other[column]
    after = [*rows[:row], tuple(changed), *rows[row + 1 :]]
    assert (hash_of(table(after)) == hash_of(table(rows))) == (after == rows)


@given(ROWS, st.data())
def test_two_rows_that_swap_values_change_it(rows: list[Row], data: st.DataObject) -> None:
    at = st.integers(0, len(rows) - 1)
    a, b = data.draw(at), data.draw(at)
    columns = data.draw(st.sets(st.integers(0, len(SCHEMA) - 1), min_size=1))
    after = [list(row) for row in rows]
    for column in columns:
        after[a][column], after[b][column] = after[b][column], after[a][column]
    swapped = [tuple(row) for row in after]
    assert (hash_of(table(swapped)) == hash_of(table(rows))) == (swapped == rows)


@given(ROWS, st.data())
def test_a_row_that_is_lost_or_doubled_changes_it(rows: list[Row], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(rows) - 1))
    found, offsets = values(table(rows)), np.arange(len(rows))
    whole = total(found, offsets)
    assert total(np.delete(found, row), np.delete(offsets, row)) != whole
    assert total(np.append(found, found[row]), np.append(offsets, row)) != whole
    assert hash_of(table(rows), 1) != whole


@given(st.lists(st.text(max_size=150), min_size=2, max_size=40, unique=True))
def test_different_texts_differ(texts: list[str]) -> None:
    assert len(set(values(pa.table({"a": texts})).tolist())) == len(texts)


def test_texts_that_differ_in_few_bytes_differ() -> None:
    """Every pair of bytes, one in each of two words: where sums modulo 2**64 are at their weakest."""
    texts = ["".join(chr(97 + (n >> 4 * k) % 16) if k in (7 % 4, 3) else "x" for k in range(4)) for n in range(65536)]
    texts += [f"{chr(32 + n % 95)}{'y' * 14}{chr(32 + n // 95)}" for n in range(95 * 95)]
    texts += [f"{'z' * 7}{chr(32 + n % 95)}{'z' * 7}{chr(32 + n // 95)}" for n in range(95 * 95)]
    texts = list(dict.fromkeys(texts))
    assert len(set(values(pa.table({"a": texts})).tolist())) == len(texts)


def test_it_stays_the_same_for_ever() -> None:
    """What a data folder says was computed by another version, perhaps with other libraries: these may not change."""
    rows = [
        (1_790_000_000_000_000, 200, Decimal("41.400"), "GET", "a" * 100),
        (None, -1, Decimal("-0.001"), "", None),
        (0, None, None, None, "ü" * 2000),
    ]
    assert (hash_of(table(rows), 7), columns_id(SCHEMA)) == (12041924703849440763, 7018848844172206543)


def test_columns_are_known_by_names_and_types() -> None:
    schema = DEFAULT_FIELDS.record_schema()
    encoded = schema.set(1, pa.field(schema.names[1], pa.dictionary(pa.int8(), pa.string())))
    assert columns_id(schema) == columns_id(encoded) == columns_id(pa.schema(list(schema)[::-1]))
    others = [schema.append(pa.field(*LAKE_COLUMNS[0])), schema.remove(1)]
    others.append(schema.set(1, pa.field("other", pa.string())))
    others.append(schema.set(1, pa.field(schema.names[1], pa.int32())))
    assert len({columns_id(each) for each in (schema, *others)}) == 1 + len(others)


@pytest.mark.parametrize("kind", [pa.float64(), pa.int64(), pa.decimal128(38, 3), pa.timestamp("ms"), pa.binary()])
def test_a_type_that_no_record_has_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match="no record has"):
        values(pa.table({"a": pa.array([None, 1 if not pa.types.is_binary(kind) else b"1"]).cast(kind)}))


def test_sums_are_of_the_same_columns_or_unknown() -> None:
    a, b, other = RecordHash(2**64 - 1, 5), RecordHash(3, 5), RecordHash(3, 6)
    assert a + b == b + a == RecordHash(2, 5)
    assert a + NO_RECORDS == NO_RECORDS + a == a
    assert a + other == UNKNOWN == a + UNKNOWN == UNKNOWN + NO_RECORDS
    assert a.comparable(b)
    assert a.comparable(NO_RECORDS)
    assert not a.comparable(other)
    assert not a.comparable(UNKNOWN)
    assert not UNKNOWN.comparable(UNKNOWN)
