"""Records under a list of fields other than that of their time: as if they came now, alike from blocks and lake files, and none lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.batch.base import LakeFile
from tailrace.batch.evolution import EvolvedFiles
from tailrace.formats.evolve import evolved
from tailrace.model.fields import DEFAULT_FIELDS, EXTRA, VERDICT, Field, FieldKind, Fields
from tailrace.serving.sql.logs import logs_schema
from tailrace.stream.codec import arranged, compact, plain
from tailrace.views.dialects.duckdb.engine import open_engine, rows_as_arrow
from tests.formats.decoding import STAMP, decoded

KINDS = {
    "none": None,
    "text": Field("k", FieldKind.TEXT),
    "integer": Field("k", FieldKind.INTEGER),
    "decimal": Field("k", FieldKind.DECIMAL, scale=3),
    "coarse": Field("k", FieldKind.DECIMAL, scale=1),
    "timestamp": Field("k", FieldKind.TIMESTAMP),
    "zoned": Field("k", FieldKind.TIMESTAMP, zone="Asia/Tokyo"),
    "source": Field("k", FieldKind.TEXT, source="other key"),
}


def fields_of(kind: str) -> Fields:
    if kind == "many":
        return Fields((*DEFAULT_FIELDS.all, *(Field(name, FieldKind.TEXT) for name in ("k", "n", "other"))))
    if kind == "many others":
        return Fields((*DEFAULT_FIELDS.all, *(Field(name, FieldKind.INTEGER) for name in ("n", "k"))))
    field = KINDS[kind]
    return DEFAULT_FIELDS if field is None else Fields((*DEFAULT_FIELDS.all, field))


values = st.one_of(
    st.integers(-(2**40), 2**40),
    st.decimals(-1000, 1000, places=4).map(lambda n: json.loads(str(n))),
    st.none(),
    st.booleans(),
    st.text(max_size=4),
    st.sampled_from(
        ["5", "2.6005", STAMP, "2026-11-22 10:00:00.123456", "", "k", '"k"', {"k": 1}, [1, "k"], 1e30, 1763805600]
    ),
)
records = st.fixed_dictionaries(
    {}, optional={"k": values, "other key": values, "n": values, "status": values, "k_": values}
)


def body_of(found: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps({"timestamp": STAMP, **each}, ensure_ascii=bool(n % 2)) for n, each in enumerate(found)]
    return "\n".join([*lines, "bad"]).encode("utf-8", "replace")


def stored(found: list[dict[str, Any]], kind: str) -> pa.Table:
    return compact(decoded(body_of(found), fields=fields_of(kind)).columns)


@settings(deadline=None, max_examples=60)
@given(st.lists(records, max_size=6), st.sampled_from(sorted(KINDS)))
def test_a_field_that_comes_is_read_as_if_it_had_been_there(found: list[dict[str, Any]], kind: str) -> None:
    fields = fields_of(kind)
    before = arranged(stored(found, "none"), fields)
    now = decoded(body_of(found), fields=fields).columns
    assert before.schema.names == now.schema.names
    for name in fields.names:
        assert before[name].to_pylist() == now[name].to_pylist()


@settings(deadline=None, max_examples=100)
@given(st.lists(records, min_size=1, max_size=6), st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=4))
def test_no_value_is_lost_whatever_the_fields_become(found: list[dict[str, Any]], kinds: list[str]) -> None:
    table = stored(found, kinds[0])
    for kind in kinds[1:]:
        table = arranged(table, fields_of(kind))
        assert plain(table, fields_of(kind).block_schema()).schema == fields_of(kind).block_schema()
    for given_, row in zip(found, table.to_pylist(), strict=False):
        extra = json.loads(row[EXTRA] or "{}")
        if given_.get("k") is not None:
            assert row.get("k") is not None or any(extra.get(key) is not None for key in ("k", "k_", "k__"))
        if given_.get("n") is not None:
            assert extra["n"] == given_["n"]


@settings(deadline=None, max_examples=30)
@given(
    found=st.lists(records, min_size=1, max_size=6),
    before=st.sampled_from([*KINDS, "many", "many others"]),
    now=st.sampled_from([*KINDS, "many", "many others"]),
)
@example(found=[{"k": "5", "n": 1}, {"k": "x"}], before="many", now="none")
@example(found=[{"k": "5", "n": 1}, {"k": "x"}], before="many", now="many others")
def test_blocks_and_lake_files_are_read_alike(
    tmp_path_factory: pytest.TempPathFactory, found: list[dict[str, Any]], before: str, now: str
) -> None:
    fields = fields_of(now)
    table = stored(found, before)
    good = table.slice(0, len(found))
    wanted = plain(arranged(good, fields), fields.block_schema()).drop_columns([VERDICT])
    file = as_lake_file(tmp_path_factory.mktemp("lake") / "a.parquet", good, fields_of(before))
    connection = open_engine()
    (select,) = EvolvedFiles(connection, fields).selects([file])
    names = ", ".join(f'"{name}"' for name in wanted.column_names)
    read = rows_as_arrow(connection, f"SELECT {names} FROM ({select})")
    connection.close()
    assert read.cast(wanted.schema).to_pylist() == wanted.to_pylist()


def as_lake_file(path: Path, records_: pa.Table, fields: Fields) -> LakeFile:
    schema = logs_schema(fields)
    pq.write_table(plain(records_, schema), path)
    return LakeFile(path, "s", 1, 1, records_.num_rows, 0, 0, 0, frozenset(schema.names), schema=schema)


@pytest.mark.parametrize(
    ("value", "before", "now", "field", "kept"),
    [
        ('"abc"', "text", "integer", None, {"k": "abc"}),
        ('"5"', "text", "integer", 5, {}),
        ("5", "integer", "text", "5", {}),
        ("2.6", "decimal", "integer", None, {"k": 2.6}),
        ("2.6", "decimal", "text", "2.600", {}),
        ('"x"', "integer", "text", "x", {"k": "x"}),
        ('"x"', "text", "none", None, {"k": "x"}),
        ("5", "integer", "none", None, {"k": 5}),
        (f'"{STAMP}"', "timestamp", "none", None, {"k": "2026-11-22T10:00:00.000000Z"}),
        ("1763805600", "none", "text", "1763805600", {"k": 1763805600}),
    ],
)
def test_what_becomes_of_a_value(value: str, before: str, now: str, field: Any, kept: dict[str, Any]) -> None:
    table = decoded(f'{{"ts":"{STAMP}","k":{value}}}'.encode(), fields=fields_of(before)).columns
    (row,) = evolved(table, fields_of(now)).to_pylist()
    assert row.get("k") == field
    assert json.loads(row[EXTRA] or "{}") == kept


def test_keys_are_found_however_they_were_written() -> None:
    body = f'{{"ts":"{STAMP}","\\u006b":"a\\"b"}}\n{{"ts":"{STAMP}","k\\"":1}}'.encode()
    fields = Fields((*DEFAULT_FIELDS.all, Field("k", FieldKind.TEXT), Field("q", FieldKind.TEXT, source='k"')))
    found = evolved(decoded(body).columns, fields).to_pylist()
    assert [(row["k"], row["q"]) for row in found] == [('a"b', None), (None, "1")]


def test_a_member_of_the_same_name_stays() -> None:
    body = f'{{"ts":"{STAMP}","k":1,"other key":"mine"}}'.encode()
    table = decoded(body, fields=fields_of("source")).columns
    (row,) = evolved(table, DEFAULT_FIELDS).to_pylist()
    assert json.loads(row[EXTRA]) == {"k": 1, "k_": "mine"}


def test_nothing_is_done_where_nothing_changed() -> None:
    table = stored([{"k": 1}] * 300, "text")
    assert evolved(table, fields_of("text")) is table
