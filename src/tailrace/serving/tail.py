"""The newest records, kept in memory for live tail. Bounded by rows; what falls out is in the stream and the lake."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import pyarrow as pa

from tailrace.stream.base import Block


@dataclass(frozen=True, slots=True)
class TailPage:
    """Blocks that arrived after a cursor. `cursor`: pass it to the next call. `skipped`: lines that had fallen out before."""

    blocks: tuple[Block, ...]
    cursor: int
    skipped: int


class TailBuffer:
    """Blocks with their columns, oldest first. Written by the speed thread, read by any."""

    def __init__(self, rows_max: int = 50_000) -> None:
        self._rows_max = rows_max
        self._blocks: deque[tuple[int, Block]] = deque()
        self._rows = 0
        self._total = 0
        self._lock = threading.Lock()

    def add(self, blocks: list[Block]) -> None:
        with self._lock:
            for block in blocks:
                self._total += block.count
                self._rows += block.count
                self._blocks.append((self._total, block))
            while len(self._blocks) > 1 and self._rows > self._rows_max:
                self._rows -= self._blocks.popleft()[1].count

    def after(self, cursor: int) -> TailPage:
        """Blocks that came in after `cursor` lines; a negative cursor asks for as many of the newest lines (or more)."""
        with self._lock:
            if cursor < 0:
                cursor = max(0, self._total + cursor)
            blocks = tuple(block for total, block in self._blocks if total > cursor)
            held_from = self._total - sum(block.count for block in blocks)
            return TailPage(blocks, self._total, max(0, held_from - cursor))


def tail_table(block: Block) -> pa.Table:
    """The good records of a block with `_offset` and `_arrived_at` (microseconds)."""
    assert block.columns is not None, "tail keeps blocks with their columns"
    offsets = pa.array(range(block.first_offset, block.first_offset + block.columns.num_rows), pa.int64())
    table = block.columns.append_column("_offset", offsets)
    table = table.append_column("_arrived_at", pa.array([block.arrived_at_us] * table.num_rows, pa.int64()))
    good = pa.compute.equal(table["verdict"], 0)
    return table.filter(good).drop_columns(["verdict"])
