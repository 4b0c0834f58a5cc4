"""The Iceberg table `logs`: its columns, properties and what its snapshots' summaries say. Pure but for pyiceberg's own types.

The marks of a snapshot are its summary property `tailrace.marks`: {"shardId-...": [epoch, last_offset], ...}, every shard in each
snapshot, so that one commit moves rows and marks together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import (
    DecimalType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestamptzType,
)

from tailrace.batch.base import LakeFile, LakeMark, LakeTotals
from tailrace.batch.lake.local_io import local_path
from tailrace.batch.lake.parquet import name_checksum
from tailrace.errors import Corrupt, Invalid
from tailrace.model.fields import LAKE_COLUMNS, Fields

NAMESPACE = "tailrace"
TABLE = "logs"
MARKS = "tailrace.marks"

TABLE_PROPERTIES = {
    "format-version": "2",
    # A lost race must be seen, not retried: the marks in the summary would be those of the loser.
    "commit.retry.num-retries": "0",
    # Each append adds a manifest; 32 of them become one, up to a mebibyte (about 2,400 files).
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "32",
    "commit.manifest.target-size-bytes": str(1 << 20),
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "8",
    "write.avro.compression-codec": "zstandard",
    "write.metadata.metrics.column._shard": "full",
    "write.metadata.metrics.column.message": "counts",
    "write.metadata.metrics.column.extra": "counts",
}


def iceberg_type(kind: pa.DataType) -> IcebergType:
    if pa.types.is_timestamp(kind):
        return TimestamptzType()
    if pa.types.is_decimal(kind):
        return DecimalType(kind.precision, kind.scale)
    if pa.types.is_int32(kind):
        return IntegerType()
    if pa.types.is_int64(kind):
        return LongType()
    return StringType()


def arrow_type(kind: IcebergType) -> pa.DataType:
    """The inverse of `iceberg_type`."""
    match kind:
        case TimestamptzType():
            return pa.timestamp("us", tz="UTC")
        case DecimalType():
            return pa.decimal128(kind.precision, kind.scale)
        case IntegerType():
            return pa.int32()
        case LongType():
            return pa.int64()
        case _:
            return pa.string()


def table_schema(fields: Fields) -> Schema:
    """The typed fields, `extra`, then where a record stood in the stream."""
    columns = [(f.name, f.type) for f in fields.record_schema()] + list(LAKE_COLUMNS)
    return Schema(
        *(NestedField(i, name, iceberg_type(kind), required=False) for i, (name, kind) in enumerate(columns, 1))
    )


def new_columns(schema: Schema, fields: Fields) -> list[NestedField]:
    """Columns that the configuration has and the table has not. Raises Invalid where both have one of different types."""
    missing = []
    for wanted in table_schema(fields).fields:
        try:
            held = schema.find_field(wanted.name)
        except ValueError:
            missing.append(wanted)
            continue
        if held.field_type != wanted.field_type:
            raise Invalid(
                f"field `{wanted.name}` is `{wanted.field_type}` in the configuration and `{held.field_type}` in the lake",
                hint="give the field its old type, or another name",
            )
    return missing


def parquet_schema(schema: Schema) -> pa.Schema:
    """Columns of a data file, with Iceberg's field ids."""
    return pa.schema(
        [
            pa.field(f.name, arrow_type(f.field_type), metadata={"PARQUET:field_id": str(f.field_id)})
            for f in schema.fields
        ]
    )


def encode_marks(marks: Mapping[str, LakeMark]) -> str:
    return msgspec.json.encode({s: (m.epoch, m.last_offset) for s, m in sorted(marks.items())}).decode()


def marks_of(snapshot: Snapshot | None) -> dict[str, LakeMark]:
    """The marks a snapshot carries. Raises Corrupt if somebody committed rows without them."""
    if snapshot is None:
        return {}
    text = snapshot.summary.additional_properties.get(MARKS) if snapshot.summary else None
    if text is None:
        raise Corrupt(
            f"{NAMESPACE}.{TABLE}",
            f"snapshot `{snapshot.snapshot_id}` does not say how far the stream has been read",
            hint="another program has written to the lake; roll the table back to the snapshot before it",
        )
    held = msgspec.json.decode(text, type=dict[str, tuple[int, int]])
    return {shard: LakeMark(epoch, last) for shard, (epoch, last) in held.items()}


def place_of(metadata: TableMetadata) -> tuple[int, int]:
    """How far the table has got, for its high-water mark: a number that each commit of rows or marks raises."""
    return int(getattr(metadata, "last_sequence_number", 0)), 0


def totals_of(snapshot: Snapshot | None) -> LakeTotals:
    if snapshot is None or snapshot.summary is None:
        return LakeTotals()
    said = snapshot.summary.additional_properties
    return LakeTotals(
        snapshot_id=snapshot.snapshot_id,
        rows=int(said.get("total-records", 0)),
        files=int(said.get("total-data-files", 0)),
        bytes=int(said.get("total-files-size", 0)),
    )


class FileReader:
    """Turns manifest entries into `LakeFile`s, from the bounds that the manifest keeps of `_shard`, `_epoch` and `timestamp`."""

    def __init__(self, metadata: TableMetadata, warehouse: Path) -> None:
        self._warehouse = warehouse
        schema = metadata.schema()
        self._columns = {name: schema.find_field(name) for name in ("_shard", "_epoch", "timestamp")}
        self._names = {f.field_id: f.name for f in schema.fields}
        self._sets: dict[frozenset[str], frozenset[str]] = {}

    def lake_file(self, entry: DataFile) -> LakeFile:
        path = local_path(entry.file_path, self._warehouse)
        return LakeFile(
            path=path,
            shard_id=str(self._bound(entry, entry.lower_bounds, "_shard")),
            epoch_first=int(self._bound(entry, entry.lower_bounds, "_epoch")),
            epoch_last=int(self._bound(entry, entry.upper_bounds, "_epoch")),
            rows=entry.record_count,
            bytes=entry.file_size_in_bytes,
            time_min_us=int(self._bound(entry, entry.lower_bounds, "timestamp")),
            time_max_us=int(self._bound(entry, entry.upper_bounds, "timestamp")),
            columns=self._columns_of(entry),
            checksum=name_checksum(path),
        )

    def _columns_of(self, entry: DataFile) -> frozenset[str]:
        """The manifest counts the values of the columns that a file has."""
        names = frozenset(name for number, name in self._names.items() if number in (entry.value_counts or {}))
        return self._sets.setdefault(names, names)

    def _bound(self, entry: DataFile, bounds: Mapping[int, bytes] | None, name: str) -> int | str:
        column = self._columns[name]
        raw = (bounds or {}).get(column.field_id)
        if raw is None or not isinstance(column.field_type, PrimitiveType):
            raise Corrupt(entry.file_path, f"its manifest has no bounds of `{name}`")
        value: int | str = from_bytes(column.field_type, raw)
        return value
