"""States from lake files are the states of the same rows computed in one go, however they are cut into epochs, files and chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace.batch import recompute as module
from tailrace.batch.base import LakeFile
from tailrace.batch.consumer import consume, lake_rows
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.recompute import Bounds, RecomputeEngine, in_chunks, offset_range, recompute
from tailrace.errors import Corrupt, Unavailable
from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields
from tailrace.runtime.clock import ManualClock
from tailrace.serving.sql.logs import logs_schema
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import ReadRequest
from tailrace.stream.codec import concat, plain
from tailrace.testing.contracts.lake_harness import A
from tailrace.testing.contracts.stream_samples import sample_batch
from tailrace.views import CompiledView, compile_view, shipped_views
from tailrace.views.dialects.duckdb import partial_statements, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EPOCHS = 8
PER_EPOCH = 60


@pytest.fixture(scope="module")
def stream() -> MemoryStream:
    clock = ManualClock()
    stream = MemoryStream(DEFAULT_FIELDS, 1, clock)
    for epoch in range(EPOCHS):
        for block in range(2):
            first = epoch * PER_EPOCH + block * 30
            # Numbers jump, so that the event times of every epoch spread over many windows.
            numbers = [n * 1_733_333 % 90_000_000 for n in range(first, first + 30)]
            stream.append(sample_batch(A, numbers, dead=numbers[5:7], dictionary=block == 1)).result()
        stream.seal(A)
        clock.advance(5)
    return stream


@pytest.fixture(scope="module")
def lake(stream: MemoryStream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IcebergLake]:
    lake = IcebergLake(tmp_path_factory.mktemp("lake"), DEFAULT_FIELDS)
    while consume(stream, lake, lines_max=3 * PER_EPOCH) is not None:
        pass
    yield lake
    lake.close()


def shipped(fields: Fields = DEFAULT_FIELDS) -> list[CompiledView]:
    return [compile_view(sql, fields) for _, sql in shipped_views()]


def direct(view: CompiledView, stream: MemoryStream, first: int, last: int) -> Mapping[str, pa.Table]:
    """One pass of the partial statements over the stream's own records."""
    blocks = [b for b in stream.read(ReadRequest(A, 0, max_blocks=1000)) if first <= b.epoch <= last]
    records = concat([b.columns for b in blocks], DEFAULT_FIELDS.block_schema())
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("records", records.filter(pa.compute.equal(records["verdict"], 0)))
        statements = partial_statements(view, "records")
        return {n: connection.sql(s).to_arrow_table().cast(schemas(view)[n]) for n, s in statements.items()}


def rows(tables: Mapping[str, pa.Table]) -> dict[str, list[str]]:
    """Rows in an order of their own, as states have none."""
    return {name: sorted(map(repr, table.to_pylist())) for name, table in tables.items()}


@pytest.mark.parametrize("view", shipped(), ids=lambda v: v.name)
@pytest.mark.parametrize("epochs", [(1, EPOCHS), (1, 1), (2, 5), (EPOCHS, EPOCHS), (4, 99)])
def test_it_is_one_pass_over_the_same_records(
    view: CompiledView, epochs: tuple[int, int], stream: MemoryStream, lake: IcebergLake
) -> None:
    tables, records = recompute(view, lake.files(), A, *epochs, DEFAULT_FIELDS)
    assert rows(tables) == rows(direct(view, stream, *epochs))
    assert records == 56 * (min(epochs[1], EPOCHS) - epochs[0] + 1)
    assert {n: t.schema for n, t in tables.items()} == schemas(view)


