"""Batches for tests of a stream: small, typed, and such that every row and every raw line can be told from every other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from tailrace.model.fields import DEFAULT_FIELDS, RAW_SCHEMA, Fields
from tailrace.model.verdict import REASONS, Verdict
from tailrace.model.window import us_datetime
from tailrace.stream.base import Block, ProducerStamp, ReadRequest, ShardBatch, StreamBackend

FIELDS = DEFAULT_FIELDS
_FIRST_US = 1_790_000_000_000_000


def sample_raw(number: int) -> bytes:
    """Line `number` as it came: some have NUL, non-UTF-8 bytes, other scripts, or nothing but their number."""
    text = f'{{"n":{number},"message":"request {number}"}}'.encode()
    match number % 7:
        case 3:
            return text + "\u00e9\u4e16\u754c\U0001f600".encode()
        case 4:
            return b"\x00\xff\xfe" + text
        case 5:
            return str(number).encode()
        case _:
            return text


def sample_batch(
    shard_id: str,
    numbers: Sequence[int],
    *,
    dead: Collection[int] = (),
    producer: ProducerStamp | None = None,
    lines: Sequence[int] = (),
    dictionary: bool = False,
    fields: Fields = FIELDS,
) -> ShardBatch:
    """Lines `numbers`, those of `dead` with a verdict. `dictionary`: text columns come dictionary-encoded."""
    rows = [_row(n, dead=n in dead) for n in numbers]
    columns = pa.Table.from_pylist(rows, schema=fields.block_schema())
    if dictionary:
        for index, name in enumerate(columns.schema.names):
            if pa.types.is_string(columns.column(index).type):
                columns = columns.set_column(index, name, columns.column(index).dictionary_encode())
    raw = pa.table(
        [
            pa.array([sample_raw(n) for n in numbers], pa.binary()),
            pa.array([REASONS[Verdict.MALFORMED] if n in dead else None for n in numbers], pa.string()),
        ],
        schema=RAW_SCHEMA,
    )
    return ShardBatch(shard_id, columns, raw, lines, producer)


def _row(number: int, *, dead: bool) -> dict[str, object]:
    if dead:
        return {"verdict": int(Verdict.MALFORMED)}
    return {
        "verdict": 0,
        "timestamp": us_datetime(_FIRST_US + number),
        "service": f"service-{number % 3}",
        "endpoint": f"/p\u00e4th/{number % 5}",
        "method": "GET",
        "status": 200 + number % 4,
        "response_ms": Decimal(number % 1_000_000).scaleb(-3),
        "ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        "trace_id": f"{number:016x}",
        "message": None if number % 11 == 0 else f"request {number}",
        "extra": f'{{"n":{number}}}' if number % 13 == 0 else None,
    }


@dataclass(frozen=True, slots=True)
class StoredLine:
    """One line as read back: its coordinates, its values and its bytes."""

    offset: int
    epoch: int
    row: dict[str, object]
    raw: bytes
    reason: str | None


def read_blocks(stream: StreamBackend, shard_id: str, start: int = 0, *, max_blocks: int = 5) -> list[Block]:
    """All blocks from the one that holds `start` to the end, both halves, over as many reads as it takes."""
    found: list[Block] = []
    while page := stream.read(ReadRequest(shard_id, start, max_blocks, with_columns=True, with_raw=True)):
        found += page
        start = page[-1].last_offset + 1
    return found


def read_lines(stream: StreamBackend, shard_id: str, start: int = 0) -> list[StoredLine]:
    """All lines from the block that holds `start` to the end."""
    lines = []
    for block in read_blocks(stream, shard_id, start):
        assert block.columns is not None
        assert block.raw is not None
        rows = zip(block.columns.to_pylist(), block.raw.to_pylist(), strict=True)
        for offset, (row, raw) in enumerate(rows, block.first_offset):
            lines.append(StoredLine(offset, block.epoch, row, raw["raw"], raw["reason"]))
    return lines


def expected_rows(batch: ShardBatch) -> list[dict[str, object]]:
    """The values that a read of `batch` must give."""
    rows: list[dict[str, object]] = batch.columns.to_pylist()
    return rows
