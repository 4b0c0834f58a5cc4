"""Keep the batch segments few and young: neighbours merged, old windows let go, files that nobody names deleted.

Part of a cycle of the handover, after the frontier has moved: what it writes is named by the manifest that is swapped in then, or by
none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tailrace.config.settings import RetentionSettings
from tailrace.runtime.clock import Clock
from tailrace.runtime.file_times import modified_us
from tailrace.states.compaction import compact, with_levels
from tailrace.states.levels import widths_kept
from tailrace.states.manifest import ManifestStore, ViewStates
from tailrace.states.retention import age_of_level, due, let_go, surplus
from tailrace.states.segment import Segment
from tailrace.views import CompiledView

GARBAGE_AGE_US = 600_000_000
"""Segment files that no manifest of the last ten minutes names are deleted."""
LONG_US, LONG_ROWS_MIN = 3_600_000_000, 20_000
"""A segment of windows over so long, and of so many state rows, gets coarser windows at once."""
SPANS_KEPT = 8
"""What is merged arrived within this part of the time that its finest windows are kept, so that they go in as many portions."""


@dataclass(frozen=True, slots=True)
class Tidy:
    """`compiled`: a view's SQL -> its plan."""

    store: ManifestStore
    states_dir: Path
    compiled: Callable[[str], CompiledView]
    clock: Clock
    segments_min: int
    retention: RetentionSettings

    def views(
        self, views: dict[str, ViewStates], may: Callable[[str], bool] = lambda name: True
    ) -> dict[str, ViewStates]:
        """The same views with fewer, or smaller, segments; the same value where there is nothing to do.

        `may` is asked before each view, in order; what it says no to waits.
        """
        return self._bounded({name: self._tidied(states) if may(name) else states for name, states in views.items()})

    def collect_garbage(self) -> None:
        now_us = self.clock.now_us()
        live = self.store.live_files(now_us - GARBAGE_AGE_US)
        for path in (self.states_dir / "batch").glob("*/*.parquet"):
            old = modified_us(path) < now_us - GARBAGE_AGE_US
            if old and str(path.relative_to(self.states_dir)) not in live:
                path.unlink(missing_ok=True)

    def _tidied(self, states: ViewStates) -> ViewStates:
        view, now_us = self.compiled(states.sql), self.clock.now_us()
        ages_us = self._ages_us(view)
        dated = tuple(_dated(segment, now_us) for segment in states.segments)
        merged = compact(
            self.states_dir,
            view,
            dated,
            self.segments_min,
            lambda segment: _finest_age_us(segment, ages_us) // SPANS_KEPT or None,
        )
        cutoffs = {segment.id: due(segment, now_us, ages_us) for segment in merged}
        whole = tuple(self._with_levels(view, s) if cutoffs[s.id] or _is_long(s) else s for s in merged)
        cut = {segment.id: cutoffs[before.id] for before, segment in zip(merged, whole, strict=True)}
        return msgspec.structs.replace(states, segments=self._cut(whole, cut))

    def _with_levels(self, view: CompiledView, segment: Segment) -> Segment:
        """A segment that was never merged has no coarser windows yet, to stand in for those that it is to let go."""
        if segment.rollups or not widths_kept(view.window_us):
            return segment
        return with_levels(self.states_dir, view, segment)

    def _ages_us(self, view: CompiledView) -> dict[int, int]:
        """How long windows are kept, by their width."""
        kept = self.retention
        ages_s = (kept.states_fine_age_s, kept.states_minute_age_s, kept.states_age_s)
        fine, minute, rest = (age * 1_000_000 for age in ages_s)
        widths = (view.window_us, *widths_kept(view.window_us))
        return {width: age_of_level(width, fine, minute, rest) for width in widths}

    def _bounded(self, views: dict[str, ViewStates]) -> dict[str, ViewStates]:
        """All of them together within `states_bytes_max`."""
        most = self.retention.states_bytes_max
        segments = [s for states in views.values() for s in states.segments if s.window_us]
        gone = surplus(segments, most) if most else {}
        return {
            name: msgspec.structs.replace(states, segments=self._cut(states.segments, gone))
            for name, states in views.items()
        }

    def _cut(self, segments: tuple[Segment, ...], cutoffs: dict[str, dict[int, int]]) -> tuple[Segment, ...]:
        return tuple(
            let_go(self.states_dir, segment, cutoffs[segment.id]) if cutoffs.get(segment.id) else segment
            for segment in segments
        )


def _is_long(segment: Segment) -> bool:
    """A month that came in at once is asked for in coarse windows long before it has neighbours to be merged with."""
    first_us, last_us = segment.window_first_us, segment.window_last_us
    if first_us is None or last_us is None:
        return False
    return segment.rows >= LONG_ROWS_MIN and last_us - first_us >= LONG_US


def _finest_age_us(segment: Segment, ages_us: Mapping[int, int]) -> int:
    """How long the finest windows that the segment still holds are kept; 0: without limit."""
    return next((ages_us.get(level.width_us, 0) for level in segment.levels() if level.files), 0)


def _dated(segment: Segment, now_us: int) -> Segment:
    """One that does not know when it came (an earlier version wrote it) came now."""
    if segment.arrived_last_us:
        return segment
    return msgspec.structs.replace(segment, arrived_first_us=now_us, arrived_last_us=now_us)
