"""Rows in the format that was asked for, a batch at a time: JSON, CSV, Parquet, Arrow.

JSON is for people and pages: bounded in rows and bytes, and says when that cut it short. The others are whole or break off.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tailrace.errors import Invalid
from tailrace.serving.sql.values import json_values, text_values

JSON_BYTES_MAX = 64 << 20
_EXACT = msgspec.json.Encoder(decimal_format="number")


class Format(Enum):
    """Value: what `?format=` says."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}


def named_format(name: str) -> Format:
    """Raises Invalid for a format that there is not."""
    try:
        return Format(name.lower())
    except ValueError as error:
        raise Invalid(f"there is no format `{name}`", hint="formats: json, csv, parquet, arrow") from error


def accepted_format(accept: str) -> Format:
    """The format an Accept header likes best; JSON if it names none of them."""
    best, best_weight = Format.JSON, 0.0
    for part in accept.split(","):
        kind, *parameters = [piece.strip().lower() for piece in part.split(";")]
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        for form, media_type in _MEDIA_TYPES.items():
            if kind == media_type.split(";")[0] and weight > best_weight:
                best, best_weight = form, weight
    return best


# -- JSON ----------------------------------------------------------------------------------------------------------------


class JsonRows:
    """Encodes rows until a bound is met. `truncated`: there were more."""

    def __init__(self, rows_max: int, bytes_max: int = JSON_BYTES_MAX) -> None:
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._rows: list[bytes] = []
        self._bytes = 0
        self.truncated = False

    def add(self, batch: pa.RecordBatch) -> bool:
        """False once no more rows are wanted."""
        columns = [json_values(column) for column in batch.columns]
        for row in zip(*columns, strict=True) if columns else ():
            encoded = _EXACT.encode(row)
            if len(self._rows) >= self._rows_max or self._bytes + len(encoded) > self._bytes_max:
                self.truncated = True
                return False
            self._rows.append(encoded)
            self._bytes += len(encoded)
        return True

    def document(self, columns: list[tuple[str, str]], rows_scanned: int, elapsed_ms: float) -> bytes:
        head = {"columns": [{"name": name, "type": kind} for name, kind in columns]}
        tail = {"truncated": self.truncated, "rows_scanned": rows_scanned, "elapsed_ms": round(elapsed_ms, 1)}
        rows = b",".join(self._rows)
        return b"".join([_EXACT.encode(head)[:-1], b',"rows":[', rows, b"],", _EXACT.encode(tail)[1:]])


# -- streams of bytes ----------------------------------------------------------------------------------------------------


class _Sink:
    """A file for writers of pyarrow that hands on what was written since it was last asked."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class StreamWriter:
    """CSV, Parquet or Arrow: `add` gives the bytes of a batch, `end` the rest."""

    def __init__(self, form: Format, schema: pa.Schema) -> None:
        self._sink = _Sink()
        self._arrange: Callable[[pa.RecordBatch], pa.RecordBatch] = _csv_batch if form is Format.CSV else _same
        self._writer = self._open(form, schema)

    def add(self, batch: pa.RecordBatch) -> bytes:
        self._writer.write_batch(self._arrange(batch))
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()

    def _open(self, form: Format, schema: pa.Schema) -> Any:
        target = pa.PythonFile(self._sink, mode="w")
        match form:
            case Format.CSV:
                return pa_csv.CSVWriter(target, _csv_schema(schema))
            case Format.PARQUET:
                return pq.ParquetWriter(target, schema, compression="zstd")
            case _:
                return pa.ipc.new_stream(target, schema)


def _same(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def _csv_has(kind: pa.DataType) -> bool:
    """Whether CSV writes values of this type as JSON would."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
    )


def _csv_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(f.name, f.type if _csv_has(f.type) else pa.string()) for f in schema])


def _csv_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Instants, lists and the like as the text that JSON has for them."""
    columns = [c if _csv_has(c.type) else pa.array(text_values(c), pa.string()) for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=_csv_schema(batch.schema))
