"""The hash of a block's good records, for the ledger: worked out while the rows are at hand, summed once their offsets are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.model.fields import VERDICT
from tailrace.model.record_hash import NO_RECORDS, RecordHash, columns_id, total, values
from tailrace.stream.codec import verdicts


@dataclass(frozen=True, slots=True)
class HashedRows:
    """Rows of a block that have no offsets yet. `values`: numpy uint64; `good`: numpy bool; `columns`: `columns_id`."""

    values: Any
    good: Any
    columns: int

    def at(self, first_offset: int, fresh: Any = None) -> RecordHash:
        """Of the good ones, if the rows take the offsets from `first_offset` on; `fresh` (numpy bool): only these do."""
        rows, good = (self.values, self.good) if fresh is None else (self.values[fresh], self.good[fresh])
        offsets = np.arange(first_offset, first_offset + len(rows))
        if not good.all():
            rows, offsets = rows[good], offsets[good]
        return RecordHash(total(rows, offsets), self.columns) if len(rows) else NO_RECORDS


def hashed(columns: pa.Table) -> HashedRows:
    """`columns`: those of a block."""
    good = np.concatenate([np.empty(0, bool), *(chunk == 0 for chunk in verdicts(columns))])
    records = columns.drop_columns([VERDICT])
    return HashedRows(values(records), good, columns_id(records.schema))
