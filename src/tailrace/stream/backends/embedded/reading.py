"""Reading a shard: blocks across files, and the offsets at which readers begin.

Called by `stream.py` for speed, batch and queries. Every block is checked against its neighbours and its checksums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tailrace.errors import Corrupt, GapFound, Invalid
from tailrace.model.fields import Fields
from tailrace.stream.backends.embedded.file import ShardFile, StoredBlock
from tailrace.stream.backends.embedded.files import ShardFiles
from tailrace.stream.backends.embedded.schema import row_checksum
from tailrace.stream.base import Block, ReadRequest, Start, StartKind
from tailrace.stream.codec import arranged, decode


def read(files: ShardFiles, request: ReadRequest, fields: Fields) -> list[Block]:
    """See StreamBackend.read. `columns` of a block are those of `fields`, whichever they were when it was written."""
    stored = _stored(files, request)
    return [_block(file, row, request, fields) for file, row in _gapless(stored, request)]


def _stored(files: ShardFiles, request: ReadRequest) -> Iterator[tuple[ShardFile, StoredBlock]]:
    """Rows of one file after the other, until the limits of `request` are reached."""
    blocks_left, bytes_left = request.max_blocks, request.max_bytes
    start, any_yet = request.start_offset, False
    for file in files.holding(start):
        end = file.state().next_offset
        if start >= end:
            continue
        found = file.blocks(start, blocks_left, bytes_left, columns=request.with_columns, raw=request.with_raw)
        if not found:
            raise GapFound(files.shard_id, start, end - 1)
        size = sum(row.size for row in found)
        if any_yet and size > bytes_left:
            return
        for row in found:
            yield file, row
        any_yet = True
        start = found[-1].first_offset + found[-1].count
        blocks_left, bytes_left = blocks_left - len(found), bytes_left - size
        if start < end or blocks_left <= 0 or bytes_left <= 0:
            return


def _gapless(
    stored: Iterable[tuple[ShardFile, StoredBlock]], request: ReadRequest
) -> Iterator[tuple[ShardFile, StoredBlock]]:
    """`stored` from the block that holds `start_offset`, once each is seen to begin where the one before ended."""
    expected, found, end = request.start_offset, False, None
    for file, row in stored:
        _check_row(file, row)
        end = row.first_offset + row.count
        if not found and row.first_offset <= request.start_offset:
            expected = row.first_offset
        if row.first_offset != expected:
            raise GapFound(request.shard_id, expected, row.first_offset - 1)
        expected = end
        if end > request.start_offset:
            found = True
            yield file, row
    if end is not None and not found:
        raise GapFound(request.shard_id, end, request.start_offset)


def _check_row(file: ShardFile, row: StoredBlock) -> None:
    if row.checksum != row_checksum(row.first_offset, row.count, row.epoch, row.arrived_at_us, row.size):
        raise Corrupt(
            str(file.path), f"the coordinates of the block at offset `{row.first_offset}` do not match their checksum"
        )


def _block(file: ShardFile, row: StoredBlock, request: ReadRequest, fields: Fields) -> Block:
    where = f"{file.path} offset {row.first_offset}"
    columns = None if row.columns is None else arranged(_half(row.columns, row.count, where), fields)
    raw = None if row.raw is None else _half(row.raw, row.count, where)
    return Block(request.shard_id, row.epoch, row.first_offset, row.count, row.arrived_at_us, columns, raw)


def _half(blob: bytes, count: int, where: str) -> Any:
    table = decode(blob, where)
    if table.num_rows != count:
        raise Corrupt(where, f"the block has `{table.num_rows}` rows, not `{count}`")
    return table


def offset_at(files: ShardFiles, start: Start) -> int:
    """See StreamBackend.offset_at."""
    all_files, state = files.current()
    first, next_offset = all_files[0].about.first_offset, state.next_offset
    match start.kind:
        case StartKind.TRIM_HORIZON:
            return first
        case StartKind.LATEST:
            return next_offset
        case StartKind.AT_TIMESTAMP:
            found = (file.first_arrival(start.value) for file in all_files)
            return next((offset for offset in found if offset is not None), next_offset)
        case StartKind.AT_OFFSET | StartKind.AFTER_OFFSET:
            offset = start.value + (start.kind is StartKind.AFTER_OFFSET)
            if not 0 <= offset <= next_offset:
                raise Invalid(
                    f"offset `{start.value}` of shard `{files.shard_id}` has not been given, the next is `{next_offset}`",
                    hint="start at LATEST, or at an offset that a read has returned",
                )
            files.holding(offset)
            return offset
