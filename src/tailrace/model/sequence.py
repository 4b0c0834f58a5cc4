"""Sequence numbers in AWS's form (56 decimal digits beginning with 49) for a record's place in its shard.

Inside, a place is an `offset`: the ordinal of a line in its shard, from 0, without gaps. Only the edges (HTTP, CLI) show
the long form. Layout of the number, high bits first: `2` at bit 184, shard creation time in seconds (36 bits from bit 148),
offset + 1 (64 bits from bit 68), shard index (32 bits from bit 4), `2` in the low 4 bits.
"""

from __future__ import annotations

from tailrace.errors import Invalid
from tailrace.model.shard import Shard

_MARK = 2 << 184


def sequence_number(shard: Shard, offset: int) -> str:
    """56 digits; order of the numbers of a shard is the order of the offsets. Offset -1: the number before all its records'."""
    base, step = sequence_base(shard)
    return str(base + (offset + 1) * step)


def sequence_base(shard: Shard) -> tuple[int, int]:
    """The number before all records' of a shard, and the difference between neighbours."""
    return _MARK | shard.created_s << 148 | shard.index << 4 | 2, 1 << 68


def offset_of(shard: Shard, number: str) -> int:
    """The inverse of `sequence_number`. Raises Invalid for a number that is not of this shard."""
    if not (number.isascii() and number.isdigit() and len(number) == 56):
        raise Invalid(f"`{number}` is not a sequence number", hint="use one that a put or a read has returned")
    value = int(number)
    offset = (value >> 68 & (1 << 64) - 1) - 1
    if offset < 0 or number != sequence_number(shard, offset):
        raise Invalid(f"sequence number `{number}` does not belong to shard `{shard.id}`")
    return offset
