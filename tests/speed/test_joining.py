"""Blocks of one read may disagree on how a text column is encoded: a large post has few values, the next one is small."""

from __future__ import annotations

from itertools import permutations

import pyarrow as pa
import pytest

from tailrace.speed.joining import joined

PLAIN = pa.array(["a", None, "b"])
SMALL = pa.array(["c", "c", None]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))
LARGE = pa.array(["d", "a", None]).dictionary_encode().cast(pa.dictionary(pa.int16(), pa.string()))


@pytest.mark.parametrize("columns", [*permutations([PLAIN, SMALL, LARGE]), (SMALL, LARGE), (SMALL,), (PLAIN, PLAIN)])
def test_every_mix_of_encodings_keeps_its_text(columns: tuple[pa.Array, ...]) -> None:
    tables = [pa.table({"service": column, "status": [1, 2, 3]}) for column in columns]
    whole = joined(tables)
    assert whole.column("service").to_pylist() == [text for column in columns for text in column.to_pylist()]
    assert whole.column("status").to_pylist() == [1, 2, 3] * len(columns)
