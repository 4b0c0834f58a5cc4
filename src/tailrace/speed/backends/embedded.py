"""The embedded speed layer: the node's own thread reads the stream, computes states, publishes snapshots.

Reading and computing are apart. Records that have been read wait until they are many, until their epoch is sealed, or until somebody
looks at the view; so a view that is watched is as fresh as the last step, and one that is not costs what few large
computations cost (a micro-batch of 10,000 records costs four times as much a record as one of 200,000).

Each view version has a cursor a shard; shards that a split or a merge makes are taken up when they are first seen. Versions at
the same cursor read together; one that is new starts at the frontier and catches up by itself. A sealed epoch that has been
read whole is merged and written as a speed segment, which batch compares with its own. A restart loads those segments and
reads the rest of the stream again.

A version of which an epoch has more keys than `keys_max` is no longer computed here: its records are counted, batch alone answers for
it, and it says so. It comes back when there is less to do, or to see whether there is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from tailrace.errors import Corrupt
from tailrace.model.shard import Shard
from tailrace.runtime.clock import Clock
from tailrace.speed.base import EpochStates, SpeedSnapshot
from tailrace.speed.joining import joined
from tailrace.speed.partials import PartialEngine, good_records, newest_event_us
from tailrace.speed.version import Covered, Mode, Version, keys_of
from tailrace.states.segment import (
    SpeedSegment,
    drop_speed_segment,
    list_speed_segments,
    read_speed_segment,
    write_speed_segment,
)
from tailrace.states.tables import StateTables
from tailrace.stream.base import Block, EpochSeal, ReadRequest, ShardEnd, StreamBackend, seal_of
from tailrace.views import CompiledView
from tailrace.views.reads import fields_read

LOG = logging.getLogger(__name__)
READ_BYTES_MAX = 24 << 20
PARTS_MAX = 16
"""Computations an open epoch may hold before they are merged into one."""
WAITING_MAX = 400_000
"""Records of a version that may wait; beyond it they are computed though nobody looks."""
DEMAND_S = 3.0
"""How long a look at a view keeps it computed at every step."""
KEYS_MAX = 2_000_000
RETURN_SHARE = 0.5
RETURN_S = 60.0
"""A version that gave up returns after so long if an epoch would take no more than this share of what it may have."""
RETRY_S = 600.0
"""And after so long anyway, to see."""


class EmbeddedSpeed:
    """All methods but `snapshot` are called by one thread.

    `on_ready(view)` is called once, when a version has caught up with the others; `on_block(block)` for every block read first.
    """

    def __init__(
        self,
        stream: StreamBackend,
        states_dir: Path,
        clock: Clock,
        *,
        keys_max: int = KEYS_MAX,
        on_ready: Callable[[CompiledView], None] = lambda view: None,
        on_blocks: Callable[[list[Block]], None] = lambda blocks: None,
    ) -> None:
        self._stream = stream
        self._states_dir = states_dir
        self._clock = clock
        self._keys_max = keys_max
        self._on_ready = on_ready
        self._on_blocks = on_blocks
        self._engine = PartialEngine()
        self._versions: dict[str, Version] = {}
        self._fields: tuple[str, ...] = ()
        self._demanded_until_s: dict[str, float] = {}
        self._frontier: dict[str, int] = {}
        self._seals: dict[str, dict[int, EpochSeal]] = {}
        self._ends: dict[str, ShardEnd] = {}
        self._seen: dict[str, int] = {}
        self._newest_event_us: int | None = None
        self._behind = False
        self._snapshot = SpeedSnapshot()

    def snapshot(self) -> SpeedSnapshot:
        """The newest published snapshot; safe from any thread."""
        return self._snapshot

    def demand(self, version: str) -> bool:
        """Compute all that is read of this version at each step of the next seconds; True if that was so already."""
        now_s = self._clock.monotonic_s()
        watched = self._demanded_until_s.get(version, now_s) > now_s
        self._demanded_until_s[version] = now_s + DEMAND_S
        return watched

    def follow(self, views: Iterable[CompiledView], frontier: Mapping[str, int]) -> None:
        """Hold exactly these versions, above this frontier, from now on; drop what either makes needless."""
        wanted = {view.version: view for view in views}
        self._fields = tuple(sorted({"timestamp"}.union(*(fields_read(view) for view in wanted.values()))))
        shards = self._stream.shards()
        self._frontier = {shard.id: _covered(shard, frontier) for shard in shards}
        for gone in self._versions.keys() - wanted.keys():
            self._forget(self._versions.pop(gone))
        for version in self._versions.values():
            keys = version.keys_expected()
            self._drop_covered(version)
            self._look_at_budget(version, keys)
        for shard in shards:
            self._take_up(shard)
        for new in wanted.keys() - self._versions.keys():
            self._versions[new] = self._start(wanted[new], shards)
        self._publish()

    def step(self) -> int:
        """Read what is new, once, compute what is due, publish; returns the number of lines read."""
        asked_at_us = self._clock.now_us()
        shards = self._stream.shards()
        for shard in shards:
            if shard.id not in self._frontier:
                self._frontier[shard.id] = _covered(shard, {})
                self._take_up(shard)
        ends = {shard.id: self._end(shard) for shard in shards}
        lines = sum(self._read_shard(shard, end.next_offset) for shard, end in ends.items())
        for shard_id, end in ends.items():
            self._learn_seals(shard_id, end.open_epoch)
        caught_up = {
            name: all(version.next_offset[shard] >= end.next_offset for shard, end in ends.items())
            for name, version in self._versions.items()
        }
        self._behind = not all(caught_up.values())
        self._compute([v for name, v in self._versions.items() if self._due(v, caught_up[name])])
        try:
            for name, version in self._versions.items():
                if caught_up[name] and not version.waiting_records:
                    version.complete_through_us = asked_at_us
                    self._has_caught_up(version)
                self._close_epochs(version)
        finally:
            # A full disk keeps segments from being written, and nobody from seeing what was read.
            self._publish()
        return lines

    def _take_up(self, shard: Shard) -> None:
        """Every version reads the shard from the frontier on; each shard begins so, those that a split or merge makes too."""
        above = self._first_offset_above(shard)
        for version in self._versions.values():
            version.move_to(shard.id, above)

    def _end(self, shard: Shard) -> ShardEnd:
        """Where the shard ends; a closed one is asked once."""
        end = self._ends.get(shard.id)
        if end is None:
            end = self._stream.end(shard.id)
            if shard.closed:
                self._ends[shard.id] = end
        return end

    def _first_offset_above(self, shard: Shard) -> int:
        """Where the records begin that the frontier does not cover: the next sealed epoch's first, or the open epoch's."""
        frontier = self._frontier[shard.id]
        if shard.ends_at(frontier):
            return self._end(shard).next_offset
        above = self._stream.seals(shard.id, frontier)
        if above:
            return above[0].first_offset
        seals = self._stream.seals(shard.id)
        return seals[-1].last_offset + 1 if seals else self._stream.end(shard.id).earliest_offset

    # -- reading -------------------------------------------------------------------------------------------------

    def _read_shard(self, shard: str, end: int) -> int:
        """One read for each distinct cursor of the shard, so that a version that catches up does not hold up the rest.

        Cursors at `end` are left alone: most steps find nothing new, and these should cost next to nothing.
        """
        cursors: dict[int, list[Version]] = {}
        for version in self._versions.values():
            if version.next_offset[shard] < end:
                cursors.setdefault(version.next_offset[shard], []).append(version)
        lines = 0
        for start, versions in sorted(cursors.items(), reverse=True):
            blocks = self._stream.read(ReadRequest(shard, start, max_bytes=READ_BYTES_MAX))
            if not blocks:
                continue
            self._note_first(shard, blocks)
            for epoch, group in _by_epoch(blocks).items():
                self._add(shard, epoch, group, start, versions)
            for version in versions:
                version.has_read(shard, blocks[-1].last_offset + 1)
            lines += blocks[-1].last_offset + 1 - start
        return lines

    def _note_first(self, shard: str, blocks: list[Block]) -> None:
        fresh = [block for block in blocks if block.first_offset >= self._seen.get(shard, 0)]
        if fresh:
            self._seen[shard] = fresh[-1].last_offset + 1
            self._on_blocks(fresh)

    def _add(self, shard: str, epoch: int, blocks: list[Block], start: int, versions: list[Version]) -> None:
        tables = [good_records(_from_offset(block, start)).select(self._fields) for block in blocks]
        records = joined(tables)
        if records.num_rows:
            newest = newest_event_us(records)
            self._newest_event_us = max(filter(None, (newest, self._newest_event_us)), default=None)
        for version in versions:
            version.take(shard, epoch, records)

    # -- computing -----------------------------------------------------------------------------------------------

    def _due(self, version: Version, caught_up: bool) -> bool:
        """Whether the version's waiting records are to be computed in this step."""
        if not version.waiting:
            return False
        demanded = self._demanded_until_s.get(version.view.version, float("-inf")) > self._clock.monotonic_s()
        beginning = caught_up and (not version.announced or version.mode is Mode.RETURNING)
        sealed = any(epoch in self._seals[shard] for shard, epoch in version.waiting)
        return demanded or beginning or sealed or version.waiting_records >= WAITING_MAX

    def _compute(self, due: list[Version]) -> None:
        """All that waits of these versions, so that their states are those of every record before their cursors.

        Versions for which the same records wait are computed together, which costs about half as much.
        """
        together: dict[tuple[str, int, tuple[int, ...]], list[Version]] = {}
        for version in due:
            for (shard, epoch), tables in version.waiting.items():
                together.setdefault((shard, epoch, tuple(map(id, tables))), []).append(version)
        for (shard, epoch, _), versions in together.items():
            records = joined(versions[0].waiting[shard, epoch])
            states = self._engine.partials([version.view for version in versions], records)
            for version in versions:
                self._extend(version, shard, epoch, records.num_rows, states[version.view.version])
        for version in due:
            version.waiting, version.waiting_records = {}, 0
            version.computed = dict(version.next_offset)
            version.change += 1
            self._keep_budget(version)

    def _extend(self, version: Version, shard: str, epoch: int, records: int, states: StateTables) -> None:
        known = version.epochs.get((shard, epoch), EpochStates(shard, epoch, 0, ()))
        parts = (*known.parts, states)
        if len(parts) > PARTS_MAX:
            parts = (self._engine.merge(version.view, parts),)
        version.epochs[shard, epoch] = EpochStates(shard, epoch, known.records + records, parts)

    # -- epochs --------------------------------------------------------------------------------------------------

    def _learn_seals(self, shard: str, open_epoch: int) -> None:
        """Ask for the seals of the epochs before `open_epoch` that are not known yet."""
        known = self._seals.setdefault(shard, {})
        newest = max(known, default=self._frontier[shard])
        if newest < open_epoch - 1:
            known.update({seal.epoch: seal for seal in self._stream.seals(shard, newest)})

    def _close_epochs(self, version: Version) -> None:
        """Merge and write every epoch that is sealed and computed whole."""
        for seals in self._seals.values():
            for seal in seals.values():
                self._close(version, seal)

    def _close(self, version: Version, seal: EpochSeal) -> None:
        states = version.epochs.get((seal.shard_id, seal.epoch))
        if states is None or states.sealed or version.computed[seal.shard_id] <= seal.last_offset:
            return
        merged = self._engine.merge(version.view, states.parts) if version.mode is not Mode.COUNTING else None
        segment = SpeedSegment(seal.shard_id, seal.epoch, states.records, merged)
        write_speed_segment(self._states_dir, version.view.version, segment)
        parts = () if merged is None else (merged,)
        version.epochs[seal.shard_id, seal.epoch] = replace(states, parts=parts, sealed=True)

    # -- the budget ----------------------------------------------------------------------------------------------

    def _keep_budget(self, version: Version) -> None:
        """Give up a version whose newest epochs have too many keys."""
        newest = version.newest()
        if keys_of(newest) <= self._keys_max:
            return
        for states in newest:
            merged = replace(states, parts=(self._engine.merge(version.view, states.parts),))
            version.epochs[states.shard, states.epoch] = merged
        keys = keys_of(version.newest())
        if keys > self._keys_max:
            LOG.warning("view %s: an epoch has %d keys, batch alone answers for it now", version.view.name, keys)
            version.give_up(self._clock.monotonic_s())
            version.covered = self._covered_by_batch()

    def _look_at_budget(self, version: Version, keys: float) -> None:
        """Of a version that gave up: what batch covers now; and back to computing, if it may be time for that.

        `keys`: what the newest epochs would take.
        """
        if version.mode is Mode.FULL:
            return
        version.covered = self._covered_by_batch()
        version.change += 1
        waited_s = self._clock.monotonic_s() - version.gave_up_s
        light = waited_s >= RETURN_S and keys <= RETURN_SHARE * self._keys_max
        if version.mode is Mode.COUNTING and (light or waited_s >= RETRY_S):
            version.return_from(version.covered.next_offsets)

    def _covered_by_batch(self) -> Covered:
        """As far as the frontier reaches, and until when: the seal of its epoch, of each shard that has got further."""
        now_us = self._clock.now_us()
        offsets: dict[str, int] = {}
        through_us: list[int | None] = [now_us]
        for shard in (s for s in self._stream.shards() if s.id in self._frontier):
            offsets[shard.id] = self._first_offset_above(shard)
            if self._end(shard).next_offset > offsets[shard.id]:
                seal = seal_of(self._stream, shard.id, self._frontier[shard.id])
                through_us.append(seal.sealed_at_us if seal else None)
        known = [at_us for at_us in through_us if at_us is not None]
        return Covered(offsets, min(known) if len(known) == len(through_us) else None)

    # -- coming and going ----------------------------------------------------------------------------------------

    def _start(self, view: CompiledView, shards: Iterable[Shard]) -> Version:
        """A version as far as its speed segments above the frontier reach without a hole."""
        version = Version(view)
        on_disk = set(list_speed_segments(self._states_dir, view.version))
        for shard in shards:
            frontier = self._frontier[shard.id]
            version.move_to(shard.id, self._first_offset_above(shard))
            for seal in [] if shard.ends_at(frontier) else self._stream.seals(shard.id, frontier):
                if (shard.id, seal.epoch) not in on_disk or not self._load(version, shard.id, seal):
                    break
                version.move_to(shard.id, seal.last_offset + 1)
        self._drop_covered(version)
        return version

    def _load(self, version: Version, shard: str, seal: EpochSeal) -> bool:
        """Take a speed segment from disk; a damaged one is dropped and computed again from the stream."""
        try:
            segment = read_speed_segment(self._states_dir, version.view.version, shard, seal.epoch)
        except Corrupt:
            drop_speed_segment(self._states_dir, version.view.version, shard, seal.epoch)
            return False
        if segment is None or segment.tables is None:
            return False
        version.epochs[shard, seal.epoch] = EpochStates(
            shard, seal.epoch, segment.records, (segment.tables,), sealed=True
        )
        return True

    def _drop_covered(self, version: Version) -> None:
        for key in [k for k in version.epochs if k[1] <= self._frontier[k[0]]]:
            del version.epochs[key]
            version.change += 1
        for key in [k for k in version.waiting if k[1] <= self._frontier[k[0]]]:
            version.waiting_records -= sum(records.num_rows for records in version.waiting.pop(key))
        for shard, epoch in list_speed_segments(self._states_dir, version.view.version):
            if epoch <= self._frontier.get(shard, 0):
                drop_speed_segment(self._states_dir, version.view.version, shard, epoch)
        for shard, seals in self._seals.items():
            self._seals[shard] = {epoch: seal for epoch, seal in seals.items() if epoch > self._frontier[shard]}

    def _forget(self, version: Version) -> None:
        for shard, epoch in list_speed_segments(self._states_dir, version.view.version):
            drop_speed_segment(self._states_dir, version.view.version, shard, epoch)

    # -- publishing ----------------------------------------------------------------------------------------------

    def _has_caught_up(self, version: Version) -> None:
        if version.mode is Mode.RETURNING:
            LOG.info("view %s is computed at once again", version.view.name)
            version.mode = Mode.FULL
        if not version.announced:
            version.announced = True
            self._on_ready(version.view)

    def _publish(self) -> None:
        cursors = [version.next_offset for version in self._versions.values()]
        self._snapshot = SpeedSnapshot(
            versions={name: v.states() for name, v in self._versions.items() if v.announced},
            read_offsets={shard: min(c[shard] for c in cursors) for shard in self._frontier} if cursors else {},
            newest_event_us=self._newest_event_us,
            behind=self._behind,
        )


def _by_epoch(blocks: list[Block]) -> dict[int, list[Block]]:
    groups: dict[int, list[Block]] = {}
    for block in blocks:
        groups.setdefault(block.epoch, []).append(block)
    return groups


def _from_offset(block: Block, start: int) -> pa.Table:
    """The block's lines from `start` on; a read may begin in the middle of a block."""
    assert block.columns is not None, "speed reads blocks with their columns"
    return block.columns.slice(max(0, start - block.first_offset))


def _covered(shard: Shard, frontier: Mapping[str, int]) -> int:
    """The last epoch of the shard that `frontier` covers; the one before its first if it covers none."""
    return max(frontier.get(shard.id, 0), shard.first_epoch - 1)
