"""The typed fields of a log record, and their Arrow and SQL types.

A record is a row of these fields plus `extra`, a JSON object with everything else, so that no field is ever lost.
Owned by the configuration; read by formats (decode), views (bind), speed, batch and queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

EXTRA = "extra"
VERDICT = "verdict"
TIMESTAMP_TYPE = pa.timestamp("us", tz="UTC")


class FieldKind(Enum):
    """What a field holds; decides its Arrow type, its SQL type and how text is turned into it."""

    TIMESTAMP = "timestamp"
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"


@dataclass(frozen=True, slots=True)
class Field:
    """One typed field.

    `source`: the JSON key it is read from (default: its name). `scale`: decimal digits kept (DECIMAL only); the stored
    unit is 10**-scale. `unit`: what a person reads beside the number, e.g. `ms`. `zone`: the IANA zone of stamps that carry none.
    """

    name: str
    kind: FieldKind
    source: str = ""
    scale: int = 0
    unit: str = ""
    zone: str = "UTC"

    @property
    def key(self) -> str:
        return self.source or self.name

    @property
    def arrow_type(self) -> pa.DataType:
        match self.kind:
            case FieldKind.TIMESTAMP:
                return TIMESTAMP_TYPE
            case FieldKind.TEXT:
                return pa.string()
            case FieldKind.INTEGER:
                return pa.int32()
            case FieldKind.DECIMAL:
                return pa.decimal128(18, self.scale)

    @property
    def sql_type(self) -> str:
        match self.kind:
            case FieldKind.TIMESTAMP:
                return "TIMESTAMP WITH TIME ZONE"
            case FieldKind.TEXT:
                return "VARCHAR"
            case FieldKind.INTEGER:
                return "INTEGER"
            case FieldKind.DECIMAL:
                return f"DECIMAL(18,{self.scale})"


@dataclass(frozen=True, slots=True)
class Fields:
    """The ordered fields of a stream. `timestamp` is always among them, and is the only one a record must have."""

    all: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [f.name for f in self.all]
        if len(set(names)) != len(names):
            raise ValueError(f"field names repeat: {names}")
        if "timestamp" not in names:
            raise ValueError("a `timestamp` field is needed")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.all)

    def get(self, name: str) -> Field | None:
        return next((f for f in self.all if f.name == name), None)

    def record_schema(self) -> pa.Schema:
        """Columns of a good record: the typed fields, then `extra` (JSON object text or null)."""
        return pa.schema([pa.field(f.name, f.arrow_type) for f in self.all] + [pa.field(EXTRA, pa.string())])

    def block_schema(self) -> pa.Schema:
        """Columns of a block: `verdict` (uint8, 0 = good), then the record's columns."""
        return pa.schema([pa.field(VERDICT, pa.uint8()), *self.record_schema()])


DEFAULT_FIELDS = Fields(
    (
        Field("timestamp", FieldKind.TIMESTAMP),
        Field("service", FieldKind.TEXT),
        Field("endpoint", FieldKind.TEXT),
        Field("method", FieldKind.TEXT),
        Field("status", FieldKind.INTEGER),
        Field("response_ms", FieldKind.DECIMAL, scale=3, unit="ms"),
        Field("ip", FieldKind.TEXT),
        Field("level", FieldKind.TEXT),
        Field("trace_id", FieldKind.TEXT),
        Field("message", FieldKind.TEXT),
    )
)

RAW_SCHEMA = pa.schema([pa.field("raw", pa.binary()), pa.field("reason", pa.string())])
"""Raw table of decoded lines: each as it came, and why it was dead-lettered (null where it is good)."""

KEY = "key"
BLOCK_RAW_SCHEMA = RAW_SCHEMA.append(pa.field(KEY, pa.binary()))
"""Raw table of a block: with the partition key that chose the line's shard (null: the line itself). Older blocks have no keys."""

LAKE_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("_shard", pa.string()),
    ("_offset", pa.int64()),
    ("_epoch", pa.int64()),
    ("_arrived_at", TIMESTAMP_TYPE),
)
"""What the lake adds to a record: where it stood in the stream and when it became durable."""
