"""Merge neighbouring batch segments into one: a pure plan, and its doing. No number changes, only how many files a query opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from tailrace.states.segment import Segment, read_batch_table, write_batch_segment
from tailrace.states.tables import StateTables
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import merge_statement, schemas
from tailrace.views.dialects.duckdb.engine import registered, rows_as_arrow, thread_engine

SMALL_ROWS = 50_000
"""A segment of up to twice this many state rows is cheap to rewrite whatever its neighbours are."""


def plan_compaction(segments: Sequence[Segment], segments_min: int) -> list[list[Segment]]:
    """Runs of segments to merge, a run per shard at most: the newest neighbours of about one size.

    From the newest backwards a segment joins the run while it has at most twice the rows that the run already has (or is small
    anyway); so a large old segment is rewritten only once its neighbours have grown to its size, and a row is rewritten
    O(log n) times. A run shorter than `segments_min` is left alone.
    """
    plans: list[list[Segment]] = []
    for shard in sorted({s.shard for s in segments}):
        ordered = sorted((s for s in segments if s.shard == shard), key=lambda s: s.epoch_first)
        run: list[Segment] = []
        rows = 0
        for segment in reversed(ordered):
            if run and segment.rows > 2 * max(rows, SMALL_ROWS):
                break
            run.append(segment)
            rows += segment.rows
        if len(run) >= segments_min:
            plans.append(run[::-1])
    return plans


def merge_tables(view: CompiledView, parts: StateTables) -> dict[str, pa.Table]:
    """Unmerged state rows to one row a key, in the calling thread's engine."""
    connection = thread_engine()
    merged: dict[str, pa.Table] = {}
    for name, schema in schemas(view).items():
        with registered(connection, unmerged=parts[name]):
            merged[name] = rows_as_arrow(connection, merge_statement(view, name, "unmerged")).cast(schema)
    return merged


def merge_segments(states_dir: Path, view: CompiledView, run: Sequence[Segment]) -> Segment:
    """One durable segment with the merged states of a run of neighbours; the run's files are left as they are."""
    parts = {
        name: pa.concat_tables([read_batch_table(states_dir, s, name).select(schema.names).cast(schema) for s in run])
        for name, schema in schemas(view).items()
    }
    tables = merge_tables(view, parts)
    epochs = (run[0].epoch_first, run[-1].epoch_last)
    return write_batch_segment(states_dir, view.version, run[0].shard, epochs, sum(s.records for s in run), tables)


def compact(
    states_dir: Path, view: CompiledView, segments: Sequence[Segment], segments_min: int
) -> tuple[Segment, ...]:
    """The segments after compaction; the same tuple where nothing was worth merging."""
    kept = list(segments)
    for run in plan_compaction(segments, segments_min):
        merged = merge_segments(states_dir, view, run)
        kept = [s for s in kept if s not in run]
        kept.append(merged)
    return tuple(sorted(kept, key=lambda s: (s.shard, s.epoch_first)))
