"""What a backend asks of a batch before it takes it, so that one bad batch never fails its neighbours in a group commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.errors import Invalid
from tailrace.model.fields import BLOCK_RAW_SCHEMA, KEY, RAW_SCHEMA
from tailrace.stream.base import ProducerStamp, ShardBatch

_INT64_MAX = (1 << 63) - 1
_PRODUCER_BYTES_MAX = 256


class BatchCheck:
    """The check of one stream's batches. Remembers the last good schema, as posts of one source hardly ever differ in it."""

    def __init__(self, columns: pa.Schema) -> None:
        self._columns = _Fit(columns)
        self._raw = _Fit(RAW_SCHEMA)
        self._keyed_raw = _Fit(BLOCK_RAW_SCHEMA)

    def __call__(self, batch: ShardBatch) -> None:
        """Raise Invalid unless the parts of `batch` fit each other and the stream's columns."""
        count = batch.columns.num_rows
        if batch.raw.num_rows != count:
            raise Invalid(f"`{count}` rows of columns do not go with `{batch.raw.num_rows}` raw lines")
        if len(batch.lines) not in (0, count):
            raise Invalid(f"`{len(batch.lines)}` line numbers do not go with `{count}` lines")
        self._columns.check(batch.columns.schema)
        (self._keyed_raw if KEY in batch.raw.schema.names else self._raw).check(batch.raw.schema)
        if batch.ids is not None and (batch.producer is not None or len(batch.ids) != count):
            raise Invalid("identities go with lines one by one, and not with a producer's stamp")
        if batch.producer is not None:
            _check_producer(batch.producer)


class _Fit:
    """Whether tables have the columns of `wanted`; text may be dictionary-encoded."""

    def __init__(self, wanted: pa.Schema) -> None:
        self._wanted = wanted
        self._good = wanted

    def check(self, have: pa.Schema) -> None:
        if have.equals(self._good):
            return
        if have.names != self._wanted.names:
            raise Invalid(f"columns are {have.names}, not {self._wanted.names}")
        for is_, wanted in zip(have, self._wanted, strict=True):
            if is_.type != wanted.type and not _is_dictionary_of(is_.type, wanted.type):
                raise Invalid(f"column `{is_.name}` is `{is_.type}`, not `{wanted.type}`")
        self._good = have


def _is_dictionary_of(have: pa.DataType, wanted: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(have) and have.value_type == wanted)


def _check_producer(stamp: ProducerStamp) -> None:
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
