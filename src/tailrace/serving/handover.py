"""Move the frontier: lake rows -> batch states -> compare with speed -> one manifest swap. Runs in the batch process.

A cycle may be killed at any point: what it wrote is named by no manifest until the swap, and the next cycle does it again.
The frontier of a shard moves over an epoch only once the lake holds it, batch has computed it from those lake rows, and the
speed layer has written its own states of it for every served view, so that the two can be compared.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tailrace.batch.base import Lake, LakeSnapshot
from tailrace.batch.recompute import recompute
from tailrace.errors import Corrupt, ViewError
from tailrace.model.fields import Fields
from tailrace.runtime.clock import Clock
from tailrace.serving.drift import compare
from tailrace.states.compaction import compact, merge_tables
from tailrace.states.manifest import Finding, LakePin, Manifest, ManifestStore, ViewStates, WantedView
from tailrace.states.segment import Segment, SpeedSegment, list_speed_segments, read_speed_segment, write_batch_segment
from tailrace.states.tables import StateTables, concat_states
from tailrace.stream.base import StreamBackend
from tailrace.views import CompiledView, compile_view
from tailrace.views.dialects.duckdb import schemas

LOG = logging.getLogger(__name__)
GARBAGE_AGE_US = 600_000_000
"""Segment files that no manifest of the last ten minutes names are deleted."""


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What a cycle did. `waiting`: shards whose lake is ahead of the frontier because speed has not written its states yet."""

    generation: int
    moved: dict[str, tuple[int, int]]
    built: tuple[str, ...]
    records: int
    drift_rows: int
    waiting: tuple[str, ...]


