"""Explore's questions over a lake and a stream with known records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tailrace.batch.consumer import consume
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.reader import IcebergReader
from tailrace.config.settings import Settings
from tailrace.errors import Invalid, NotFound
from tailrace.model.fields import DEFAULT_FIELDS, RAW_SCHEMA
from tailrace.model.window import iso, us_datetime
from tailrace.runtime.clock import ManualClock
from tailrace.serving.search.asked import (
    CompareAsked,
    ContextAsked,
    ExportAsked,
    FieldsAsked,
    HistogramAsked,
    PageAsked,
    Scope,
    ValuesAsked,
)
from tailrace.serving.search.compare import divergence, search_compare
from tailrace.serving.search.context import search_context
from tailrace.serving.search.export import Export
from tailrace.serving.search.ground import Search, Searcher
from tailrace.serving.search.histogram import search_histogram, step_us
from tailrace.serving.search.page import search_page
from tailrace.serving.search.values import search_fields, search_values
from tailrace.serving.sql.engine import SqlEngine
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import ShardBatch

START_US = 1_790_000_000_000_000
SECOND = 1_000_000


def record(n: int) -> dict[str, Any]:
    """Record `n` of a shard: a second after the one before."""
    bad = n % 10 == 3
    return {
        "verdict": 0,
        "timestamp": us_datetime(START_US + n * SECOND),
        "service": "shop",
        "endpoint": "/pay" if bad else f"/item/{n % 3}",
        "status": 503 if bad else 200,
        "response_ms": 900 if bad else 20 + n % 7,
        "level": "ERROR" if bad else "INFO",
        "trace_id": f"trace{n:08d}",
        "message": f"order {n} {'timed out' if bad else 'done'} <b>x</b>",
        "extra": '{"plan":"pro"}' if n % 2 else None,
    }


class World:
    """Two shards with `lake` records each in the lake, `tail` more in the stream only."""

    def __init__(self, folder: Path, lake: int = 100, tail: int = 20) -> None:
        self.settings = Settings(data_dir=folder, views_dir=folder / "views")
        self.stream = MemoryStream(DEFAULT_FIELDS, 2, ManualClock())
        self.lake = IcebergLake(self.settings.lake_dir, DEFAULT_FIELDS)
        self.shards = [shard.id for shard in self.stream.shards()]
        for first in range(0, lake, 25):
            self.put(first, 25)
            for shard in self.shards:
                self.stream.seal(shard)
            consume(self.stream, self.lake)
        self.put(lake, tail)
        self.engine = SqlEngine(self.stream, IcebergReader(self.settings.lake_dir), self.settings)
        self.searcher = Searcher(self.engine, self.stream, self.settings)

    def put(self, first: int, count: int) -> None:
        rows = [record(n) for n in range(first, first + count)]
        columns = pa.Table.from_pylist(rows, schema=DEFAULT_FIELDS.block_schema())
        raw = pa.table([pa.array([b"x"] * count), pa.nulls(count, pa.string())], schema=RAW_SCHEMA)
        for shard in self.shards:
            self.stream.append(ShardBatch(shard, columns, raw)).result()

    def close(self) -> None:
        self.engine.close()
        self.lake.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("search"))
    yield world
    world.close()


@pytest.fixture
def search(world: World) -> Iterator[Search]:
    search = world.searcher.open()
    yield search
    search.close()


def column(answer: dict[str, Any], name: str) -> list[Any]:
    place = [c["name"] for c in answer["columns"]].index(name)
    return [row[place] for row in answer["rows"]]


def all_pages(world: World, asked: PageAsked) -> list[dict[str, Any]]:
    pages: list[dict[str, Any]] = []
    while True:
        search = world.searcher.open()
        pages.append(search_page(search, asked))
        search.close()
        if pages[-1]["cursor"] is None:
            return pages
        asked.cursor = pages[-1]["cursor"]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_hold_every_record_once_and_in_order(world: World, order: Any) -> None:
    pages = all_pages(world, PageAsked(limit=33, order=order))
    times = [t for page in pages for t in column(page, "timestamp")]
    places = [p for page in pages for p in zip(column(page, "_shard"), column(page, "_sequence_number"), strict=True)]
    assert len(times) == len(set(places)) == 240
    assert times == sorted(times, reverse=order == "newest")


def test_pages_stay_as_they_were_while_records_arrive(tmp_path: Path) -> None:
    world = World(tmp_path, lake=50, tail=10)
    first = all_pages(world, PageAsked(limit=40))
    asked = PageAsked(limit=40)
    search = world.searcher.open()
    asked.cursor = search_page(search, asked)["cursor"]
    search.close()
    world.put(30, 25)  # with times in the middle of what is shown
    for shard in world.shards:
        world.stream.seal(shard)
    consume(world.stream, world.lake)
    later = all_pages(world, asked)
    assert [p["rows"] for p in later] == [p["rows"] for p in first[1:]]
    world.close()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 240),
        ("level:error", 24),
        ("timed", 24),
        ('"timed out" endpoint:/pay', 24),
        ("trace00000042", 2),
        ("order 7", 2),
        ("503", 24),
        ("plan:pro -status:503", 96),
        ("nothing_has_this", 0),
        ("response_ms:>=900", 24),
        ("endpoint:/item/*", 216),
    ],
)
def test_finds(search: Search, query: str, count: int) -> None:
    assert len(search_page(search, PageAsked(query=query, limit=1000))["rows"]) == count


def test_takes_sql_times_and_columns(search: Search) -> None:
    asked = PageAsked(
        query="level:ERROR", sql="status = 503", from_=iso(START_US), to=iso(START_US + 20 * SECOND),
        columns=["message", "extra.plan"],
    )  # fmt: skip
    answer = search_page(search, asked)
    assert [c["name"] for c in answer["columns"]] == [
        "message",
        "extra.plan",
        "_shard",
        "_sequence_number",
        "_arrived_at",
    ]
    assert [row[:2] for row in answer["rows"][:2]] == [["order 13 timed out <b>x</b>", "pro"]] * 2
    assert len(answer["rows"]) == 4


def test_an_empty_range_and_a_damaged_cursor_are_refused(search: Search) -> None:
    with pytest.raises(Invalid, match="empty"):
        search_page(search, PageAsked(from_=iso(START_US), to=iso(START_US)))
    with pytest.raises(Invalid, match="cursor"):
        search_page(search, PageAsked(cursor="eyJ4Ijoxf"))


def test_a_histogram_counts_every_record(search: Search) -> None:
    answer = search_histogram(search, HistogramAsked(buckets=10, group_by="endpoint", top=2))
    assert (answer["total"], answer["exact"]) == (240, True)
    assert sum(sum(line["counts"]) for line in answer["series"]) == 240
    assert [line["others"] for line in answer["series"]] == [False, False, True]
    assert {len(line["counts"]) for line in answer["series"]} == {len(answer["starts"])}


def test_a_histogram_of_nothing_is_empty(search: Search) -> None:
    assert search_histogram(search, HistogramAsked(query="nothing_has_this"))["starts"] == []


def test_buckets_are_of_usual_widths() -> None:
    assert [step_us(span * SECOND, 60) // SECOND for span in (60, 61, 3600, 86_400)] == [1, 2, 60, 1800]


def test_a_sample_says_so_and_counts_up(search: Search) -> None:
    answer = search_histogram(search, HistogramAsked(sample_rows=100))
    assert not answer["exact"]
    assert answer["rows_read"] < answer["rows_in_range"] == 240
    assert 200 <= answer["total"] <= 280


def test_fields_come_with_types_and_shares(search: Search) -> None:
    fields = {f["name"]: f for f in search_fields(search, FieldsAsked())["fields"]}
    assert (fields["status"]["type"], fields["status"]["share"]) == ("integer", 1.0)
    assert (fields["method"]["share"], fields["extra.plan"]["type"], fields["extra.plan"]["share"]) == (
        0.0,
        "text",
        0.5,
    )


def test_values_come_with_counts_and_shares(search: Search) -> None:
    answer = search_values(search, ValuesAsked(field="status"))
    assert [(v["value"], v["count"], v["share"]) for v in answer["values"]] == [("200", 216, 0.9), ("503", 24, 0.1)]
    assert (answer["numbers"]["min"], answer["numbers"]["max"], answer["exact"]) == (200, 503, True)
    assert [v["value"] for v in search_values(search, ValuesAsked(field="endpoint", prefix="/P"))["values"]] == ["/pay"]


def test_values_of_a_field_that_nobody_has(search: Search) -> None:
    answer = search_values(search, ValuesAsked(field="extra.nobody"))
    assert (answer["values"], answer["present"]) == ([], 0)


def test_context_is_of_the_same_shard_over_lake_and_stream(search: Search) -> None:
    page = search_page(search, PageAsked(query='"order 99"', limit=1))
    asked = ContextAsked(column(page, "_shard")[0], column(page, "_sequence_number")[0], before=3, after=4)
    answer = search_context(search, asked)
    assert [m.split()[1] for m in column(answer, "message")] == ["96", "97", "98", "99", "100", "101", "102", "103"]
    assert answer["index"] == 3
    assert len(set(column(answer, "_shard"))) == 1


def test_context_of_an_unknown_shard(search: Search) -> None:
    with pytest.raises(NotFound):
        search_context(search, ContextAsked("shardId-000000000099", "49" + "0" * 54))


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_exports_all_records(search: Search, form: Any) -> None:
    export = Export(search, ExportAsked(query="level:ERROR", format=form))
    body = b"".join(export.chunks())
    assert export.count == 24
    if form == "parquet":
        assert pa.parquet.read_table(pa.BufferReader(body)).num_rows == 24
    else:
        assert body.count(b"\n") == (25 if form == "csv" else 24)


def test_compares_a_selection_with_the_rest(search: Search) -> None:
    answer = search_compare(search, CompareAsked(selection=Scope(query="response_ms:>800")))
    names = [f["field"] for f in answer["fields"]]
    assert set(names[:4]) == {"endpoint", "level", "response_ms", "status"}
    assert all(f["difference"] > 0.9 for f in answer["fields"][:4])
    assert all(f["difference"] < 0.5 for f in answer["fields"][4:])
    assert "trace_id" in answer["left_out"]
    assert (answer["selection"]["records"], answer["baseline"]["records"]) == (24, 216)


def test_a_side_without_records_is_refused(search: Search) -> None:
    with pytest.raises(Invalid, match="the selection has no records"):
        search_compare(search, CompareAsked(selection=Scope(query="nothing_has_this")))


def test_divergence_is_nothing_for_the_same_and_one_for_apart() -> None:
    assert divergence({"a": (1, 10), "b": (2, 20)}) == pytest.approx(0)
    assert divergence({"a": (5, 0), "b": (0, 7)}) == 1
