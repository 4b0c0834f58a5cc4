"""The hash of records, computed from lake files as they read back: what the ledger compares with what the stream was given.

Every column of a file is read, also those that no view reads, a row group at a time. Text that was written as a dictionary is
read as one: that halves the cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tailrace.batch.base import LakeFile
from tailrace.errors import Corrupt
from tailrace.model.fields import LAKE_COLUMNS
from tailrace.model.record_hash import NO_RECORDS, RecordHash, columns_id, placed, values
from tailrace.runtime.checked_files import CHECKED

_ADDED = frozenset(name for name, _ in LAKE_COLUMNS)


def rehash(files: Sequence[LakeFile], shard_id: str, epoch_first: int, epoch_last: int) -> dict[int, RecordHash]:
    """Of each of these epochs of `shard_id` that has records in `files`. Raises Corrupt if a file cannot be read."""
    found: dict[int, RecordHash] = {}
    for file in files:
        if file.shard_id == shard_id and file.epoch_first <= epoch_last and file.epoch_last >= epoch_first:
            for epoch, hash_ in _of_file(file, epoch_first, epoch_last):
                found[epoch] = found.get(epoch, NO_RECORDS) + hash_
    return {epoch: hash_ for epoch, hash_ in found.items() if epoch_first <= epoch <= epoch_last}


def _of_file(file: LakeFile, epoch_first: int, epoch_last: int) -> Iterator[tuple[int, RecordHash]]:
    CHECKED.check(file.path, file.checksum)
    try:
        with pq.ParquetFile(file.path) as plain:
            metadata = plain.metadata
        names = [name for name in metadata.schema.to_arrow_schema().names if name not in _ADDED]
        with pq.ParquetFile(file.path, metadata=metadata, read_dictionary=_dictionaries(metadata)) as opened:
            for group in range(metadata.num_row_groups):
                if _meets(metadata.row_group(group), epoch_first, epoch_last):
                    rows = opened.read_row_group(group, columns=[*names, "_offset", "_epoch"], use_threads=False)
                    yield from _of_rows(rows, names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Corrupt(str(file.path), str(error).splitlines()[0]) from error


def _of_rows(rows: pa.Table, names: list[str]) -> Iterator[tuple[int, RecordHash]]:
    """Of each stretch of rows that are of one epoch."""
    if not rows.num_rows:
        return
    records = rows.select(names)
    columns = columns_id(records.schema)
    hashes = placed(values(records), rows.column("_offset").to_numpy())
    epochs = rows.column("_epoch").to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], epochs[1:] != epochs[:-1]]))
    for epoch, hash_ in zip(epochs[starts].tolist(), np.add.reduceat(hashes, starts).tolist(), strict=True):
        yield epoch, RecordHash(hash_, columns)


def _dictionaries(metadata: Any) -> list[str]:
    """Text columns that the first row group has a dictionary of."""
    if not metadata.num_row_groups:
        return []
    group = metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    return [c.path_in_schema for c in columns if c.physical_type == "BYTE_ARRAY" and c.has_dictionary_page]


def _meets(group: Any, epoch_first: int, epoch_last: int) -> bool:
    """Whether the row group may hold records of these epochs."""
    columns = (group.column(index) for index in range(group.num_columns))
    bounds = next((c.statistics for c in columns if c.path_in_schema == "_epoch"), None)
    if bounds is None or not bounds.has_min_max:
        return True
    return bool(bounds.min <= epoch_last and bounds.max >= epoch_first)
