"""Merge neighbouring batch segments into one, with coarser windows beside its own: a pure plan, and its doing.

No number changes, only how many files a query opens and how many rows it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from tailrace.states.levels import widths_kept
from tailrace.states.segment import Level, Segment, read_batch_table, write_batch_segment, write_level
from tailrace.states.tables import StateTables, from_window
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import merge_statement, schemas
from tailrace.views.dialects.duckdb.engine import registered, rows_as_arrow, thread_engine
from tailrace.views.dialects.duckdb.window import coarser

SMALL_ROWS = 50_000
"""A segment of up to twice this many state rows is cheap to rewrite whatever its neighbours are."""
ROWS_MAX = 2_000_000
"""A segment of so many state rows is not merged any more: what is merged is held in memory, and lets go of windows as a whole."""

SpanOf = Callable[[Segment], int | None]
"""Within which time (microseconds) what is merged with a segment must have arrived; None: whenever."""


def plan_compaction(
    segments: Sequence[Segment], segments_min: int, span_of: SpanOf = lambda segment: None, rows_max: int = ROWS_MAX
) -> list[list[Segment]]:
    """Runs of segments to merge, a run per shard at most: the newest neighbours of about one size.

    From the newest backwards a segment joins the run while it has at most twice the rows that the run already has (or is small
    anyway); so a large old segment is rewritten only once its neighbours have grown to its size, and a row is rewritten
    O(log n) times. A run shorter than `segments_min` is left alone. A run has at most `rows_max` rows, and what it holds arrived
    within the span of its newest segment, so that retention can let go of it as a whole.
    """
    plans: list[list[Segment]] = []
    for shard in sorted({s.shard for s in segments}):
        ordered = sorted((s for s in segments if s.shard == shard), key=lambda s: s.epoch_first)
        runs = (run for part in _alike(ordered, span_of, rows_max) for run in _newest_run(part))
        longest = next((run for run in runs if len(run) >= segments_min), None)
        if longest is not None:
            plans.append(longest)
    return plans


def _alike(ordered: Sequence[Segment], span_of: SpanOf, rows_max: int) -> Iterator[list[Segment]]:
    """Neighbours that may be merged at all, newest first: within the bounds, and holding the same levels."""
    part: list[Segment] = []
    for segment in reversed(ordered):
        if part and not _joins(part, segment, span_of(part[0]), rows_max):
            yield part[::-1]
            part = []
        part.append(segment)
    if part:
        yield part[::-1]


def _joins(part: Sequence[Segment], segment: Segment, span_us: int | None, rows_max: int) -> bool:
    newest = part[0]
    if span_us is not None and newest.arrived_last_us - segment.arrived_first_us > span_us:
        return False
    if sum(s.rows for s in part) + segment.rows > rows_max:
        return False
    return _let_go(segment) == _let_go(newest)


def _let_go(segment: Segment) -> list[int]:
    """Widths of which the segment has let windows go."""
    return [level.width_us for level in segment.levels() if level.kept_from_us is not None]


def _newest_run(ordered: Sequence[Segment]) -> Iterator[list[Segment]]:
    run: list[Segment] = []
    rows = 0
    for segment in reversed(ordered):
        if run and segment.rows > 2 * max(rows, SMALL_ROWS):
            break
        run.append(segment)
        rows += segment.rows
    yield run[::-1]


def merge_tables(view: CompiledView, parts: StateTables, width_us: int | None = None) -> dict[str, pa.Table]:
    """Unmerged state rows to one row a key, in the calling thread's engine; with `width_us`, in windows that long."""
    connection = thread_engine()
    source = "unmerged" if width_us is None else coarser("unmerged", width_us)
    merged: dict[str, pa.Table] = {}
    for name, schema in schemas(view).items():
        with registered(connection, unmerged=parts[name]):
            merged[name] = rows_as_arrow(connection, merge_statement(view, name, source)).cast(schema)
    return merged


