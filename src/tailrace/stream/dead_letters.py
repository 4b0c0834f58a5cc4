"""Lines that could not be read, as they came: found in the blocks of their posts, where they stay with verdict and reason.

Called by whoever keeps, lists or redrives them. Ledger counts say which epochs hold any, so that the others are not opened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tailrace.errors import Trimmed
from tailrace.model.shard import Shard
from tailrace.model.verdict import Verdict
from tailrace.stream.base import Block, ReadRequest, StreamBackend
from tailrace.stream.codec import verdicts

_STRETCH = 1 << 17
"""Offsets looked through at once."""
_BLOCKS_MAX = 64


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One line. `offset`: its place in the shard; `raw`: its bytes, without the line's end.

    `redriven_at_us`: when it was read after all and appended as a record; None if it was not.
    """

    shard: Shard
    offset: int
    epoch: int
    arrived_at_us: int
    verdict: Verdict
    reason: str
    raw: bytes
    redriven_at_us: int | None = None

    @property
    def id(self) -> str:
        """Short, and the same for ever: the shard's index and the place in it."""
        return f"{self.shard.index}-{self.offset}"


def ranges(stream: StreamBackend, shard: Shard, after_epoch: int = 0, after_offset: int = -1) -> list[tuple[int, int]]:
    """First and last offset of each epoch above `after_epoch` that holds dead letters, the open one last.

    `after_offset`: the last offset of `after_epoch`, which the stream may have let go already.
    """
    end = stream.end(shard.id)  # first: an epoch that is sealed meanwhile is then among the seals
    seals = stream.seals(shard.id, after_epoch)
    found = [(seal.first_offset, seal.last_offset) for seal in seals if seal.counts.dead_lettered]
    first = seals[-1].last_offset + 1 if seals else max(end.earliest_offset, after_offset + 1)
    if end.open_counts.dead_lettered and first < end.next_offset:
        found.append((first, end.next_offset - 1))
    return found


def last_letters(
    stream: StreamBackend, shard: Shard, first: int, last: int, limit: int, verdict: Verdict | None = None
) -> list[DeadLetter]:
    """The last `limit` of the offsets `first`..`last`, in their order: looked for from the end, a stretch at a time."""
    found: list[DeadLetter] = []
    while last >= first and len(found) < limit:
        begin = max(first, last - _STRETCH + 1)
        places = _places(stream, shard, begin, last, limit - len(found), verdict)
        found = [*_read(stream, shard, places), *found]
        last = begin - 1
    return found


def all_letters(stream: StreamBackend, shard: Shard, first: int, last: int) -> Iterator[list[DeadLetter]]:
    """All of the offsets `first`..`last`, in their order, a stretch at a time."""
    for begin in range(first, last + 1, _STRETCH):
        end = min(last, begin + _STRETCH - 1)
        yield list(_read(stream, shard, _places(stream, shard, begin, end, _STRETCH, None)))


def _places(
    stream: StreamBackend, shard: Shard, first: int, last: int, limit: int, verdict: Verdict | None
) -> list[tuple[int, Verdict]]:
    """Offset and verdict of the last `limit` dead letters in `first`..`last`. Their bytes are not touched."""
    kept: deque[tuple[int, Verdict]] = deque(maxlen=limit)
    while first <= last:
        try:
            blocks = stream.read(ReadRequest(shard.id, first, max_blocks=1 if first == last else _BLOCKS_MAX))
        except Trimmed as error:
            first = error.earliest
            continue
        if not blocks:
            break
        for block in blocks:
            kept.extend(_dead_rows(block, first, last, verdict))
        first = blocks[-1].last_offset + 1
    return list(kept)


def _dead_rows(block: Block, first: int, last: int, verdict: Verdict | None) -> list[tuple[int, Verdict]]:
    assert block.columns is not None, "blocks are read with their columns"
    codes = np.concatenate([np.empty(0, np.uint8), *verdicts(block.columns)])
    rows = np.flatnonzero(codes != Verdict.GOOD if verdict is None else codes == verdict)
    offsets = (block.first_offset + rows).tolist()
    return [(at, Verdict(codes[row])) for at, row in zip(offsets, rows.tolist(), strict=True) if first <= at <= last]


def _read(stream: StreamBackend, shard: Shard, places: Sequence[tuple[int, Verdict]]) -> Iterator[DeadLetter]:
    """The dead letters at `places` (ascending offsets); each block is read once."""
    block: Block | None = None
    for offset, verdict in places:
        if block is None or offset > block.last_offset:
            block = stream.read(ReadRequest(shard.id, offset, max_blocks=1, with_columns=False, with_raw=True))[0]
        assert block.raw is not None, "asked for"
        row = offset - block.first_offset
        reason, raw = str(block.raw["reason"][row].as_py()), block.raw["raw"][row].as_py()
        yield DeadLetter(shard, offset, block.epoch, block.arrived_at_us, verdict, reason, raw)
