"""What the operations take: the table that `tools/kinesis_model.py` writes from AWS's own service model."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

TARGET_PREFIX = "Kinesis_20131202."


class Shape(msgspec.Struct, frozen=True):
    """One type of value. `member`, `key`, `value`, `members`: names of the shapes inside."""

    type: str
    min: int | None = None
    max: int | None = None
    pattern: str = ""
    enum: tuple[str, ...] = ()
    member: str = ""
    key: str = ""
    value: str = ""
    members: dict[str, str] = {}
    required: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True):
    input: str
    errors: tuple[str, ...]


class Api(msgspec.Struct, frozen=True):
    """`others`: operations of AWS that are not spoken here."""

    operations: dict[str, Operation]
    shapes: dict[str, Shape]
    others: frozenset[str]


@cache
def api() -> Api:
    return msgspec.json.decode(Path(__file__).with_name("api.json").read_bytes(), type=Api)
