"""Lines that could not be read, as they came: the newest of them, or one by its id. Read from the stream, which keeps them.

Called by the HTTP surface. Ledger counts say which epochs hold any, so that the others are not opened.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tailrace.errors import Invalid, NotFound, Trimmed
from tailrace.model.shard import Shard, shard_id
from tailrace.model.verdict import Verdict
from tailrace.stream.base import Block, ReadRequest, StreamBackend
from tailrace.stream.codec import verdicts

_ID = re.compile(r"(\d{1,9})-(\d{1,18})")


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


@dataclass(frozen=True, slots=True)
class _Range:
    """Offsets `first`..`last` of an epoch that holds dead letters. `at_us`: when it was sealed; the open one is newest."""

    shard: Shard
    first: int
    last: int
    at_us: float


def newest(stream: StreamBackend, limit: int, verdict: Verdict | None = None) -> list[DeadLetter]:
    """The newest `limit` dead letters that the stream keeps, newest first; with `verdict`, those of this kind only."""
    found: list[DeadLetter] = []
    ranges = sorted((r for shard in stream.shards() for r in _ranges(stream, shard)), key=lambda r: -r.at_us)
    wanting = {shard.id: limit for shard in stream.shards()}
    for each in ranges:
        if wanting[each.shard.id] <= 0:
            continue
        letters = _letters(stream, each, limit, verdict)
        wanting[each.shard.id] -= len(letters)
        found += letters
    found.sort(key=lambda letter: (letter.arrived_at_us, letter.shard.index, letter.offset), reverse=True)
    return found[:limit]


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
        for letter in _letters(stream, _Range(shard, offset, offset, 0), 1, None):
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


def _ranges(stream: StreamBackend, shard: Shard) -> Iterator[_Range]:
    seals = stream.seals(shard.id)
    for seal in seals:
        if seal.counts.dead_lettered:
            yield _Range(shard, seal.first_offset, seal.last_offset, seal.sealed_at_us)
    end = stream.end(shard.id)
    first = seals[-1].last_offset + 1 if seals else end.earliest_offset
    if end.next_offset > first:
        yield _Range(shard, first, end.next_offset - 1, float("inf"))


def _letters(stream: StreamBackend, within: _Range, limit: int, verdict: Verdict | None) -> list[DeadLetter]:
    """The last `limit` of the range, in their order."""
    kept: deque[DeadLetter] = deque(maxlen=limit)
    offset = within.first
    while offset <= within.last:
        try:
            blocks = stream.read(ReadRequest(within.shard.id, offset, max_blocks=1 if offset == within.last else 256))
        except Trimmed as error:
            offset = error.earliest
            continue
        if not blocks:
            break
        for block in blocks:
            kept.extend(_of_block(stream, block, within, verdict))
        offset = blocks[-1].last_offset + 1
    return list(kept)


def _of_block(stream: StreamBackend, block: Block, within: _Range, verdict: Verdict | None) -> Iterator[DeadLetter]:
    """Raw lines are read of those blocks only that hold what is asked for."""
    assert block.columns is not None, "blocks are read with their columns"
    codes = [code for chunk in verdicts(block.columns) for code in chunk.tolist()]
    rows = [
        row
        for row, code in enumerate(codes)
        if code and within.first <= block.first_offset + row <= within.last and verdict in (None, code)
    ]
    if not rows:
        return
    request = ReadRequest(block.shard_id, block.first_offset, max_blocks=1, with_columns=False, with_raw=True)
    raw = stream.read(request)[0].raw
    assert raw is not None, "asked for"
    for row in rows:
        yield DeadLetter(
            shard=within.shard,
            offset=block.first_offset + row,
            epoch=block.epoch,
            arrived_at_us=block.arrived_at_us,
            verdict=Verdict(codes[row]),
            reason=str(raw["reason"][row].as_py()),
            raw=raw["raw"][row].as_py(),
        )
