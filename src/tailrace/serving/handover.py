"""Move the frontier: lake rows -> batch states -> compare with speed -> one manifest swap. Runs in the batch process.

A cycle may be killed at any point: what it wrote is named by no manifest until the swap, and the next cycle does it again. Segments are
merged after that, behind a swap of their own: however long it takes, a kill cannot take the frontier back.
The frontier of a shard moves over an epoch only once the lake holds it, batch has computed it from those lake rows, and the
speed layer has written its own states of it for every served view, so that the two can be compared. All columns of the lake's rows
are read once more then, and their hash compared with the stream's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tailrace.batch.base import Lake, LakeSnapshot
from tailrace.batch.recompute import offset_range, recompute
from tailrace.batch.rehash import rehash
from tailrace.config.settings import RetentionSettings
from tailrace.errors import Corrupt, ViewError
from tailrace.model.fields import Fields
from tailrace.runtime.clock import Clock
from tailrace.serving.build import Builder
from tailrace.serving.drift import compare
from tailrace.serving.ledger import carried_on, compared, hash_compared
from tailrace.serving.tidy import Tidy
from tailrace.states.compaction import merge_tables
from tailrace.states.manifest import Book, Finding, LakePin, Manifest, ManifestStore, ViewStates, WantedView
from tailrace.states.segment import Segment, SpeedSegment, list_speed_segments, read_speed_segment, write_batch_segment
from tailrace.states.tables import StateTables, concat_states
from tailrace.stream.base import StreamBackend, seal_of
from tailrace.views import CompiledView, compile_view
from tailrace.views.dialects.duckdb import schemas

LOG = logging.getLogger(__name__)
MOVES_S_MAX = 5.0
"""After so long a cycle swaps what it has and leaves the other shards to the next, so that a kill costs no more than that."""
RECORDS_A_MOVE = 250_000
"""So many records of a shard, or one epoch, are moved over at once: else a long backlog, which kills make longer, is never got over."""
TIDY_S_MAX = 10.0
"""After so long the segments of the other views wait for the next cycle."""
PREVIOUS_KEPT_US = 86_400_000_000
"""How long a version that was replaced is carried on: both layers go on computing it."""


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What a cycle did. `waiting`: shards whose lake is ahead of the frontier, speed has not written its states yet, or time was up."""

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
        retention: RetentionSettings | None = None,
    ) -> None:
        self._stream = stream
        self._lake = lake
        self._store = store
        self._states_dir = states_dir
        self._fields = fields
        self._clock = clock
        self._token = store.acquire_token()
        self._compiled: dict[str, CompiledView] = {}
        self._last_moved = ""
        self._last_tidied = ""
        self._rebuilt: dict[str, int] = {}
        self._builder = Builder(store, states_dir, self._compile, fields, clock)
        self._tidy = Tidy(store, states_dir, self._compile, clock, segments_min, retention or RetentionSettings())

    def cycle(self) -> CycleReport:
        """Build wanted views that are not served yet, move the frontier as far as the lake and speed allow, swap."""
        before = self._store.current()
        lake = self._lake.current()
        listed = self._stream.shards()
        shards = [shard.id for shard in listed]
        frontier = {shard: before.frontier.get(shard, 0) for shard in shards}
        views, previous, built = self._versions(before, lake, frontier)
        # Epochs of a shard that a split or a merge has made do not begin at 1.
        done = {shard.id: max(frontier[shard.id], shard.first_epoch - 1) for shard in listed}
        standing = [*views.values(), *previous.values()]
        on_disk = [set(list_speed_segments(self._states_dir, states.version)) for states in standing]
        targets = {shard: self._target(lake, shard, done[shard], on_disk) for shard in shards}
        ready = {shard: (done[shard] + 1, target) for shard, target in targets.items() if target > done[shard]}
        moves: dict[str, tuple[int, int]] = {}
        records, drift = 0, 0
        books = dict(before.books)
        until_s = self._clock.monotonic_s() + MOVES_S_MAX
        for shard in sorted(ready, key=lambda shard: (shard <= self._last_moved, shard)):
            if moves and self._clock.monotonic_s() >= until_s:
                break
            epochs = moves[shard] = ready[shard]
            self._last_moved = shard
            moved = 0
            offsets = offset_range(lake.files, shard, *epochs, self._fields)
            for versions in (views, previous):
                for name, states in versions.items():
                    segment, differing, unchecked = self._advance(states, lake, shard, epochs, offsets)
                    versions[name] = msgspec.structs.replace(
                        states, segments=(*states.segments, segment), unchecked=states.unchecked + unchecked
                    )
                    moved, drift = max(moved, segment.records), drift + differing
            book = before.books.get(shard) or self._booked(Book(), shard, epochs[0] - 1)
            counted = compared(self._booked(book, shard, epochs[1]), book, epochs, moved)
            books[shard] = self._hash_compared(counted, lake, shard, epochs)
            records += moved
        waiting = tuple(s for s in shards if lake.mark(s).epoch > (targets[s] if s in moves else done[s]))
        after = msgspec.structs.replace(
            before,
            frontier={shard: targets[shard] if shard in moves else frontier[shard] for shard in shards},
            lake=_lake_pin(lake),
            views=views,
            previous=previous,
            books=books,
        )
        if msgspec.structs.replace(after, lake=before.lake) != before:
            after = self._store.swap(before.generation, after, self._token, self._clock.now_us())
            for name, asked_us in self._rebuilt.items():
                self._store.rebuilt(name, asked_us, after.views[name].version, self._clock.now_us())
        tidied = self._tidied(after)
        if tidied != after:
            after = self._store.swap(after.generation, tidied, self._token, self._clock.now_us())
        if after.generation != before.generation:
            self._tidy.collect_garbage()
        return CycleReport(after.generation, moves, built, records, drift, waiting)

    def _tidied(self, manifest: Manifest) -> Manifest:
        """As many views as the time allows, beginning after the one with which the last cycle ended."""
        until_s = self._clock.monotonic_s() + TIDY_S_MAX
        begun: list[str] = []

        def may(name: str) -> bool:
            if begun and self._clock.monotonic_s() >= until_s:
                return False
            begun.append(name)
            return True

        last = self._last_tidied
        in_turn = dict(sorted(manifest.views.items(), key=lambda each: (each[0] <= last, each[0])))
        views, previous = self._tidy.views(in_turn, may), self._tidy.views(manifest.previous, may)
        self._last_tidied = next((name for name in reversed(begun) if name in views), "")
        return msgspec.structs.replace(manifest, views=views, previous=previous)

    # -- views ---------------------------------------------------------------------------------------------------

    def _versions(
        self, manifest: Manifest, lake: LakeSnapshot, frontier: dict[str, int]
    ) -> tuple[dict[str, ViewStates], dict[str, ViewStates], tuple[str, ...]]:
        """The versions to serve next and those they replaced a while ago, by name, and which are new.

        Wanted ones as they stand; a new version in the old one's place once its history is built, or at once if it stands by.
        """
        views: dict[str, ViewStates] = {}
        previous: dict[str, ViewStates] = {}
        rebuilds = self._store.rebuilds()
        self._rebuilt.clear()
        self._builder.begin_cycle()
        for wanted in self._store.wanted():
            served = self._still_meant(manifest.views.get(wanted.name))
            before = self._still_meant(self._kept(manifest.previous.get(wanted.name)))
            found = self._version(wanted, served, before, rebuilds, lake, frontier)
            if found is None:
                continue
            views[wanted.name] = found
            if served is not None and served.version != found.version:
                previous[wanted.name] = msgspec.structs.replace(served, replaced_us=self._clock.now_us())
            elif before is not None:
                previous[wanted.name] = before
        built = tuple(name for name, states in views.items() if _is_new(states, manifest.views.get(name)))
        return views, previous, built

    def _version(
        self,
        wanted: WantedView,
        served: ViewStates | None,
        before: ViewStates | None,
        rebuilds: Mapping[str, int],
        lake: LakeSnapshot,
        frontier: dict[str, int],
    ) -> ViewStates | None:
        """What serves the view from now on; None if nothing can yet."""
        if not self._means_the_same(wanted.sql, wanted.version):
            return served  # the node has not said yet what it wants under the fields of now
        asked_us = rebuilds.get(wanted.name, 0)
        if served is not None and served.version == wanted.version and not asked_us:
            return served
        if before is not None and before.version == wanted.version:
            return msgspec.structs.replace(before, replaced_us=0)
        if not wanted.speed_ready:
            return served
        found = self._builder.build(wanted, lake, frontier, served if asked_us else None, asked_us)
        if found is not None and asked_us:
            self._rebuilt[wanted.name] = asked_us
        return found or served

    def _kept(self, before: ViewStates | None) -> ViewStates | None:
        """A replaced version, for as long as somebody may want to compare or go back."""
        if before is None or self._clock.now_us() - before.replaced_us > PREVIOUS_KEPT_US:
            return None
        return before

    def _still_meant(self, states: ViewStates | None) -> ViewStates | None:
        """None if the version was made of other fields than those of now."""
        if states is None or self._means_the_same(states.sql, states.version):
            return states
        LOG.info("view %s: its version %s was made of other fields", states.name, states.version)
        return None

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

    def _booked(self, book: Book, shard: str, target: int) -> Book:
        """The shard's book, carried on to the new frontier: after that the stream may let its epochs go."""
        fresh = [seal for seal in self._stream.seals(shard, book.epoch) if seal.epoch <= target]
        return carried_on(book, target, [seal.counts for seal in fresh])

    def _hash_compared(self, book: Book, lake: LakeSnapshot, shard: str, epochs: tuple[int, int]) -> Book:
        """The book, with what was given to the stream in these epochs compared with what the lake's files give back."""
        seals = [seal for seal in self._stream.seals(shard, epochs[0] - 1) if seal.epoch <= epochs[1]]
        after = hash_compared(book, seals, rehash(lake.files, shard, *epochs))
        if after.difference is not None and after.difference != book.difference:
            LOG.error("the lake's records of shard %s are not those of the stream: %s", shard, after.difference)
        return after

    # -- one shard, one view -------------------------------------------------------------------------------------

    def _target(self, lake: LakeSnapshot, shard: str, frontier: int, on_disk: list[set[tuple[str, int]]]) -> int:
        """Last epoch up to which the lake and the speed segments of every version (`on_disk`) reach without a hole, not too far away."""
        mark = lake.mark(shard)
        if mark.epoch <= frontier:
            return frontier
        target, records = frontier, 0
        for seal in self._stream.seals(shard, frontier):
            records += seal.counts.stored
            too_many = target > frontier and records > RECORDS_A_MOVE
            if too_many or seal.epoch > mark.epoch or not all((shard, seal.epoch) in listed for listed in on_disk):
                break
            target = seal.epoch
        return target

    def _advance(
        self,
        states: ViewStates,
        lake: LakeSnapshot,
        shard: str,
        epochs: tuple[int, int],
        offsets: tuple[int, int] | None,
    ) -> tuple[Segment, int, int]:
        """Batch states of the epochs, compared with speed's. Batch wins; a difference is recorded before the frontier moves.

        Returns how many state rows differ, and of how many epochs speed has none, so that only the records are compared.
        """
        view = self._compile(states.sql)
        tables, records = self._recompute(view, lake, shard, epochs)
        speed, speed_records, unchecked = self._speed_states(view, shard, epochs)
        differing, sample = compare(tables, speed) if speed is not None else (0, [])
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
        return self._write(view, shard, epochs, offsets, records, tables), differing, unchecked

    def _write(
        self,
        view: CompiledView,
        shard: str,
        epochs: tuple[int, int],
        offsets: tuple[int, int] | None,
        records: int,
        tables: StateTables,
    ) -> Segment:
        now_us = self._clock.now_us()
        return write_batch_segment(
            self._states_dir,
            view.version,
            shard,
            epochs,
            records,
            tables,
            window_us=view.window_us,
            arrived_us=(now_us, now_us),
            offsets=offsets,
        )

    def _recompute(
        self, view: CompiledView, lake: LakeSnapshot, shard: str, epochs: tuple[int, int]
    ) -> tuple[StateTables, int]:
        mine = [
            f for f in lake.files if f.shard_id == shard and f.epoch_last >= epochs[0] and f.epoch_first <= epochs[1]
        ]
        return recompute(view, mine, shard, *epochs, self._fields)

    def _speed_states(
        self, view: CompiledView, shard: str, epochs: tuple[int, int]
    ) -> tuple[StateTables | None, int, int]:
        """Speed's states (None: not of all of the epochs), its records, and the epochs that therefore go unchecked."""
        segments: list[SpeedSegment] = []
        for epoch in range(epochs[0], epochs[1] + 1):
            segment = read_speed_segment(self._states_dir, view.version, shard, epoch)
            if segment is None and seal_of(self._stream, shard, epoch):
                raise Corrupt(
                    f"speed/{view.version}",
                    f"states of epoch `{epoch}` of `{shard}` are gone",
                    hint="try again; the node writes them anew",
                )
            if segment is not None:
                segments.append(segment)
        records = sum(s.records for s in segments)
        parts = [s.tables for s in segments if s.tables is not None]
        if len(parts) < len(segments):
            return None, records, len(segments)
        if len(parts) == 1:
            return parts[0], records, 0
        return merge_tables(view, concat_states(parts, schemas(view))), records, 0


def _is_new(states: ViewStates, served: ViewStates | None) -> bool:
    return served is None or served.version != states.version or served.segments != states.segments


def _lake_pin(lake: LakeSnapshot) -> LakePin:
    rows = dict.fromkeys(lake.marks, 0)
    for file in lake.files:
        rows[file.shard_id] += file.rows
    return LakePin(
        snapshot_id=lake.totals.snapshot_id,
        rows=rows,
        epochs={shard: mark.epoch for shard, mark in lake.marks.items()},
        let_go={shard: trim.rows for shard, trim in lake.trimmed.items()},
        files=lake.totals.files,
        bytes=lake.totals.bytes,
    )
