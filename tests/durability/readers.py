"""Every reader of a data folder, each by itself, as functions from the folder to all that it would show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tailrace.batch.consumer import consume
from tailrace.batch.dead_letters import DeadLetterStore
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.reader import IcebergReader
from tailrace.batch.recompute import RecomputeEngine
from tailrace.config.settings import Settings, StreamSettings
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import ManualClock
from tailrace.serving import catalog
from tailrace.serving.dead_letters import DeadLetters
from tailrace.serving.follower import Follower
from tailrace.serving.handover import Handover
from tailrace.serving.merge import Merger, ViewQuery, rows_of
from tailrace.serving.sql.engine import SqlEngine
from tailrace.serving.tail import tail_table
from tailrace.speed.backends.embedded import EmbeddedSpeed
from tailrace.states.manifest import ManifestStore
from tailrace.states.segment import read_batch_table
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tailrace.stream.base import ProducerStamp
from tailrace.testing.contracts.stream_samples import read_blocks
from tailrace.views import compile_view
from tests.durability.life import SHIPPED, post_lines
from tests.oracle.rig import SHARDS, Rig

Reader = Callable[[Path], Any]
SQL = "SELECT count(*) n, sum(response_ms) s, min(timestamp) a, max(timestamp) b, max(_offset) o, max(endpoint) e FROM logs"


@contextmanager
def opened(folder: Path) -> Iterator[EmbeddedStream]:
    settings = StreamSettings(shards=SHARDS, file_interval_s=60)
    stream = open_embedded(folder / "stream", settings, DEFAULT_FIELDS, ManualClock())
    try:
        yield stream
    finally:
        stream.close()


def lines(folder: Path) -> Any:
    """Every line and every column of the stream, and all its counts."""
    with opened(folder) as stream:
        shards = stream.shards()
        blocks = [block for shard in shards for block in read_blocks(stream, shard.id)]
        values = [(b.first_offset, b.epoch, b.columns.to_pylist(), b.raw.to_pylist()) for b in blocks]
        seals = [stream.seals(shard.id) for shard in shards]
        ends = [(e.next_offset, e.open_epoch, e.open_counts, e.earliest_offset) for e in map(stream.end, ids(stream))]
        return shards, values, seals, ends


def ids(stream: EmbeddedStream) -> list[str]:
    return [shard.id for shard in stream.shards()]


def retries(folder: Path) -> Any:
    """What a producer hears that sends its posts once more."""
    rig = Rig.__new__(Rig)
    with opened(folder) as stream:
        rig.stream = stream
        return [
            [(put.appended.stored, put.appended.deduplicated) for put in Rig.put(rig, post_lines(n), stamp)]
            for n in (0, 4, 9)
            for stamp in [ProducerStamp("life", 1, n)]
        ]


def dead_letters(folder: Path) -> Any:
    with opened(folder) as stream:
        letters = DeadLetters(stream, DeadLetterStore(folder / "deadletters.db"))
        return letters.total(), [(letter.id, letter.reason, letter.raw) for letter in letters.newest(1000)]


def view(folder: Path) -> Any:
    """The merged view, as the node shows it."""
    with followed(folder, folder) as follower:
        answer = Merger(folder / "states", threads=1).answer(follower.fresh(SHIPPED), SHIPPED, ViewQuery())
        return answer.columns, rows_of(answer.table)


def tail(folder: Path) -> Any:
    """Live tail of a node that has nothing but the stream."""
    with followed(folder, folder / "elsewhere") as follower:
        page = follower.tail.after(0)
        return [row for block in page.blocks for row in tail_table(block).to_pylist()]


@contextmanager
def followed(folder: Path, rest: Path) -> Iterator[Follower]:
    """The node's follower on the stream of `folder`, with manifest and states in `rest`, once it has read all there is."""
    clock = ManualClock()
    with opened(folder) as stream:

        def make_speed(ready: Any, blocks: Any) -> EmbeddedSpeed:
            return EmbeddedSpeed(stream, rest / "states", clock, on_ready=ready, on_blocks=blocks)

        store = ManifestStore(rest / "manifest.db")
        follower = Follower(stream, store, make_speed, folder / "no-views", DEFAULT_FIELDS, clock, 0.04)
        follower.look()
        while follower.step():
            continue
        yield follower


def sql(folder: Path) -> Any:
    with opened(folder) as stream:
        lake = IcebergReader(folder / "lake")
        engine = SqlEngine(stream, lake, Settings(data_dir=folder, views_dir=folder / "views"))
        execution = engine.open()
        try:
            execution.prepare(SQL)
            return [batch.to_pylist() for batch in execution.batches()]
        finally:
            execution.close()
            engine.close()
            lake.close()


def lake(folder: Path) -> Any:
    reader = IcebergReader(folder / "lake")
    try:
        snapshot = reader.current()
        return snapshot.marks, snapshot.totals, [(f.path.name, f.rows, f.columns) for f in snapshot.files]
    finally:
        reader.close()


def states_from_lake(folder: Path) -> Any:
    """The view's states of every shard, computed anew from the files of the lake."""
    view = compile_view(dict(catalog.shipped_views())[SHIPPED], DEFAULT_FIELDS)
    reader, engine = IcebergReader(folder / "lake"), RecomputeEngine(DEFAULT_FIELDS)
    try:
        found = []
        for shard, mark in sorted(reader.position().items()):
            tables, records = engine.states(view, reader.files(), shard, 1, mark.epoch)
            found.append((records, {n: sorted(map(repr, t.to_pylist())) for n, t in tables.items()}))
        return found
    finally:
        engine.close()
        reader.close()


def segments(folder: Path) -> Any:
    """Batch segments, as compaction reads them."""
    view = ManifestStore(folder / "manifest.db").current().views[SHIPPED]
    return [read_batch_table(folder / "states", s, name).to_pylist() for s in view.segments for name in s.files]


def batch_run(folder: Path) -> Any:
    """A batch process that starts, takes over what is sealed, and hands over; then the frontier and the lake."""
    clock = ManualClock()
    with opened(folder) as stream:
        writable = IcebergLake(folder / "lake", DEFAULT_FIELDS, clock)
        try:
            store = ManifestStore(folder / "manifest.db")
            handover = Handover(stream, writable, store, folder / "states", DEFAULT_FIELDS, clock, 3)
            consume(stream, writable)
            handover.cycle()
            rows = {name: sum(s.records for s in states.segments) for name, states in store.current().views.items()}
            return store.current().frontier, rows, writable.position(), writable.totals().rows, store.findings()
        finally:
            writable.close()