def merge_segments(states_dir: Path, view: CompiledView, run: Sequence[Segment]) -> Segment:
    """One durable segment with the merged states of a run of neighbours, and its levels; the run's files are left as they are."""
    held = [_level_tables(states_dir, view, segment.levels()[0]) for segment in run]
    kept_from_us = max((s.kept_from_us for s in run if s.kept_from_us is not None), default=None)
    merged = write_batch_segment(
        states_dir,
        view.version,
        run[0].shard,
        (run[0].epoch_first, run[-1].epoch_last),
        sum(s.records for s in run),
        merge_tables(view, _from(kept_from_us, _together(view, held))),
        window_us=view.window_us,
        arrived_us=(min(s.arrived_first_us for s in run), max(s.arrived_last_us for s in run)),
        offsets=_offsets(run),
    )
    windows = [(s.window_first_us, s.window_last_us) for s in run]
    merged = msgspec.structs.replace(
        merged,
        kept_from_us=kept_from_us,
        window_first_us=min((first for first, _ in windows if first is not None), default=None),
        window_last_us=max((last for _, last in windows if last is not None), default=None),
    )
    rollups = _merged_levels(states_dir, view, run, held, f"batch/{view.version}/{merged.id}")
    return msgspec.structs.replace(merged, rollups=tuple(rollups))


def _offsets(run: Sequence[Segment]) -> tuple[int, int] | None:
    """Known if it is of all that have records."""
    known = [s.offsets for s in run if s.offsets is not None]
    if not known or any(s.records and s.offsets is None for s in run):
        return None
    return min(first for first, _ in known), max(last for _, last in known)


def roll_up(states_dir: Path, view: CompiledView, segment: Segment, tables: StateTables) -> Segment:
    """The segment, whose own merged states are `tables`, with its levels beside it; durable on return."""
    levels: list[Level] = []
    for width_us in widths_kept(view.window_us):
        tables = merge_tables(view, tables, width_us)
        levels.append(write_level(states_dir, _level_prefix(view, segment.id, width_us), width_us, tables))
    return msgspec.structs.replace(segment, rollups=tuple(levels))


def with_levels(states_dir: Path, view: CompiledView, segment: Segment) -> Segment:
    """The same, of a segment whose states are read for it."""
    return roll_up(states_dir, view, segment, _level_tables(states_dir, view, segment.levels()[0]))


def _merged_levels(
    states_dir: Path, view: CompiledView, run: Sequence[Segment], held: list[StateTables], prefix: str
) -> Iterator[Level]:
    """Each level of the run, ascending. A segment that has none yet is carried up from the level below."""
    for width_us in widths_kept(view.window_us):
        own = [next((level for level in s.rollups if level.width_us == width_us), None) for s in run]
        held = [
            merge_tables(view, below, width_us) if level is None else _level_tables(states_dir, view, level)
            for level, below in zip(own, held, strict=True)
        ]
        kept = max((x.kept_from_us for x in own if x is not None and x.kept_from_us is not None), default=None)
        tables = merge_tables(view, _from(kept, _together(view, held)))
        yield write_level(states_dir, f"{prefix}.{width_us // 1_000_000}s", width_us, tables, kept)


def compact(
    states_dir: Path,
    view: CompiledView,
    segments: Sequence[Segment],
    segments_min: int,
    span_of: SpanOf = lambda segment: None,
) -> tuple[Segment, ...]:
    """The segments after compaction; the same tuple where nothing was worth merging."""
    kept = list(segments)
    for run in plan_compaction(segments, segments_min, span_of):
        merged = merge_segments(states_dir, view, run)
        kept = [s for s in kept if s not in run]
        kept.append(merged)
    return tuple(sorted(kept, key=lambda s: (s.shard, s.epoch_first)))


def _level_prefix(view: CompiledView, segment_id: str, width_us: int) -> str:
    return f"batch/{view.version}/{segment_id}.{width_us // 1_000_000}s"


def _level_tables(states_dir: Path, view: CompiledView, level: Level) -> StateTables:
    """What the level holds; a table that has no file any more is empty."""
    return {
        name: read_batch_table(states_dir, level, name).select(schema.names).cast(schema)
        if name in level.files
        else schema.empty_table()
        for name, schema in schemas(view).items()
    }


def _together(view: CompiledView, parts: Sequence[StateTables]) -> StateTables:
    return {name: pa.concat_tables([part[name] for part in parts]) for name in schemas(view)}


def _from(kept_from_us: int | None, tables: StateTables) -> StateTables:
    return tables if kept_from_us is None else from_window(tables, kept_from_us)
