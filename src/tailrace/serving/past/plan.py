"""Of what a shard's part of a past answer is made: whole segments, lake rows, lines of the stream. Pure.

A segment counts as it is when the position is not before its end. What the position cuts through, or what no segment keeps as fine as
it is asked for, is computed again from the lake's rows, and what the lake has not taken over yet from the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tailrace.batch.base import LakeFile, LakeSnapshot
from tailrace.batch.recompute import ALL, Bounds
from tailrace.errors import Expired, Invalid
from tailrace.model.window import iso
from tailrace.serving.merge import ViewQuery, data_range
from tailrace.serving.sources import batch_sources
from tailrace.states.levels import kept_from_us, widths_usable
from tailrace.states.manifest import ViewStates
from tailrace.states.segment import Segment
from tailrace.views import CompiledView

EpochFrom = Callable[[LakeFile, int], int | None]
"""A lake file, an offset -> the epoch of its first record at or after that offset."""


@dataclass(frozen=True, slots=True)
class ShardPart:
    """`segments`: read as they are. `files`: lake files of which the records in `epochs` (ranges, inclusive) and `bounds` are
    computed again. `tail`: offsets [first, end) of the stream."""

    shard: str
    segments: tuple[Segment, ...] = ()
    files: tuple[LakeFile, ...] = ()
    epochs: tuple[tuple[int, int], ...] = ()
    bounds: Bounds = ALL
    tail: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        """Records and lines that may have to be looked at, from above."""
        return sum(file.rows for file in self.files) + self.tail[1] - self.tail[0]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The windows that are asked for of a view, and of which records they are made: event times in [from_us, to_us)."""

    view: CompiledView
    query: ViewQuery

    @property
    def windows(self) -> tuple[int | None, int | None]:
        return data_range(self.view, self.query)

    def bounds(self, offset_end: int) -> Bounds:
        from_us, to_us = self.windows
        return Bounds(offset_end, from_us, None if to_us is None else to_us + self.view.window_us)

    def fits(self, segment: Segment) -> bool:
        """Whether the segment still keeps windows as short as they are needed, for all of the time asked for."""
        widths = widths_usable(self.view.window_us, self.query.step_us, total=self.query.total)
        kept_us = kept_from_us([segment], widths)
        from_us, to_us = self.windows
        if kept_us is not None and (from_us is None or from_us < kept_us):
            return False
        try:
            batch_sources(self.view, [segment], self.query, from_us, to_us)
        except Invalid:
            return False
        return True


def plan_shard(
    wanted: Wanted, shard: str, end: int, lake: LakeSnapshot, states: ViewStates, epoch_from: EpochFrom
) -> ShardPart:
    """The part of `shard`, of which the lines before offset `end` count.

    Raises Expired if records that are needed one by one have been let go.
    """
    if end == 0:
        return ShardPart(shard)
    mine = sorted((s for s in states.segments if s.shard == shard), key=lambda s: s.epoch_first)
    files = [f for f in lake.files if f.shard_id == shard]
    let_go = _let_go(lake, shard)
    # Only segments that are older than their offsets need it.
    whole = whole_through(shard, end, lake, epoch_from) if any(s.records and not s.offsets for s in mine) else 0
    if states.absent.get(shard) and end <= min([lake.mark(shard).last_offset, *_firsts(mine, files)]):
        raise _expired(shard, 1, let_go)
    used: list[Segment] = []
    covered: list[Segment] = []
    for segment in mine:
        ends = segment.offsets[1] < end if segment.offsets else segment.epoch_last <= whole
        if not segment.overlaps(*wanted.windows) or (segment.offsets and segment.offsets[0] >= end):
            covered.append(segment)
        elif ends and wanted.fits(segment):
            used.append(segment)
            covered.append(segment)
        elif segment.epoch_first <= let_go and (segment.offsets or segment.epoch_first <= whole + 1):
            raise _windows_gone(wanted, segment) if ends else _expired(shard, segment.epoch_first, let_go)
    bounds = wanted.bounds(end)
    epochs = tuple(_holes([(s.epoch_first, s.epoch_last) for s in covered], lake.mark(shard).epoch))
    read = tuple(
        f for f in files if bounds.meets(f) and any(f.epoch_first <= b and f.epoch_last >= a for a, b in epochs)
    )
    first = lake.mark(shard).last_offset + 1
    return ShardPart(shard, tuple(used), read, epochs, bounds, (min(first, end), end))


def _firsts(segments: Sequence[Segment], files: Sequence[LakeFile]) -> Iterator[int]:
    """Offsets of the first records that states or lake have; what is older was let go before the view was built."""
    yield from (segment.offsets[0] for segment in segments if segment.offsets)
    yield from (file.offset_first for file in files)


def whole_through(shard: str, end: int, lake: LakeSnapshot, epoch_from: EpochFrom) -> int:
    """The last of the shard's epochs in the lake of which every record is before offset `end`.

    Raises Expired where the records around `end` have been let go.
    """
    mark, let_go = lake.mark(shard), _let_go(lake, shard)
    if end > mark.last_offset:
        return mark.epoch
    files = sorted((f for f in lake.files if f.shard_id == shard), key=lambda f: f.epoch_first)
    at = next((n for n, file in enumerate(files) if file.offset_last >= end), len(files))
    if let_go and at == 0 and (not files or end < files[0].offset_first):
        raise _expired(shard, 1, let_go)
    if at == len(files):
        return mark.epoch
    file = files[at]
    cut = file.epoch_first if file.offset_first >= end else epoch_from(file, end)
    return (file.epoch_last if cut is None else cut) - 1


def _holes(covered: Sequence[tuple[int, int]], last: int) -> Iterator[tuple[int, int]]:
    """Ranges of epochs from 1 to `last` that none of `covered` (ascending) holds."""
    following = 1
    for low, high in covered:
        if following < low and following <= last:
            yield following, min(low - 1, last)
        following = max(following, high + 1)
    if following <= last:
        yield following, last


def _let_go(lake: LakeSnapshot, shard: str) -> int:
    return lake.trimmed[shard].through_epoch if shard in lake.trimmed else 0


def _expired(shard: str, first: int, last: int) -> Expired:
    return Expired(
        f"epochs `{first}` to `{last}` of shard `{shard}` are needed record by record, and the lake has let them go",
        hint="ask at a younger position; a pin keeps its result, and retention.lake_age_s says how long the lake keeps records",
    )


def _windows_gone(wanted: Wanted, segment: Segment) -> Expired:
    start = max((level.kept_from_us for level in segment.levels() if level.kept_from_us is not None), default=0)
    return Expired(
        f"view `{wanted.view.name}` no longer keeps all windows before {iso(start)} as short as they are asked for,"
        " and the lake has let go of their records",
        hint=f"ask from={iso(start)}, or with a longer step; a pin keeps its result",
    )
