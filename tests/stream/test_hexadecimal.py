"""Ids in hexadecimal are kept in half the room and come back as they were."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tailrace.model.fields import RAW_SCHEMA
from tailrace.stream.codec import decode, encode, encode_raw
from tailrace.stream.hexadecimal import WIDTH_MAX, packed, unpacked

DIGITS = "0123456789abcdef"


def ids(width: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=width, max_size=width)


columns = st.sampled_from([8, 16, 32, WIDTH_MAX]).flatmap(lambda width: st.lists(st.none() | ids(width), max_size=60))
nearly = st.lists(st.none() | st.text(DIGITS + "Ag\u00e9", max_size=18) | ids(16), max_size=60)


@given(columns | nearly, st.integers(0, 5), st.booleans())
def test_every_text_comes_back(texts: list[str | None], skipped: int, divided: bool) -> None:
    column = pa.chunked_array([pa.array(texts, pa.string())] * (2 if divided else 1))
    table = pa.table({"n": pa.array(range(len(column)), pa.int64()), "id": column}).slice(skipped)
    for each in (table, table.slice(3, 20)):
        found = unpacked(packed(each))
        assert found.to_pylist() == each.to_pylist()
        assert found.schema == table.schema
        found.validate(full=True)
        assert decode(bytes(encode(each)), "here").to_pylist() == each.to_pylist()


def test_ids_are_packed_with_their_nulls_and_what_only_looks_like_ids_is_not() -> None:
    texts = ["00ff" * 4, None, "1234abcd" * 2]
    assert packed(pa.table({"id": texts})).schema.field("id").type == pa.binary(8)
    for others in ([*texts, "00FF" * 4], [*texts, "0g" * 8], [*texts, "00" * 9], [*texts, ""], ["abc"], ["ab"], [None]):
        table = pa.table({"id": pa.array(others * 20, pa.string())})
        assert packed(table).schema == table.schema


def test_a_late_exception_leaves_the_column_as_it_is() -> None:
    for odd in ("00FF" * 4, "\u00e9" * 8, "0" * 15, ""):
        table = pa.table({"id": pa.array(["00ff" * 4] * 500 + [odd], pa.string())})
        assert packed(table).schema == table.schema
        assert decode(bytes(encode(table)), "here").equals(table)


def test_raw_lines_come_back_from_small_and_large_blocks() -> None:
    for count in (0, 1, 50, 5_000):
        lines = [b'{"n":%d,"endpoint":"/home","status":200}' % n for n in range(count)]
        raw = pa.table([pa.array(lines, pa.binary()), pa.nulls(count, pa.string())], schema=RAW_SCHEMA)
        encoded = bytes(encode_raw(raw))
        assert decode(encoded, "here").equals(raw)
    assert len(encoded) < raw.nbytes / 4
