"""A lake and a stream with known records, and the engine over both."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
import pytest

from tailrace.batch.consumer import consume
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.reader import IcebergReader
from tailrace.config.settings import Settings
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import ManualClock
from tailrace.serving.sql.engine import SqlEngine
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.testing.contracts.stream_samples import sample_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from tailrace.batch.base import Lake
    from tailrace.stream.base import StreamBackend

FIRST_US = 1_790_000_000_000_000
"""Event time of line 0 of the samples; each next is a microsecond later."""
SEALED_EPOCHS = 6
LINES = 160
"""Lines of each of the two shards: six epochs of 20 in the lake, 40 in the stream only. Every tenth is a dead letter."""


class World:
    """One installation's data, without processes."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder, views_dir=folder / "views")
        self.stream = MemoryStream(DEFAULT_FIELDS, 2, ManualClock())
        self.lake = IcebergLake(self.settings.lake_dir, DEFAULT_FIELDS)
        self.shards = [shard.id for shard in self.stream.shards()]

    def put(self, shard: str, count: int) -> None:
        first = self.stream.end(shard).next_offset
        lines = range(first, first + count)
        dead = [n for n in lines if n % 10 == 9]
        self.stream.append(sample_batch(shard, lines, dead=dead, dictionary=first % 3 == 0)).result()

    def close(self) -> None:
        self.lake.close()


class TwoViews:
    """`endpoint_health` and `by_hour`, as serving would give them."""

    tables: ClassVar = {
        "endpoint_health": pa.table({"endpoint": ["/a", "/b"], "requests": [3, 4]}),
        "by_hour": pa.table({"hour": [1, 2]}),
    }

    def names(self) -> list[str]:
        return list(self.tables)

    def __call__(self, connection: duckdb.DuckDBPyConnection, names: frozenset[str]) -> list[str]:
        wanted = [name for name in self.tables if name in names]
        for name in wanted:
            connection.register(name, self.tables[name])
        return wanted

    def streams(self) -> dict[str, str]:
        return {"upper": "CREATE STREAM upper AS SELECT * FROM logs WHERE status >= 202"}


def engine_of(world: World, lake: Lake | None = None, stream: StreamBackend | None = None) -> SqlEngine:
    reader = lake or IcebergReader(world.settings.lake_dir)
    return SqlEngine(stream or world.stream, reader, world.settings, TwoViews())


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    for _ in range(SEALED_EPOCHS):
        for shard in world.shards:
            world.put(shard, 20)
            world.stream.seal(shard)
        consume(world.stream, world.lake)
    for shard in world.shards:
        world.put(shard, 15)
        world.stream.seal(shard)
        world.put(shard, 25)
    yield world
    world.close()


@pytest.fixture(scope="package")
def engine(world: World) -> Iterator[SqlEngine]:
    engine = engine_of(world)
    yield engine
    engine.close()


def rows(engine: SqlEngine, sql: str) -> list[tuple[object, ...]]:
    """All rows of a statement's answer."""
    execution = engine.open()
    try:
        execution.prepare(sql)
        return [tuple(row.values()) for batch in execution.batches() for row in batch.to_pylist()]
    finally:
        execution.close()
