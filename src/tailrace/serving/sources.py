"""Which files of the batch segments answer a query: the coarsest windows that fit, and what is not kept any more. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tailrace.errors import Invalid
from tailrace.model.window import iso
from tailrace.serving.view_query import ViewQuery
from tailrace.states.levels import Piece, kept_from_us, level_for, pieces, widths_usable
from tailrace.states.segment import Level, Segment
from tailrace.views import CompiledView


@dataclass(frozen=True, slots=True)
class BatchSource:
    """Levels of segments, of which the windows of one piece are read. `condition`: SQL, ` WHERE ...` or nothing."""

    levels: tuple[Level, ...]
    condition: str


def from_what_is_kept(
    view: CompiledView, segments: Sequence[Segment], query: ViewQuery
) -> tuple[ViewQuery, int | None]:
    """The query from where on its windows are kept, if it does not say from when on; and that time (None: all are kept)."""
    widths = widths_usable(view.window_us, query.step_us, total=query.total)
    kept_us = kept_from_us(segments, widths)
    if kept_us is None or query.from_us is not None:
        return query, kept_us
    return replace(query, from_us=kept_us), kept_us


def batch_sources(
    view: CompiledView, segments: Sequence[Segment], query: ViewQuery, from_us: int | None, to_us: int | None
) -> list[BatchSource]:
    """What to read, piece by piece: windows in [from_us, to_us), which may reach further than the windows that are asked for.

    Raises Invalid where windows are asked for that are no longer kept as short as they must be.
    """
    widths = widths_usable(view.window_us, query.step_us, total=query.total)
    found: list[BatchSource] = []
    for piece in pieces(widths, from_us, to_us):
        levels = [_level(view, segment, piece) for segment in segments if piece.meets(segment)]
        if levels:
            found.append(BatchSource(tuple(levels), _condition(piece)))
    return found


def _level(view: CompiledView, segment: Segment, piece: Piece) -> Level:
    level = level_for(segment, piece)
    if level is not None:
        return level
    kept = [x for x in segment.levels() if x.kept_from_us is None or (piece.from_us or 0) >= x.kept_from_us]
    start = max((x.kept_from_us for x in segment.levels() if x.kept_from_us is not None), default=0)
    if kept:
        width_s = kept[0].width_us // 1_000_000
        hint = f"ask with step={width_s}s or a multiple of it, from a multiple of it"
    else:
        hint = f"ask from={iso(start)}, or set retention.states_age_s higher for the time to come"
    raise Invalid(
        f"view `{view.name}` does not keep windows of {piece.width_us // 1_000_000}s before {iso(start)}", hint=hint
    )


def _condition(piece: Piece) -> str:
    bounds = []
    if piece.from_us is not None:
        bounds.append(f"window_start >= make_timestamptz({piece.from_us:d})")
    if piece.to_us is not None:
        bounds.append(f"window_start < make_timestamptz({piece.to_us:d})")
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""