class Handover:
    """One per batch process. Takes the fencing token when made; Fenced from `cycle` means: stop."""

    def __init__(
        self,
        stream: StreamBackend,
        lake: Lake,
        store: ManifestStore,
        states_dir: Path,
        fields: Fields,
        clock: Clock,
        segments_min: int,
    ) -> None:
        self._stream = stream
        self._lake = lake
        self._store = store
        self._states_dir = states_dir
        self._fields = fields
        self._clock = clock
        self._segments_min = segments_min
        self._token = store.acquire_token()
        self._compiled: dict[str, CompiledView] = {}

    def cycle(self) -> CycleReport:
        """Build wanted views that are not served yet, move the frontier as far as the lake and speed allow, swap."""
        before = self._store.current()
        lake = self._lake.current()
        shards = [shard.id for shard in self._stream.shards()]
        frontier = {shard: before.frontier.get(shard, 0) for shard in shards}
        views, built = self._build_wanted(before, lake, frontier)
        targets = {shard: self._target(lake, shard, frontier[shard], views) for shard in shards}
        moves = {shard: (frontier[shard] + 1, target) for shard, target in targets.items() if target > frontier[shard]}
        records, drift = 0, 0
        for shard, epochs in moves.items():
            moved = 0
            for name, states in views.items():
                segment, differing = self._advance(states, lake, shard, epochs)
                views[name] = msgspec.structs.replace(states, segments=(*states.segments, segment))
                moved, drift = max(moved, segment.records), drift + differing
            records += moved
        waiting = tuple(s for s in shards if lake.mark(s).epoch > targets[s])
        after = msgspec.structs.replace(
            before,
            frontier={shard: max(frontier[shard], targets[shard]) for shard in shards},
            lake=_lake_pin(lake),
            views={name: self._compact(states) for name, states in views.items()},
        )
        if (
            moves
            or built
            or after.views.keys() != before.views.keys()
            or after.frontier.keys() != before.frontier.keys()
        ):
            after = self._store.swap(before.generation, after, self._token, self._clock.now_us())
            self._collect_garbage()
        return CycleReport(after.generation, moves, built, records, drift, waiting)

    # -- views ---------------------------------------------------------------------------------------------------

    def _build_wanted(
        self, manifest: Manifest, lake: LakeSnapshot, frontier: dict[str, int]
    ) -> tuple[dict[str, ViewStates], tuple[str, ...]]:
        """The views to serve next: wanted ones as they stand, a new version in place of the old once its history is built."""
        views: dict[str, ViewStates] = {}
        built: list[str] = []
        for wanted in self._store.wanted():
            served = manifest.views.get(wanted.name)
            if served is not None and not self._means_the_same(served.sql, served.version):
                LOG.info("view %s: its version %s was made of other fields", served.name, served.version)
                served = None
            if not self._means_the_same(wanted.sql, wanted.version):
                # The node has not said yet what it wants under the fields of now.
                if served is not None:
                    views[wanted.name] = served
                continue
            if served is not None and served.version == wanted.version:
                views[wanted.name] = served
            elif wanted.speed_ready:
                views[wanted.name] = self._build(wanted, lake, frontier)
                built.append(wanted.name)
            elif served is not None:
                views[wanted.name] = served
        return views, tuple(built)

    def _build(self, wanted: WantedView, lake: LakeSnapshot, frontier: dict[str, int]) -> ViewStates:
        """All of history up to the frontier, from the lake."""
        segments: list[Segment] = []
        for shard, last in frontier.items():
            if last == 0:
                continue
            tables, records = self._recompute(self._compile(wanted.sql), lake, shard, (1, last))
            segments.append(write_batch_segment(self._states_dir, wanted.version, shard, (1, last), records, tables))
        LOG.info("view %s version %s is built from history", wanted.name, wanted.version)
        return ViewStates(name=wanted.name, version=wanted.version, sql=wanted.sql, segments=tuple(segments))

    def _means_the_same(self, sql: str, version: str) -> bool:
        """Whether the view is of this version under the fields of now."""
        try:
            return self._compile(sql).version == version
        except ViewError:
            return False

    def _compile(self, sql: str) -> CompiledView:
        if sql not in self._compiled:
            self._compiled[sql] = compile_view(sql, self._fields)
        return self._compiled[sql]

    # -- one shard, one view -------------------------------------------------------------------------------------

    def _target(self, lake: LakeSnapshot, shard: str, frontier: int, views: dict[str, ViewStates]) -> int:
        """Last epoch up to which the lake and the speed segments of every view reach without a hole."""
        mark = lake.mark(shard)
        if mark.epoch <= frontier:
            return frontier
        sealed = [seal.epoch for seal in self._stream.seals(shard, frontier) if seal.epoch <= mark.epoch]
        target = frontier
        on_disk = [set(list_speed_segments(self._states_dir, states.version)) for states in views.values()]
        for epoch in sealed:
            if not all((shard, epoch) in listed for listed in on_disk):
                break
            target = epoch
        return target

    def _advance(
        self, states: ViewStates, lake: LakeSnapshot, shard: str, epochs: tuple[int, int]
    ) -> tuple[Segment, int]:
        """Batch states of the epochs, compared with speed's. Batch wins; a difference is recorded before the frontier moves."""
        view = self._compile(states.sql)
        tables, records = self._recompute(view, lake, shard, epochs)
        speed, speed_records = self._speed_states(view, shard, epochs)
        differing, sample = compare(tables, speed)
        if differing or records != speed_records:
            if records != speed_records:
                sample.insert(0, {"table": "records", "batch": str(records), "speed": str(speed_records)})
            self._store.add_finding(
                Finding(
                    view=states.name,
                    version=states.version,
                    shard=shard,
                    epoch_first=epochs[0],
                    epoch_last=epochs[1],
                    differing_rows=max(differing, 1),
                    found_us=self._clock.now_us(),
                    sample=sample,
                )
            )
            LOG.error("drift: view %s shard %s epochs %s: %d state rows differ", states.name, shard, epochs, differing)
        return write_batch_segment(self._states_dir, states.version, shard, epochs, records, tables), differing

    def _recompute(
        self, view: CompiledView, lake: LakeSnapshot, shard: str, epochs: tuple[int, int]
    ) -> tuple[StateTables, int]:
        mine = [
            f for f in lake.files if f.shard_id == shard and f.epoch_last >= epochs[0] and f.epoch_first <= epochs[1]
        ]
        return recompute(view, mine, shard, *epochs, self._fields)

    def _speed_states(self, view: CompiledView, shard: str, epochs: tuple[int, int]) -> tuple[StateTables, int]:
        segments: list[SpeedSegment] = []
        for epoch in range(epochs[0], epochs[1] + 1):
            segment = read_speed_segment(self._states_dir, view.version, shard, epoch)
            if segment is None and any(s.epoch == epoch for s in self._stream.seals(shard, epoch - 1)[:1]):
                raise Corrupt(
                    f"speed/{view.version}",
                    f"states of epoch `{epoch}` of `{shard}` are gone",
                    hint="try again; the node writes them anew",
                )
            if segment is not None:
                segments.append(segment)
        records = sum(s.records for s in segments)
        if len(segments) == 1:
            return segments[0].tables, records
        return merge_tables(view, concat_states([s.tables for s in segments], schemas(view))), records

    # -- housekeeping --------------------------------------------------------------------------------------------

    def _compact(self, states: ViewStates) -> ViewStates:
        segments = compact(self._states_dir, self._compile(states.sql), states.segments, self._segments_min)
        return msgspec.structs.replace(states, segments=segments)

    def _collect_garbage(self) -> None:
        now_us = self._clock.now_us()
        live = self._store.live_files(now_us - GARBAGE_AGE_US)
        for path in (self._states_dir / "batch").glob("*/*.parquet"):
            old = path.stat().st_mtime_ns // 1000 < now_us - GARBAGE_AGE_US
            if old and str(path.relative_to(self._states_dir)) not in live:
                path.unlink(missing_ok=True)


def _lake_pin(lake: LakeSnapshot) -> LakePin:
    rows = dict.fromkeys(lake.marks, 0)
    for file in lake.files:
        rows[file.shard_id] += file.rows
    return LakePin(
        snapshot_id=lake.totals.snapshot_id,
        rows=rows,
        epochs={shard: mark.epoch for shard, mark in lake.marks.items()},
        files=lake.totals.files,
        bytes=lake.totals.bytes,
    )
