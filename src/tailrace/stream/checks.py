"""What a backend asks of a batch before it takes it, so that one bad batch never fails its neighbours in a group commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.errors import Invalid
from tailrace.model.fields import RAW_SCHEMA
from tailrace.stream.base import ShardBatch

_INT64_MAX = (1 << 63) - 1
_PRODUCER_BYTES_MAX = 256


def check_batch(batch: ShardBatch, schema: pa.Schema) -> None:
    """Raise Invalid unless the parts of `batch` fit each other and its columns are those of `schema`."""
    count = batch.columns.num_rows
    if batch.raw.num_rows != count:
        raise Invalid(f"`{count}` rows of columns do not go with `{batch.raw.num_rows}` raw lines")
    if len(batch.lines) not in (0, count):
        raise Invalid(f"`{len(batch.lines)}` line numbers do not go with `{count}` lines")
    if batch.columns.schema.names != schema.names:
        raise Invalid(f"columns are {batch.columns.schema.names}, not {schema.names}")
    if batch.raw.schema.names != RAW_SCHEMA.names:
        raise Invalid(f"raw columns are {batch.raw.schema.names}, not {RAW_SCHEMA.names}")
    for have, wanted in zip(batch.columns.schema, schema, strict=True):
        if have.type != wanted.type and not _is_dictionary_of(have.type, wanted.type):
            raise Invalid(f"column `{have.name}` is `{have.type}`, not `{wanted.type}`")
    if batch.producer is not None:
        _check_producer(batch)


def _is_dictionary_of(have: pa.DataType, wanted: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(have) and have.value_type == wanted)


def _check_producer(batch: ShardBatch) -> None:
    stamp = batch.producer
    assert stamp is not None
    try:
        size = len(stamp.id.encode())
    except UnicodeEncodeError as error:
        raise Invalid("a producer's id is not valid text") from error
    if size > _PRODUCER_BYTES_MAX:
        raise Invalid(f"a producer's id has `{size}` bytes, at most `{_PRODUCER_BYTES_MAX}` are kept")
    if not (0 <= stamp.epoch <= _INT64_MAX and 0 <= stamp.n <= _INT64_MAX):
        raise Invalid("a producer's epoch and number must be between 0 and 2**63 - 1")


def line_numbers(batch: ShardBatch) -> Any:
    """The line numbers of `batch` as numpy uint32; 0, 1, 2, ... where it has none."""
    return as_numbers(batch.lines if len(batch.lines) else range(batch.columns.num_rows))


def as_numbers(lines: Sequence[int]) -> Any:
    """`lines` as numpy uint32."""
    if isinstance(lines, range):
        return np.arange(lines.start, lines.stop, lines.step, dtype=np.uint32)
    return np.asarray(lines, dtype=np.uint32)
