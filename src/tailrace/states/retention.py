"""Let go of old windows, finest first: fine windows are for last week, days for last year.

What a segment holds has an age, that of its arrival. Once all of it is older than a level may be, the level keeps only windows that
start after that time (those of records from the future), mostly none. So no honest record loses its window early because another
one was late, and an answer says what is not kept instead of leaving it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from tailrace.runtime.ids import unique_id
from tailrace.states.octaves import OCTAVES
from tailrace.states.segment import Level, Segment, read_batch_table, write_level
from tailrace.states.tables import from_window

_MINUTE_US, _HOUR_US, _DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000


def age_of_level(width_us: int, fine_us: int, minute_us: int, all_us: int) -> int:
    """How long windows of a width are kept (microseconds, 0: without limit): under a minute, under an hour, all others."""
    if width_us < _MINUTE_US:
        return fine_us
    return minute_us if width_us < _HOUR_US else all_us


def due(segment: Segment, now_us: int, ages_us: Mapping[int, int]) -> dict[int, int]:
    """Levels (by width) of which the segment has to let windows go, and from when on it keeps them: the start of a day.

    `ages_us`: by width; 0 or absent: without limit.
    """
    found: dict[int, int] = {}
    for level in segment.levels():
        age_us = ages_us.get(level.width_us, 0)
        old = age_us and segment.arrived_last_us < now_us - age_us
        cutoff_us = (now_us - age_us) // _DAY_US * _DAY_US
        if old and level.files and (level.kept_from_us is None or level.kept_from_us < cutoff_us):
            found[level.width_us] = cutoff_us
    return found


def let_go(states_dir: Path, segment: Segment, cutoffs: Mapping[int, int]) -> Segment:
    """The segment with those levels cut; new files for what is left of them, durable on return. The old files stay as they are."""
    return segment.with_levels(
        [
            _cut(states_dir, segment, level, cutoffs[level.width_us]) if level.width_us in cutoffs else level
            for level in segment.levels()
        ]
    )


def _cut(states_dir: Path, segment: Segment, level: Level, cutoff_us: int) -> Level:
    empty = Level(width_us=level.width_us, rows=0, bytes=0, files={}, kept_from_us=cutoff_us)
    if segment.window_last_us is None or segment.window_last_us < cutoff_us:
        return empty
    held: dict[str, pa.Table] = {
        name: read_batch_table(states_dir, level, name) for name in level.files if name != OCTAVES
    }
    left = from_window(held, cutoff_us)
    if not any(table.num_rows for table in left.values()):
        return empty
    prefix = f"batch/{segment.version}/{segment.id}.{level.width_us // 1_000_000}s-{unique_id()}"
    return write_level(states_dir, prefix, level.width_us, left, cutoff_us)


def surplus(segments: Sequence[Segment], bytes_max: int) -> dict[str, dict[int, int]]:
    """What goes first while all segments together have more than `bytes_max`: segment id -> what `let_go` wants.

    The finest levels go first, of the oldest segments first; the coarsest level of a segment stays.
    """
    excess = sum(segment.total_bytes for segment in segments) - bytes_max
    levels = [(level, segment) for segment in segments for level in segment.levels()[:-1] if level.files]
    found: dict[str, dict[int, int]] = {}
    for level, segment in sorted(levels, key=lambda pair: (pair[0].width_us, pair[1].arrived_last_us)):
        if excess <= 0:
            break
        after_us = ((segment.window_last_us or 0) // _DAY_US + 1) * _DAY_US
        found.setdefault(segment.id, {})[level.width_us] = after_us
        excess -= level.bytes
    return found
