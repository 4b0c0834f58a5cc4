"""The real parts of a node in one process, stepped by hand: stream, speed layer, lake, handover, merge."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tailrace.batch.consumer import consume
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.formats.base import Limits
from tailrace.formats.decode import decode
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.model.window import datetime_us
from tailrace.runtime.clock import ManualClock
from tailrace.serving.follower import Follower
from tailrace.serving.handover import CycleReport, Handover
from tailrace.serving.ledger import ledger
from tailrace.serving.merge import Merger, ViewQuery, rows_of
from tailrace.speed.backends.embedded import EmbeddedSpeed
from tailrace.states.compaction import merge_tables
from tailrace.states.manifest import ManifestStore
from tailrace.states.segment import read_batch_table
from tailrace.states.tables import concat_states
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import Appended, ProducerStamp
from tailrace.stream.partitioning import split
from tailrace.views.dialects.duckdb import schemas

Answered = tuple[list[str], list[tuple[Any, ...]]]
SHARDS = 2
SEGMENTS_MIN = 3


class Rig:
    """`folder` is a data folder. The stream lives in memory and survives restarts of the parts, as a durable one would."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.stream = MemoryStream(DEFAULT_FIELDS, SHARDS, self.clock)
        self.states_dir = folder / "states"
        self.views_dir = folder / "views"
        self.views_dir.mkdir(parents=True)
        self._lake_dir = folder / "lake"
        self.store = ManifestStore(folder / "manifest.db")
        self._merger = Merger(self.states_dir, threads=1)
        self._lake: IcebergLake | None = None
        self.start_node()
        self.start_batch()

    # -- coming and going ----------------------------------------------------------------------------------------

    def start_node(self) -> None:
        """A new node process: everything that was in memory is gone."""

        def make_speed(on_ready: Any, on_blocks: Any) -> EmbeddedSpeed:
            return EmbeddedSpeed(self.stream, self.states_dir, self.clock, on_ready=on_ready, on_blocks=on_blocks)

        self.follower = Follower(
            self.stream, self.store, make_speed, self.views_dir, DEFAULT_FIELDS, self.clock, poll_s=0.04
        )

    def start_batch(self) -> None:
        """A new batch process; the old one's lock on the lake goes with it."""
        self.close_batch()
        self._lake = IcebergLake(self._lake_dir, DEFAULT_FIELDS, self.clock)
        self._handover = Handover(
            self.stream, self._lake, self.store, self.states_dir, DEFAULT_FIELDS, self.clock, SEGMENTS_MIN
        )

    def close_batch(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    # -- steps ---------------------------------------------------------------------------------------------------

    def put(self, lines: Sequence[bytes], stamp: ProducerStamp | None = None) -> list[Appended]:
        """One post, as ingest does it."""
        post = decode(b"\n".join(lines), "json", DEFAULT_FIELDS, Limits())
        batches = split(post.columns, post.raw, post.keys, self.stream.shards(), post.lines, stamp)
        futures: list[Future[Appended]] = [self.stream.append(batch) for batch in batches]
        return [future.result() for future in futures]

    def seal(self) -> None:
        for shard in self.stream.shards():
            self.stream.seal(shard.id)

    def look(self) -> None:
        self.follower.look()

    def read(self) -> None:
        """The speed layer reads all there is."""
        while self.follower.step():
            continue

    def consume(self) -> None:
        assert self._lake is not None, "the batch process runs"
        while (done := consume(self.stream, self._lake)) is not None and done.waiting:
            continue

    def cycle(self) -> CycleReport:
        return self._handover.cycle()

    def settle(self) -> None:
        """Seal, read, and hand over, until batch covers everything."""
        self.seal()
        self.look()
        self.read()
        self.consume()
        self.cycle()
        self.look()
        self.read()

    # -- what is seen --------------------------------------------------------------------------------------------

    def rows(self, view: str, query: ViewQuery | None = None) -> Answered:
        """Columns and rows of the merged view; windows in microseconds."""
        pinned = self.follower.fresh(view)
        assert pinned is not None, "the node has not caught up yet"
        answer = self._merger.answer(pinned, view, query or ViewQuery())
        rows = [(None if row[0] is None else datetime_us(row[0]), *row[1:]) for row in rows_of(answer.table)]
        return list(answer.columns), rows

    def sketches(self, view: str) -> dict[tuple[Any, ...], dict[str, dict[int, int]]]:
        """(window, keys) -> column -> its merged log buckets or registers, from both sides."""
        pinned = self.follower.fresh(view)
        assert pinned is not None, "the node has not caught up yet"
        compiled, states = pinned.view(view)
        wanted = schemas(compiled)
        sides = [part for epoch in pinned.speed.of(compiled.version).epochs for part in epoch.parts]
        sides += [{n: read_batch_table(self.states_dir, s, n) for n in wanted} for s in states.segments]
        merged = merge_tables(compiled, concat_states(sides, wanted))
        found: dict[tuple[Any, ...], dict[str, dict[int, int]]] = {}
        for output in compiled.outputs:
            kind = {"quantile": ("bins", "bin", "n"), "distinct": ("registers", "register", "rank")}.get(output.kind)
            if kind is None:
                continue
            table, at, value = kind
            for row in merged[table].to_pylist():
                if row["agg"] == output.agg:
                    key = (datetime_us(row["window_start"]), *(row[k.name] for k in compiled.keys))
                    found.setdefault(key, {}).setdefault(output.name, {})[row[at]] = row[value]
        return found

    def frontier(self) -> dict[str, int]:
        return {shard.id: self.store.current().frontier.get(shard.id, 0) for shard in self.stream.shards()}

    def check(self) -> None:
        """Drift is 0 and the ledger balances."""
        assert self.store.findings() == []
        if self.follower.pinned is not None:
            book = ledger(self.stream, self.follower.pinned)
            assert book["balanced"], book
