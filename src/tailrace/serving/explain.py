"""How one number came about: the batch part, the speed part, the frontier between them, the merge. For people who learn, and doubt."""

from __future__ import annotations

from typing import Any

from tailrace.model.window import iso, window_start_us
from tailrace.serving.merge import Merger, ViewAnswer, ViewQuery, rows_of
from tailrace.serving.pin import Pinned
from tailrace.speed.base import EpochStates
from tailrace.states.segment import Segment
from tailrace.states.tables import concat_states
from tailrace.views.dialects.duckdb import schemas


def explain(merger: Merger, pinned: Pinned, name: str, at_us: int, where: str | None = None) -> dict[str, Any]:
    """The window of view `name` that holds `at_us`, from each side alone and merged.

    JSON-ready but for decimals. `shards`: all, with their first epoch and that with which they ended.
    `batch.segments` and `speed.epochs` list what was read, a row each.
    """
    view, states = pinned.view(name)
    start = window_start_us(at_us, view.window_us)
    query = ViewQuery(from_us=start, to_us=start + view.window_us, where=where)
    segments = [s for s in states.segments if s.overlaps(query.from_us, query.to_us)]
    epochs = pinned.speed.of(view.version).epochs
    wanted = schemas(view)
    speed = concat_states([part for epoch in epochs for part in epoch.parts], wanted)
    nothing = concat_states([], wanted)
    return {
        "view": name,
        "version": view.version,
        "window_start": iso(start),
        "window_end": iso(start + view.window_us),
        "frontier": pinned.frontier(),
        "shards": [{"id": s.id, "first_epoch": s.first_epoch, "last_epoch": s.last_epoch} for s in pinned.shards],
        "position": pinned.position(view.version),
        "batch": {
            "segments": [_segment_row(s) for s in segments],
            **_part(merger.finalize(view, segments, nothing, query)),
        },
        "speed": {
            "epochs": [_epoch_row(e) for e in epochs],
            **_part(merger.finalize(view, [], speed, query)),
        },
        "merged": _part(merger.finalize(view, segments, speed, query)),
        "drift_rows": pinned.drift_rows.get(view.version, 0),
        "sql": view.sql,
    }


def _part(answer: ViewAnswer) -> dict[str, Any]:
    return {"columns": list(answer.columns), "rows": rows_of(answer.table)}


def _segment_row(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "shard": segment.shard,
        "epoch_first": segment.epoch_first,
        "epoch_last": segment.epoch_last,
        "records": segment.records,
        "state_rows": segment.rows,
    }


def _epoch_row(epoch: EpochStates) -> dict[str, Any]:
    return {"shard": epoch.shard, "epoch": epoch.epoch, "records": epoch.records, "sealed": epoch.sealed}
