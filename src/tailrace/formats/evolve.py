"""Records that were stored under another list of fields, read under the one of now.

A field that came later is read from `extra`, where its key was kept; a field that is gone goes back into `extra` under its name; a
field of another type is read anew from the text of what is stored, and what cannot be read so is kept in `extra`. Values become what
ingest would have made of them. Called by the stream for blocks and by `batch.evolution` for lake files, so that both layers see the
same records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.formats.arrays import json_strings, json_text, with_members
from tailrace.formats.base import ABSENT, LITERAL, PAD_BYTES, STRING, Tokens
from tailrace.formats.columns import typed
from tailrace.formats.json_careful import unquoted
from tailrace.model.fields import EXTRA, LAKE_COLUMNS, VERDICT, Field, Fields
from tailrace.model.sources import sources

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NO_FIELDS = frozenset({VERDICT, EXTRA, *(name for name, _ in LAKE_COLUMNS)})


@dataclass(frozen=True, slots=True)
class Evolution:
    """From stored columns to the fields of now. `came`: fields that are not stored. `changed`: stored with the second type.
    `gone`: names that are stored and no field any more."""

    came: tuple[Field, ...]
    changed: tuple[tuple[Field, pa.DataType], ...]
    gone: tuple[str, ...]
    fields: Fields

    def __bool__(self) -> bool:
        return bool(self.came or self.changed or self.gone)

    @property
    def reads(self) -> tuple[str, ...]:
        """Stored columns that `extra` is made of, besides itself."""
        return (*self.gone, *(field.name for field, _ in self.changed))


@lru_cache(maxsize=256)
def evolution(stored: pa.Schema, fields: Fields) -> Evolution:
    """`stored`: columns as they were written; text may be dictionary-encoded. Those that are no fields by name do not count."""
    held = {column.name: plain_type(column.type) for column in stored if column.name not in _NO_FIELDS}
    came = tuple(field for field in fields.all if field.name not in held)
    changed = tuple((f, held[f.name]) for f in fields.all if f.name in held and held[f.name] != f.arrow_type)
    return Evolution(came, changed, tuple(name for name in held if fields.get(name) is None), fields)


def plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def evolved(table: pa.Table, fields: Fields) -> pa.Table:
    """`table` (a block's columns) with the fields of now; columns that are none are dropped, others may stand in any order."""
    change = evolution(table.schema, fields)
    if not change:
        return table
    held = {name: _plain(table.column(name)) for name in (EXTRA, *change.reads)}
    made = {field.name: values_of(change, field, held[EXTRA], held.get(field.name)) for field in _made(change)}
    if change.reads:
        made[EXTRA] = extra_of(change, held[EXTRA], [held[name] for name in change.reads])
    kept = {name: table.column(name) for name in table.column_names if name not in change.gone}
    return pa.table(kept | made)


def _made(change: Evolution) -> tuple[Field, ...]:
    return (*change.came, *(field for field, _ in change.changed))


def _plain(column: pa.ChunkedArray) -> pa.Array:
    values = column.cast(plain_type(column.type)).combine_chunks()
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def values_of(change: Evolution, field: Field, extra: pa.Array, old: pa.Array | None) -> pa.Array:
    """The field's values: of `old` (as stored under another type) where it has one, else of its key in `extra`."""
    count = len(extra)
    if field.name == "timestamp":
        raise ValueError("every record has had its timestamp from the beginning")
    kinds = np.zeros(count, np.uint8)
    texts: list[bytes] = [b""] * count
    if old is not None:
        for row, text in enumerate(_texts(old).to_pylist()):
            if text is not None:
                kinds[row], texts[row] = STRING, text.encode()
    keys = next(source.keys for source in sources(change.fields) if source.field == field.name)
    if old is not None and field.name not in keys:
        keys = (*keys, field.name)  # where a value is kept that did not fit its old type
    left = kinds == ABSENT
    for row in _with_any(extra, keys, left):
        kinds[row], texts[row] = _found(extra[row].as_py(), keys)
    return _read(field, texts, kinds)[0]


def extra_of(change: Evolution, extra: pa.Array, olds: Sequence[pa.Array]) -> pa.Array:
    """`extra` with what no field holds now. `olds`: the columns `change.reads`, in that order."""
    types = {field.name: field for field, _ in change.changed}
    for name, old in zip(change.reads, olds, strict=True):
        kept = old.is_valid().to_numpy(zero_copy_only=False)
        if name in types:
            texts = [(text or "").encode() for text in _texts(old).to_pylist()]
            kept &= ~_read(types[name], texts, np.where(kept, STRING, ABSENT).astype(np.uint8))[1]
        extra = _kept(extra, name, np.flatnonzero(kept), old)
    return extra


def _kept(extra: pa.Array, name: str, rows: Any, old: pa.Array) -> pa.Array:
    """`extra` with the values of `old` at `rows` under `name`; an equal member that is there already is enough."""
    if not len(rows):
        return extra
    values = _json(old.take(pa.array(rows)))
    before = extra.take(pa.array(rows))
    fresh = np.ones(len(rows), bool)
    for at in _with_any(before, (name,), fresh):
        fresh[at] = bytes(_MEMBERS.decode(before[at].as_py()).get(name, b"")) != values[at].as_py().encode()
    return with_members(extra, name, rows[fresh], values.filter(pa.array(fresh)))


def _with_any(extra: pa.Array, keys: Sequence[str], wanted: Any) -> list[int]:
    """Rows of the mask `wanted` whose `extra` may have one of the keys; each is written there as `json_text` writes it."""
    may = np.zeros(len(extra), bool)
    for key in keys:
        found = pc.fill_null(pc.match_substring(extra, json_text(key)[1:-1]), False)
        may |= found.to_numpy(zero_copy_only=False)
    rows: list[int] = np.flatnonzero(may & wanted).tolist()
    return rows


def _found(extra: str, keys: Sequence[str]) -> tuple[int, bytes]:
    """Kind and text of the first of `keys` that is there and not null."""
    held = _MEMBERS.decode(extra)
    for key in keys:
        text = bytes(held.get(key, b"null"))
        if text != b"null":
            return (STRING, unquoted(text)) if text[:1] == b'"' else (LITERAL, text)
    return ABSENT, b""


def _read(field: Field, texts: Sequence[bytes], kinds: Any) -> tuple[pa.Array, Any]:
    """(values, mask of the texts that are one)."""
    size = np.fromiter(map(len, texts), np.int64, len(texts))
    end = np.cumsum(size)
    buffer = np.frombuffer(b"".join([*texts, bytes(PAD_BYTES)]), np.uint8)
    return typed(field, Tokens(end - size, end, kinds), buffer)


def _texts(values: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(values.type):
        return pc.strftime(values, format="%Y-%m-%dT%H:%M:%SZ")
    return values.cast(pa.string())


def _json(values: pa.Array) -> pa.Array:
    texts = _texts(values)
    is_text = pa.types.is_string(values.type) or pa.types.is_timestamp(values.type)
    return json_strings(texts) if is_text else texts