@pytest.mark.parametrize("view", shipped(), ids=lambda v: v.name)
def test_chunks_do_not_change_it(
    view: CompiledView, stream: MemoryStream, lake: IcebergLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_PER_CHUNK", 1)
    monkeypatch.setattr(module, "STATE_ROWS_HELD_MAX", 10)
    tables, records = RecomputeEngine(DEFAULT_FIELDS).states(view, lake.files(), A, 1, EPOCHS)
    assert rows(tables) == rows(direct(view, stream, 1, EPOCHS))
    assert records == 56 * EPOCHS


@pytest.mark.parametrize("end", [0, 1, 6, 35, 150, 179, EPOCHS * PER_EPOCH])
def test_only_records_before_an_offset_and_in_a_time_are_taken(
    end: int, stream: MemoryStream, lake: IcebergLake
) -> None:
    """From files, and from the same records in memory."""
    view = shipped()[0]
    records = plain(
        concat([lake_rows(b) for b in stream.read(ReadRequest(A, 0, max_blocks=1000))], logs_schema(DEFAULT_FIELDS)),
        logs_schema(DEFAULT_FIELDS),
    )
    times = records["timestamp"].cast(pa.int64())
    bounds = Bounds(end, 1_790_000_000_000_000, pa.compute.max(times).as_py())
    offsets = records["_offset"].to_pylist()
    inside = [o < end and bounds.from_us <= t < bounds.to_us for o, t in zip(offsets, times.to_pylist(), strict=True)]
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("records", records.filter(pa.array(inside)))
        statements = partial_statements(view, "records")
        expected = {n: connection.sql(s).to_arrow_table().cast(schemas(view)[n]) for n, s in statements.items()}
    engine = RecomputeEngine(DEFAULT_FIELDS)
    for tables, count in (
        engine.states(view, lake.files(), A, 1, EPOCHS, bounds),
        engine.states_of(view, records, bounds),
    ):
        assert rows(tables) == rows(expected)
        assert count == sum(inside)


def test_offsets_of_epochs_are_those_of_their_records(lake: IcebergLake) -> None:
    """The sixth and the seventh line of each block are dead letters; a file holds three epochs."""
    files = lake.files()
    assert [(f.offset_first, f.offset_last) for f in files] == [(0, 179), (180, 359), (360, 479)]
    assert offset_range(files, A, 1, EPOCHS, DEFAULT_FIELDS) == (0, 479)
    assert offset_range(files, A, 2, 2, DEFAULT_FIELDS) == (60, 119)
    assert offset_range(files, A, 3, 4, DEFAULT_FIELDS) == (120, 239)
    assert offset_range(files, A, 9, 12, DEFAULT_FIELDS) is None
    engine = RecomputeEngine(DEFAULT_FIELDS)
    assert [engine.epoch_from(files[0], offset) for offset in (0, 59, 60, 179, 180)] == [1, 1, 2, 3, None]


def test_other_shards_and_epochs_are_not_read(lake: IcebergLake) -> None:
    (view, *_) = shipped()
    gone = [
        LakeFile(lake.files()[0].path.with_name("absent"), shard, first, last, 1, 1, 0, 0)
        for shard, first, last in (("shardId-000000000009", 1, 9), (A, 20, 29))
    ]
    tables, records = recompute(view, gone, A, 1, 19, DEFAULT_FIELDS)
    assert (records, [t.num_rows for t in tables.values()]) == (0, [0] * len(tables))


def test_a_field_younger_than_the_files_is_null(lake: IcebergLake) -> None:
    fields = Fields((*DEFAULT_FIELDS.all, Field("region", FieldKind.TEXT), Field("cost", FieldKind.DECIMAL, scale=2)))
    view = compile_view(
        "CREATE VIEW by_region AS SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start, region,"
        " count(*) AS n, sum(cost) AS total FROM logs GROUP BY ALL",
        fields,
    )
    tables, records = recompute(view, lake.files(), A, 1, EPOCHS, fields)
    assert records == 56 * EPOCHS
    assert set(tables["scalars"]["region"].to_pylist()) == {None}


def test_a_file_that_cannot_be_read_is_named(lake: IcebergLake, tmp_path: Path) -> None:
    broken = tmp_path / "it's broken.parquet"
    broken.write_bytes(lake.files()[0].path.read_bytes()[:-20])
    (view, *_) = shipped()
    with pytest.raises(Corrupt, match="it's broken") as raised:
        recompute(view, [LakeFile(broken, A, 1, 9, 1, 1, 0, 0)], A, 1, 9, DEFAULT_FIELDS)
    assert raised.value.path == str(broken)


def test_what_does_not_fit_in_memory_goes_to_the_folder_given(tmp_path: Path) -> None:
    view = next(v for v in shipped() if v.name == "endpoint_health")
    count = 300_000
    records = pa.table(
        {
            "timestamp": pa.array([i * 1000 for i in range(count)], pa.timestamp("us", "UTC")),
            "endpoint": [f"/users/with/a/long/path/{i % 1000}" for i in range(count)],
            "ip": [f"2001:db8:aaaa:bbbb:cccc:dddd:{i:x}" for i in range(count)],
        }
    )
    pq.write_table(plain(records, logs_schema(DEFAULT_FIELDS)), tmp_path / "many.parquet")
    file = LakeFile(tmp_path / "many.parquet", A, 1, 1, count, 0, 0, 0)
    with pytest.raises(Unavailable, match="do not fit"):
        RecomputeEngine(DEFAULT_FIELDS, memory_bytes_max=32 << 20).states(view, [file], A, 1, 1)
    tables, seen = RecomputeEngine(DEFAULT_FIELDS, memory_bytes_max=32 << 20, spill_dir=tmp_path / "spill").states(
        view, [file], A, 1, 1
    )
    assert (seen, tables["scalars"].num_rows) == (count, 30_000)


def test_chunks_are_neighbours_up_to_the_bound(lake: IcebergLake) -> None:
    files = [LakeFile(lake.files()[0].path, A, i, i, size, 0, 0, 0) for i, size in enumerate([5, 5, 20, 3, 3, 3])]
    assert [[f.epoch_first for f in chunk] for chunk in in_chunks(files, 10)] == [[0, 1], [2], [3, 4, 5]]
    assert list(in_chunks([], 10)) == []
