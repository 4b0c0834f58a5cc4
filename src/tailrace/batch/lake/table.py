"""The Iceberg table `logs`: its columns, properties and what its snapshots' summaries say. Pure but for pyiceberg's own types.

Properties of each snapshot's summary, every shard in each of them, so that one commit moves rows and what is said of them:
    tailrace.marks         {"shardId-...": [epoch, last_offset], ...}
    tailrace.trimmed       {"shardId-...": [rows, through_epoch], ...}   absent: nothing has been let go
    tailrace.committed-us  when it was committed, microseconds since 1970
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

from tailrace.batch.base import LakeFile, LakeMark, LakeTotals, LakeTrim
from tailrace.batch.lake.local_io import local_path
from tailrace.batch.lake.parquet import name_checksum
from tailrace.errors import Corrupt
from tailrace.model.fields import LAKE_COLUMNS, Fields

NAMESPACE = "tailrace"
TABLE = "logs"
MARKS = "tailrace.marks"
TRIMMED = "tailrace.trimmed"
COMMITTED = "tailrace.committed-us"

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
    """Columns that the configuration has and the table has not, or has with another type: that one is another column."""
    held = {column.name: column.field_type for column in schema.fields}
    return [wanted for wanted in table_schema(fields).fields if held.get(wanted.name) != wanted.field_type]


def parquet_schema(schema: Schema, fields: Fields | None = None) -> pa.Schema:
    """Columns of a data file, with Iceberg's field ids: those of `fields`, or all. The table also has those that are fields no more."""
    wanted = schema.column_names if fields is None else table_schema(fields).column_names
    return pa.schema([_with_id(column) for column in schema.fields if column.name in wanted])


def _with_id(column: NestedField) -> pa.Field:
    return pa.field(column.name, arrow_type(column.field_type), metadata={"PARQUET:field_id": str(column.field_id)})


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


def encode_trims(trims: Mapping[str, LakeTrim]) -> str:
    return msgspec.json.encode({s: (t.rows, t.through_epoch) for s, t in sorted(trims.items())}).decode()


def trims_of(snapshot: Snapshot | None) -> dict[str, LakeTrim]:
    """What had been let go when the snapshot was made."""
    said = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    held = msgspec.json.decode(said.get(TRIMMED, "{}"), type=dict[str, tuple[int, int]])
    return {shard: LakeTrim(rows, through) for shard, (rows, through) in held.items()}


def committed_us(snapshot: Snapshot) -> int:
    """When it was committed, by the clock of the process that did it; by Iceberg's own stamp if that process was another's."""
    said = snapshot.summary.additional_properties if snapshot.summary else {}
    return int(said.get(COMMITTED, snapshot.timestamp_ms * 1000))


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


_BOUNDED = ("_shard", "_epoch", "timestamp", "_arrived_at", "_offset")


class FileReader:
    """Turns manifest entries into `LakeFile`s, from the bounds that the manifest keeps of five columns."""

    def __init__(self, metadata: TableMetadata, warehouse: Path) -> None:
        self._warehouse = warehouse
        schema = metadata.schema()
        self._columns = {name: schema.find_field(name) for name in _BOUNDED}
        # A file keeps the columns of its time, and so does the table its schemas.
        self._all = {f.field_id: f for each in metadata.schemas for f in each.fields}
        self._sets: dict[frozenset[int], tuple[frozenset[str], pa.Schema]] = {}

    def lake_file(self, entry: DataFile) -> LakeFile:
        columns, schema = self._columns_of(entry)
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
            columns=columns,
            arrived_min_us=int(self._bound(entry, entry.lower_bounds, "_arrived_at")),
            arrived_max_us=int(self._bound(entry, entry.upper_bounds, "_arrived_at")),
            schema=schema,
            checksum=name_checksum(path),
            offset_first=int(self._bound(entry, entry.lower_bounds, "_offset")),
            offset_last=int(self._bound(entry, entry.upper_bounds, "_offset")),
        )

    def _columns_of(self, entry: DataFile) -> tuple[frozenset[str], pa.Schema]:
        """The manifest counts the values of the columns that a file has."""
        numbers = frozenset(number for number in entry.value_counts or {} if number in self._all)
        if numbers not in self._sets:
            found = [self._all[number] for number in sorted(numbers)]
            schema = pa.schema([(each.name, arrow_type(each.field_type)) for each in found])
            self._sets[numbers] = frozenset(schema.names), schema
        return self._sets[numbers]

    def _bound(self, entry: DataFile, bounds: Mapping[int, bytes] | None, name: str) -> int | str:
        column = self._columns[name]
        raw = (bounds or {}).get(column.field_id)
        if raw is None or not isinstance(column.field_type, PrimitiveType):
            raise Corrupt(entry.file_path, f"its manifest has no bounds of `{name}`")
        value: int | str = from_bytes(column.field_type, raw)
        return value
