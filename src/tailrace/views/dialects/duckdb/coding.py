"""Text columns as small integers: each distinct text once, and a code for every record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class CodedText:
    """`codes`: int32, one a row, never null. `texts`: what each code stands for; no text twice, NULL among them if a row has it."""

    codes: pa.Array
    texts: pa.Array

    def decode(self, codes: pa.ChunkedArray) -> pa.ChunkedArray:
        return pa.chunked_array([self.texts.take(chunk) for chunk in codes.chunks], type=self.texts.type)

    def spread(self, values: pa.Array) -> pa.Array:
        """One value a text -> one value a row."""
        return values.take(self.codes)


def encode(column: pa.ChunkedArray | pa.Array) -> CodedText:
    """Code a text column, dictionary-encoded already or not."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    if pa.types.is_dictionary(whole.type):
        return _recode(whole)
    coded = whole.cast(pa.string()).dictionary_encode(null_encoding="encode")
    return CodedText(coded.indices, coded.dictionary)


def _recode(column: pa.DictionaryArray) -> CodedText:
    """The codes of a dictionary column, as `CodedText` wants them.

    A writer may have left a text twice in the dictionary, NULLs in it or beside it, and texts that no row has (a slice of a column
    keeps the whole dictionary).
    """
    texts = column.dictionary.cast(pa.string())
    codes = column.indices.cast(pa.int32())
    if codes.null_count:
        codes = codes.fill_null(len(texts))
        texts = pa.concat_arrays([texts, pa.nulls(1, pa.string())])
    used = np.zeros(len(texts), np.bool_)
    used[codes.to_numpy()] = True
    if not used.all():
        codes = pa.array((np.cumsum(used, dtype=np.int32) - 1)[codes.to_numpy()])
        texts = texts.filter(pa.array(used))
    again = texts.dictionary_encode(null_encoding="encode")
    if len(again.dictionary) == len(texts):
        return CodedText(codes, texts)
    return CodedText(again.indices.take(codes), again.dictionary)
