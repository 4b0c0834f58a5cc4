"""One file that is followed: how far it was read, and the next block of it. Used by one thread."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from enum import IntEnum

from tailrace.producers.ship.cut import BLOCK_BYTES, LINE_BYTES_MAX, Cut, after_last_line
from tailrace.producers.ship.journal import FileRow
from tailrace.producers.ship.source import HEAD_BYTES, TAIL_BYTES, Inode, Source

REST_S = 10.0
"""Far more than the ticks in which a file system counts the times of changes."""
NOT_OURS = -1
"""The offset of a file that is known and not to be read: a copy of one that is, or older than what was asked for."""


class Ending(IntEnum):
    """What may be sent of a file's end. OPEN: what is certainly complete. LINES: whole lines. ALL: whatever there is."""

    OPEN = 0
    LINES = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes `start` to `end` of a file."""

    start: int
    body: bytes | memoryview
    crc_before: int
    crc_after: int

    @property
    def end(self) -> int:
        return self.start + len(self.body)


@dataclass(slots=True)
class Tailed:
    """`source` None: it is read to its end and closed, or nobody knows where it is (`homeless`). `asked`: when it was asked for a
    block last, in turns.

    `seen`: its size and time of change, the same since `seen_s` (monotonic). `resting`: that is long ago and all of it was read, so
    that it need not be opened or read until one of them changes.

    `quiet_since_s`: monotonic; since when nothing was there to be sent. `waiting`: bytes behind the offset that were seen then.
    """

    row: FileRow
    source: Source | None = None
    homeless: bool = False
    quiet_since_s: float = 0.0
    waiting: int = 0
    asked: int = 0
    seen: tuple[int, int] = (-1, -1)
    seen_s: float = 0.0
    resting: bool = False

    @property
    def inode(self) -> Inode:
        return Inode(self.row.device, self.row.inode)

    @property
    def ours(self) -> bool:
        return self.row.offset != NOT_OURS

    def at(self, source: Source) -> None:
        """It is now read from there."""
        if self.source is not None and self.source is not source:
            self.source.close()
        inode = source.inode
        self.source, self.homeless, source.kept = source, False, True
        self.row = replace(self.row, path=str(source.path), device=inode.device, inode=inode.number)

    def seen_at(self, path: str) -> None:
        """It has that name now."""
        if self.row.path != path:
            self.row = replace(self.row, path=path)

    def stands_still(self, size: int, changed_ns: int, now_s: float) -> bool:
        """Whether it is as it was, so that nothing in it needs a look. Once it has rested there was one."""
        if (size, changed_ns) != self.seen:
            self.seen, self.seen_s, self.resting = (size, changed_ns), now_s, False
        rested = self.resting
        read = self.source is not None and not self.source.gz and self.row.offset == size
        self.resting = read and now_s - self.seen_s >= REST_S
        return rested and self.resting

    def close(self) -> None:
        self.resting = False
        if self.source is not None:
            self.source.close()
        self.source = None

    def holds_same(self, source: Source) -> bool:
        """Whether `source` begins as this file did and stands as it was before the offset."""
        row = self.row
        if not source.gz and source.stored_bytes < row.offset:
            return False
        if source.read(0, len(row.head)) != row.head:
            return False
        tail = row.tail if self.ours else b""
        return not tail or source.read(row.offset - len(tail), len(tail)) == tail

    def is_copied_by(self, source: Source) -> bool:
        """Whether all that was read of this file stands in `source` too, byte for byte."""
        return self.holds_same(source) and source.crc(self.row.crc_from, self.row.offset) == self.row.crc

    def truncated(self) -> bool:
        return self.source is not None and not self.source.gz and not self.holds_same(self.source)

    def next_block(self, cut: Cut, ending: Ending) -> Block | None:
        """The block behind the offset, if there is one; the caller calls `taken` once it is in the journal.

        Raises Unavailable if a gzip file is damaged, OSError if it cannot be read.
        """
        if self.source is None or not self.ours:
            return None
        size, start = BLOCK_BYTES, self.row.offset
        if not self.source.gz and self.source.stored_bytes <= start:
            self.waiting = 0
            return None
        while True:
            block = self.source.read(start, size)
            at_end = len(block) < size
            length = cut(block)
            if length or at_end or size >= LINE_BYTES_MAX:
                break
            size = min(size * 4, LINE_BYTES_MAX)
        if not self._stands():  # looked at after reading, so that nothing was read of what came in its place
            return None
        if (at_end and ending is Ending.ALL) or (not length and not at_end):
            length = len(block)
        elif at_end and ending is Ending.LINES:
            length = after_last_line(block)
        self.waiting = len(block) - length
        if not length:
            return None
        body = block if length == len(block) else memoryview(block)[:length]
        return Block(start, body, self.row.crc, zlib.crc32(body, self.row.crc))

    def taken(self, block: Block) -> FileRow:
        """The offset moves behind `block`; returns what is to be written into the journal with it."""
        head = self.row.head
        if block.start <= len(head) < HEAD_BYTES:
            head = head[: block.start] + bytes(block.body[: HEAD_BYTES - block.start])
        tail = bytes(block.body[-TAIL_BYTES:])
        self.row = replace(self.row, offset=block.end, crc=block.crc_after, head=head, tail=tail)
        return self.row

    def read_again(self, start: int, end: int, crc_before: int, crc_after: int) -> Block | None:
        """The bytes that were read once already, or None if they are not there any more."""
        if self.source is None:
            return None
        body = self.source.read(start, end - start)
        block = Block(start, body, crc_before, zlib.crc32(body, crc_before))
        return block if block.end == end and block.crc_after == crc_after else None

    def _stands(self) -> bool:
        """Whether what stands before the offset is still what was read there."""
        tail = self.row.tail
        return self.source is None or not tail or self.source.read(self.row.offset - len(tail), len(tail)) == tail
