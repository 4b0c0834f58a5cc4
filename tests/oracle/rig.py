"""The real parts of a node in one process, stepped by hand: stream, speed layer, lake, handover, merge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tailrace.batch.base import LakeSnapshot
from tailrace.batch.compaction import CompactionPolicy, compact
from tailrace.batch.consumer import consume
from tailrace.batch.dead_letters import DeadLetterStore
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.reader import IcebergReader
from tailrace.batch.retention import retain
from tailrace.config.settings import RetentionSettings, StreamSettings
from tailrace.errors import ShardClosed
from tailrace.formats.base import Limits
from tailrace.formats.decode import decode
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.model.shard import Shard
from tailrace.model.window import datetime_us, parse_iso
from tailrace.runtime.clock import ManualClock
from tailrace.serving.follower import Follower
from tailrace.serving.handover import CycleReport, Handover
from tailrace.serving.housekeeping import Housekeeping
from tailrace.serving.ledger import ledger
from tailrace.serving.merge import Merger, ViewAnswer, ViewQuery, rows_of
from tailrace.serving.past.read import PastAnswer, PastViews
from tailrace.serving.pin import Pinned
from tailrace.speed.backends.embedded import KEYS_MAX, EmbeddedSpeed
from tailrace.states.compaction import merge_tables
from tailrace.states.manifest import ManifestStore
from tailrace.states.segment import read_batch_table
from tailrace.states.tables import concat_states
from tailrace.stream.backends.embedded import open_embedded
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import Appended, ProducerStamp, StreamBackend
from tailrace.stream.partitioning import split
from tailrace.views.dialects.duckdb import schemas

Answered = tuple[list[str], list[tuple[Any, ...]]]
SHARDS = 2
SEGMENTS_MIN = 3
DAY_S = 86_400
KEPT = RetentionSettings(
    stream_age_s=DAY_S, lake_age_s=0, dead_letters_age_s=0, states_fine_age_s=0, states_minute_age_s=0, states_age_s=0
)
FILES_MIN = CompactionPolicy(files_min=2, growth=1)


@dataclass(frozen=True, slots=True)
class Put:
    """What became of the lines of a post that belong to one shard. `lines`: their numbers in the post."""

    appended: Appended
    lines: list[int]

    def places(self) -> list[tuple[str, int, int]]:
        """(shard, offset, line) of each that was stored, dead letters too."""
        fresh = [line for line in self.lines if line not in self.appended.duplicate_lines]
        first = self.appended.first_offset
        return [(self.appended.shard_id, first + n, line) for n, line in enumerate(fresh)]


class Rig:
    """`folder` is a data folder. The stream is the embedded one on disk, or one in memory that outlives the other parts."""

    def __init__(self, folder: Path, *, embedded: bool = False, keys_max: int = KEYS_MAX) -> None:
        self._keys_max = keys_max
        self.clock = ManualClock()
        self._stream_dir = folder / "stream" if embedded else None
        self.stream: StreamBackend = MemoryStream(DEFAULT_FIELDS, SHARDS, self.clock)
        if embedded:
            self.reopen_stream()
        self.states_dir = folder / "states"
        self.views_dir = folder / "views"
        self.views_dir.mkdir(parents=True)
        self._lake_dir = folder / "lake"
        self.store = ManifestStore(folder / "manifest.db")
        self.letters = DeadLetterStore(folder / "deadletters.db")
        self._merger = Merger(self.states_dir, threads=1)
        self._lake: IcebergLake | None = None
        self.start_node()
        self.start_batch()

    # -- coming and going ----------------------------------------------------------------------------------------

    def reopen_stream(self) -> None:
        """All processes at once: what is not on disk is gone. Without effect on a stream in memory."""
        if self._stream_dir is None:
            return
        self.stream.close()
        settings = StreamSettings(shards=SHARDS, file_interval_s=60)
        self.stream = open_embedded(self._stream_dir, settings, DEFAULT_FIELDS, self.clock)

    def restart(self) -> None:
        self.reopen_stream()
        self.start_node()
        self.start_batch()

    def close(self) -> None:
        self.close_batch()
        self.stream.close()

    def start_node(self) -> None:
        """A new node process: everything that was in memory is gone."""

        def make_speed(on_ready: Any, on_blocks: Any) -> EmbeddedSpeed:
            return EmbeddedSpeed(
                self.stream,
                self.states_dir,
                self.clock,
                keys_max=self._keys_max,
                on_ready=on_ready,
                on_blocks=on_blocks,
            )

        self.follower = Follower(
            self.stream, self.store, make_speed, self.views_dir, DEFAULT_FIELDS, self.clock, poll_s=0.04
        )

    def start_batch(self) -> None:
        """A new batch process; the old one's lock on the lake goes with it."""
        self.close_batch()
        self._lake = IcebergLake(self._lake_dir, DEFAULT_FIELDS, self.clock)
        self._handover = Handover(
            self.stream, self._lake, self.store, self.states_dir, DEFAULT_FIELDS, self.clock, SEGMENTS_MIN, KEPT
        )

    def close_batch(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    # -- steps ---------------------------------------------------------------------------------------------------

    def put(self, lines: Sequence[bytes], stamp: ProducerStamp | None = None) -> list[Put]:
        """One post, as ingest does it: what meets the end of a shard is divided anew."""
        post = decode(b"\n".join(lines), "json", DEFAULT_FIELDS, Limits())
        batches = split(post.columns, post.raw, post.keys, self.stream.shards(), post.lines, stamp)
        puts: list[Put] = []
        while batches:
            futures = [(batch, self.stream.append(batch)) for batch in batches]
            batches = []
            for batch, future in futures:
                try:
                    puts.append(Put(future.result(), [int(line) for line in batch.lines]))
                except ShardClosed:
                    rows = pa.array([list(post.lines).index(line) for line in batch.lines])
                    keys, shards = post.keys.take(rows), self.stream.shards()
                    batches += split(batch.columns, batch.raw, keys, shards, batch.lines, stamp)
        return puts

    def open_shards(self) -> list[Shard]:
        """By their hash range."""
        return sorted((s for s in self.stream.shards() if not s.closed), key=lambda s: s.hash_first)

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

    def compact_lake(self) -> None:
        assert self._lake is not None, "the batch process runs"
        while compact(self._lake, FILES_MIN) is not None:
            continue
        self._lake.clean()

    def let_lake_go(self, through: int) -> None:
        """Files of epochs up to `through` that batch has covered, of every shard."""
        assert self._lake is not None, "the batch process runs"
        frontier = {shard: min(through, epoch) for shard, epoch in self.frontier().items()}
        retain(self._lake, frontier, self.clock.now_us() + 1)

    def keep_house(self) -> None:
        """What batch does between its cycles: the stream keeps a day, everything else all it has."""
        assert self._lake is not None, "the batch process runs"
        for step in Housekeeping(self.stream, self._lake, self.store, self.letters, KEPT, DAY_S, self.clock).steps():
            step()

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

    def rows(self, view: str, query: ViewQuery | None = None, *, fresh: bool = True) -> Answered:
        """Columns and rows of the merged view; windows in microseconds. `fresh`: as people ask, up to the stream's end."""
        pinned = self.follower.fresh(view) if fresh else self.pinned
        return _answered(self._merger.answer(pinned, view, query or ViewQuery()))

    def rows_at(self, view: str, ends: Mapping[str, int], query: ViewQuery | None = None) -> Answered:
        """The same of the lines before `ends`, by shard: as the query process computes it."""
        return _answered(self.past(view, ends, query).answer)

    def past(
        self, view: str, ends: Mapping[str, int], query: ViewQuery | None = None, version: str | None = None
    ) -> PastAnswer:
        with self.past_views() as past:
            return past.answer(view, query or ViewQuery(), ends, version)

    @contextmanager
    def past_views(self) -> Iterator[PastViews]:
        """As the query process has it."""
        lake = IcebergReader(self._lake_dir)
        try:
            yield PastViews(self.stream, lake, self.store, self.states_dir, DEFAULT_FIELDS)
        finally:
            lake.close()

    def lake_now(self) -> LakeSnapshot:
        assert self._lake is not None, "the batch process runs"
        return self._lake.current()

    @property
    def pinned(self) -> Pinned:
        assert self.follower.pinned is not None, "the node has not caught up yet"
        return self.follower.pinned

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


def _answered(answer: ViewAnswer) -> Answered:
    rows = [(None if row[0] is None else parse_iso(row[0]), *row[1:]) for row in rows_of(answer.table)]
    return list(answer.columns), rows
