"""Lines that could not be read, as they came: the newest of them, or one by its id. Read from the stream, which keeps them.

Called by the HTTP surface. Ledger counts say which epochs hold any, so that the others are not opened.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from tailrace.errors import Invalid, NotFound, Trimmed
from tailrace.model.shard import Shard, shard_id
from tailrace.model.verdict import Verdict
from tailrace.stream.base import Block, ReadRequest, StreamBackend
from tailrace.stream.codec import verdicts

_ID = re.compile(r"(\d{1,9})-(\d{1,18})", re.ASCII)
_STRETCH = 1 << 17
"""Offsets looked through at once."""
_BLOCKS_MAX = 64


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One line. `offset`: its place in the shard; `raw`: its bytes, without the line's end."""

    shard: Shard
    offset: int
    epoch: int
    arrived_at_us: int
    verdict: Verdict
    reason: str
    raw: bytes

    @property
    def id(self) -> str:
        """Short, and the same for ever: the shard's index and the place in it."""
        return f"{self.shard.index}-{self.offset}"


def newest(stream: StreamBackend, limit: int, verdict: Verdict | None = None) -> list[DeadLetter]:
    """The newest `limit` dead letters that the stream keeps, newest first; with `verdict`, those of this kind only."""
    found: list[DeadLetter] = []
    for shard in stream.shards():
        mine: list[DeadLetter] = []
        for first, last in reversed(_ranges(stream, shard)):
            if len(mine) >= limit:
                break
            mine += _letters(stream, shard, first, last, limit - len(mine), verdict)
        found += mine
    found.sort(key=lambda letter: (letter.arrived_at_us, letter.shard.index, letter.offset), reverse=True)
    return found[:limit]


class Newest:
    """The newest few, for a page that asks again and again: looked for once, until the stream holds more of them."""

    def __init__(self, stream: StreamBackend, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._lock = Lock()
        self._known: tuple[int, list[DeadLetter]] = (0, [])

    def of(self, count: int) -> list[DeadLetter]:
        """`count`: how many the stream keeps, by its ledger. Safe from any thread; one of them looks, the others wait for it."""
        with self._lock:
            if self._known[0] != count:
                self._known = (count, newest(self._stream, self._limit))
            return self._known[1]


def one(stream: StreamBackend, dead_letter_id: str) -> DeadLetter:
    """Raises Invalid for what is no id, NotFound if no dead letter has it (any more)."""
    match = _ID.fullmatch(dead_letter_id)
    if match is None:
        raise Invalid(
            f"`{dead_letter_id}` is no id of a dead letter",
            hint="they look like 0-1234; see: tailrace deadletters list",
        )
    offset = int(match[2])
    shard = next((s for s in stream.shards() if s.id == shard_id(int(match[1]))), None)
    if shard is not None and offset < stream.end(shard.id).next_offset:
        for letter in _letters(stream, shard, offset, offset, 1, None):
            return letter
    raise NotFound(
        f"there is no dead letter `{dead_letter_id}`", hint="see those that are kept: tailrace deadletters list"
    )


def total(stream: StreamBackend) -> int:
    """How many the stream keeps."""
    return sum(
        sum(seal.counts.dead_lettered for seal in stream.seals(shard.id))
        + stream.end(shard.id).open_counts.dead_lettered
        for shard in stream.shards()
    )


def _ranges(stream: StreamBackend, shard: Shard) -> list[tuple[int, int]]:
    """First and last offset of each epoch that holds dead letters, the open one last."""
    end = stream.end(shard.id)  # first: an epoch that is sealed meanwhile is then among the seals
    seals = stream.seals(shard.id)
    ranges = [(seal.first_offset, seal.last_offset) for seal in seals if seal.counts.dead_lettered]
    first = seals[-1].last_offset + 1 if seals else end.earliest_offset
    if end.open_counts.dead_lettered and first < end.next_offset:
        ranges.append((first, end.next_offset - 1))
    return ranges


def _letters(
    stream: StreamBackend, shard: Shard, first: int, last: int, limit: int, verdict: Verdict | None
) -> list[DeadLetter]:
    """The last `limit` of the offsets `first`..`last`, in their order: looked for from the end, a stretch at a time."""
    found: list[DeadLetter] = []
    while last >= first and len(found) < limit:
        begin = max(first, last - _STRETCH + 1)
        places = _places(stream, shard, begin, last, limit - len(found), verdict)
        found = [*_read(stream, shard, places), *found]
        last = begin - 1
    return found


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
