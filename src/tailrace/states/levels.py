"""Coarser windows beside a segment's own, and which of them answer a question. Pure.

A month in windows of ten seconds is a quarter of a million windows a key; a chart of it has three hundred points. So a segment
that is large enough also keeps its states merged to a minute, an hour, three and six hours, a day: its levels. Merging is
exact, so a question may be answered from any mixture of them, and is answered from the coarsest that fits: whole days from days,
what is left at either end from finer windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.states.segment import Level, Segment

_S = 1_000_000
LADDER_US = (60 * _S, 3_600 * _S, 10_800 * _S, 21_600 * _S, 86_400 * _S)
"""Each divides the next, and all begin at multiples of their width since 1970, so that windows of one lie within those of another."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Windows of `width_us` that start in [from_us, to_us) (None: no bound), and make up those that are asked for."""

    width_us: int
    from_us: int | None
    to_us: int | None

    def meets(self, segment: Segment) -> bool:
        return segment.overlaps(self.from_us, self.to_us)


def widths_kept(window_us: int) -> tuple[int, ...]:
    """The widths of the levels beside windows of `window_us`."""
    return tuple(width for width in LADDER_US if width > window_us and width % window_us == 0)


def widths_usable(window_us: int, step_us: int | None, *, total: bool) -> tuple[int, ...]:
    """Widths, ascending, whose windows lie within those that are asked for: `step_us` long (None: as the view's), or all in one."""
    coarser = widths_kept(window_us) if total or step_us is not None else ()
    return (window_us, *(width for width in coarser if total or (step_us is not None and step_us % width == 0)))


def pieces(widths: Sequence[int], from_us: int | None, to_us: int | None) -> list[Piece]:
    """[from_us, to_us) in as few windows as possible, from left to right. `widths`: ascending, each divides the next."""
    widest, finer = widths[-1], widths[:-1]
    if not finer:
        return [Piece(widest, from_us, to_us)]
    first = None if from_us is None else -(-from_us // widest) * widest
    last = None if to_us is None else to_us // widest * widest
    if first is not None and last is not None and first >= last:
        return pieces(finer, from_us, to_us)
    found = [Piece(widest, first, last)]
    if from_us is not None and first != from_us:
        found = pieces(finer, from_us, first) + found
    if to_us is not None and last != to_us:
        found += pieces(finer, last, to_us)
    return found


def level_for(segment: Segment, piece: Piece) -> Level | None:
    """The segment's coarsest level that holds all that the piece needs of it; None if what it needs is not kept any more."""
    for level in reversed(segment.levels()):
        if level.width_us <= piece.width_us and not _misses(segment, level, piece):
            return level
    return None


def _misses(segment: Segment, level: Level, piece: Piece) -> bool:
    """Whether the segment had windows in the piece that the level has let go."""
    if level.kept_from_us is None:
        return False
    return segment.overlaps(piece.from_us, _earlier(piece.to_us, level.kept_from_us)) and (
        piece.from_us is None or piece.from_us < level.kept_from_us
    )


def kept_from_us(segments: Sequence[Segment], widths: Sequence[int]) -> int | None:
    """From when on windows of the widest of `widths` can be made of all segments; None: from the beginning.

    All levels let windows go by whole days, so this is the start of one.
    """
    starts = []
    for segment in segments:
        usable = [level for level in segment.levels() if level.width_us in widths]
        held = [level.kept_from_us for level in usable if level.kept_from_us is not None]
        if len(held) == len(usable) and usable and segment.window_first_us is not None:
            start = min(held)
            if segment.window_first_us < start:
                starts.append(start)
    return max(starts, default=None)


def _earlier(a: int | None, b: int) -> int:
    return b if a is None else min(a, b)
