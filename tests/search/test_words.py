"""The filters of words beside row groups: never "not here" of a word that is, and nothing that a reader of the file would see."""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.batch.lake import words
from tailrace.batch.lake.parquet import ParquetStage
from tailrace.batch.lake.words import group_filter, hashes_of, holds, read_footer, word_hashes

_texts = st.lists(st.none() | st.text(st.sampled_from("abZ9_ -./\u00e9\u4e16"), max_size=90), min_size=1, max_size=8)


def _words(text: str) -> list[str]:
    return re.findall(r"[0-9a-z_\u0080-\U0010ffff]+", text.lower())


@settings(max_examples=200, deadline=None)
@given(_texts)
def test_every_word_of_a_column_has_its_hash(texts: list[str | None]) -> None:
    column = pa.array(texts, pa.string())
    found = words._column_hashes(column)
    assert found is not None
    wanted = {word for text in texts if text for word in _words(text) if word.isascii()}
    assert set(hashes_of(sorted(wanted)).tolist()) <= set(found.tolist())


def test_ids_of_one_length_hash_as_any_word_does() -> None:
    ids = [f"{n:032x}" for n in range(100)]
    alike = words._column_hashes(pa.array(ids))
    mixed = words._column_hashes(pa.array([*ids, "x y"]))
    assert alike is not None
    assert mixed is not None
    assert alike.tolist() == mixed.tolist()[:100] == hashes_of(ids).tolist()


def test_no_other_character_becomes_ascii_in_lower_case() -> None:
    """What `_BECOME_ASCII` names is all that there is, for the engine that makes text lower case."""
    codes = [c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]
    table = pa.table({"c": [chr(c) for c in codes]})
    with duckdb.connect() as connection:
        connection.register("signs", table)
        found = connection.execute("SELECT c FROM signs WHERE regexp_matches(lower(c), '[ -~]')").fetchall()
    assert sorted(c for (c,) in found) == ["\u0130", "\u212a"]


def test_a_group_with_such_a_character_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "ROWS_MIN", 1)
    assert group_filter(pa.table({"message": ["plain"]})) is not None
    assert group_filter(pa.table({"message": ["\u212aelvin"]})) is None


def test_a_file_says_where_its_words_are_and_reads_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "ROWS_MIN", 100)
    monkeypatch.setattr("tailrace.batch.lake.parquet.ROWS_PER_GROUP", 1_000)
    table = pa.table(
        {
            "message": [f"order number{n} Done" for n in range(2_050)],
            "status": pa.array([200 + n % 7 for n in range(2_050)], pa.int32()),
            "_offset": pa.array(range(2_050), pa.int64()),
        }
    )
    stage = ParquetStage(tmp_path / "0123456789-0123456789-0123456789abcdef.parquet", table.schema)
    stage.write(table)
    stage.finish()
    assert pq.read_table(stage.path).equals(table)
    assert duckdb.execute(f"SELECT count(*), max(message) FROM '{stage.path}'").fetchall() == [
        (2_050, "order number999 Done")
    ]
    groups = read_footer(pq.read_metadata(stage.path))
    assert [group is None for group in groups] == [False, False, True]
    descriptor = os.open(stage.path, os.O_RDONLY)
    asked = hashes_of(["done", "number5", "number1500", "203"])
    found = [holds(descriptor, group, asked) for group in groups if group]
    os.close(descriptor)
    assert [f[0] for f in found] == [True, True]
    assert found[0][1]
    assert found[1][2]
    assert [f[3] for f in found] == [True, True]


def test_few_words_that_are_not_there_are_taken_for_there() -> None:
    held = hashes_of([f"in{n}" for n in range(20_000)])
    absent = hashes_of([f"out{n}" for n in range(20_000)])
    assert len(set(held.tolist())) == 20_000
    assert not set(held.tolist()) & set(absent.tolist())


def test_a_file_of_before_has_no_filters(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    assert read_footer(pq.read_metadata(path)) == [None]
    assert len(word_hashes(words.np.zeros(0, words.np.uint8), words.np.array([0, 0]))) == 0
