"""A view version's states from all of history: a stretch of the lake at a time, so that the frontier goes on moving meanwhile.

Part of a cycle of the handover. What is built is held in memory and named by no manifest until it reaches the frontier; a batch
process that dies begins again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tailrace.batch.base import LakeSnapshot
from tailrace.batch.recompute import offset_range, recompute
from tailrace.model.fields import Fields
from tailrace.runtime.clock import Clock
from tailrace.states.compaction import roll_up
from tailrace.states.manifest import BuildProgress, ManifestStore, ViewStates, WantedView
from tailrace.states.segment import Segment, write_batch_segment
from tailrace.views import CompiledView

LOG = logging.getLogger(__name__)
ROWS_PER_CYCLE = 6_000_000
"""Records that are computed before the cycle goes on; a few seconds of work."""


@dataclass(slots=True)
class _Build:
    """How far a version is: `epochs` by shard, and what has been written of it. `absent`: records that the lake had let go by then."""

    asked_us: int
    epochs: dict[str, int]
    segments: list[Segment]
    absent: dict[str, int]
    rows: int = 0

    def misses(self, lake: LakeSnapshot) -> bool:
        """Whether the lake has let go of epochs that were still to be read."""
        return any(trim.through_epoch > self.epochs.get(shard, 0) for shard, trim in lake.trimmed.items())


class Builder:
    """One per batch process. `compiled`: a view's SQL -> its plan."""

    def __init__(
        self,
        store: ManifestStore,
        states_dir: Path,
        compiled: Callable[[str], CompiledView],
        fields: Fields,
        clock: Clock,
    ) -> None:
        self._store = store
        self._states_dir = states_dir
        self._compiled = compiled
        self._fields = fields
        self._clock = clock
        self._builds: dict[tuple[str, str], _Build] = {}
        self._rows_left = 0

    def begin_cycle(self) -> None:
        """A new allowance of work; what nobody wants any more is forgotten."""
        self._rows_left = ROWS_PER_CYCLE
        wanted = {(view.name, view.version) for view in self._store.wanted()}
        for gone in self._builds.keys() - wanted:
            del self._builds[gone]

    def build(
        self,
        wanted: WantedView,
        lake: LakeSnapshot,
        frontier: Mapping[str, int],
        served: ViewStates | None = None,
        asked_us: int = 0,
    ) -> ViewStates | None:
        """The version's states up to `frontier`, or None if that needs another cycle. `asked_us`: another one begins anew.

        `served`: the same version as it stands; what is older than the lake is taken over from it.
        """
        key = (wanted.name, wanted.version)
        build = self._builds.get(key)
        if build is None or build.asked_us != asked_us or build.misses(lake):
            build = self._builds[key] = _begun(lake, served, asked_us)
        view = self._compiled(wanted.sql)
        for shard, last in frontier.items():
            while build.epochs.get(shard, 0) < last:
                if self._rows_left <= 0:
                    self._tell(wanted, build, lake)
                    return None
                self._extend(build, view, lake, shard, last)
        del self._builds[key]
        self._store.built(wanted.name)
        LOG.info("view %s version %s is built from history: %d records", wanted.name, wanted.version, build.rows)
        return ViewStates(
            name=wanted.name,
            version=wanted.version,
            sql=wanted.sql,
            segments=tuple(build.segments),
            absent=build.absent,
        )

    def _extend(self, build: _Build, view: CompiledView, lake: LakeSnapshot, shard: str, last: int) -> None:
        """One more stretch of the shard: whole files, up to what is left of the allowance, one at least."""
        first = build.epochs.get(shard, 0) + 1
        waiting = [f for f in lake.files if f.shard_id == shard and f.epoch_last >= first and f.epoch_first <= last]
        rows, through = 0, last
        for file, following in pairwise(waiting):
            rows += file.rows
            if rows >= self._rows_left:
                through = min(last, following.epoch_first - 1)
                break
        tables, records = recompute(view, waiting, shard, first, through, self._fields)
        now_us = self._clock.now_us()
        segment = write_batch_segment(
            self._states_dir,
            view.version,
            shard,
            (first, through),
            records,
            tables,
            window_us=view.window_us,
            arrived_us=(now_us, now_us),
            offsets=offset_range(waiting, shard, first, through, self._fields),
        )
        build.segments.append(roll_up(self._states_dir, view, segment, tables))
        build.epochs[shard] = through
        build.rows += records
        self._rows_left -= max(records, 1)

    def _tell(self, wanted: WantedView, build: _Build, lake: LakeSnapshot) -> None:
        total = sum(file.rows for file in lake.files)
        self._store.building(BuildProgress(wanted.name, wanted.version, build.rows, max(total, build.rows)))


def _begun(lake: LakeSnapshot, served: ViewStates | None, asked_us: int) -> _Build:
    """A build that starts where the lake starts. Segments of `served` that reach back further are kept, whole."""
    kept = [s for s in served.segments if s.epoch_first <= _let_go(lake, s.shard)] if served else []
    epochs = {shard: trim.through_epoch for shard, trim in lake.trimmed.items()}
    for segment in kept:
        epochs[segment.shard] = max(epochs[segment.shard], segment.epoch_last)
    absent = dict(served.absent) if served else {shard: trim.rows for shard, trim in lake.trimmed.items() if trim.rows}
    return _Build(asked_us, epochs, kept, absent)


def _let_go(lake: LakeSnapshot, shard: str) -> int:
    return lake.trimmed[shard].through_epoch if shard in lake.trimmed else 0
