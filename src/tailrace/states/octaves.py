"""What a coarse level adds to its bins, so that a quantile reads few of them: each bin's octave, and a table of counts by octave.

Wide windows fill hundreds of bins, of which a quantile needs the counts below it and the bins around it. The counts come from the
table `octaves` (`window_start`, keys, `agg`, `_octave`, `n`), some ten rows instead of hundreds; the bins lie in order, so that a
reader that knows the octave passes over the others. Both are made of the bins and belong to the file layout, not to the states:
nothing but a query reads them.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.states.tables import StateTables
from tailrace.views.aggregates.quantile import SUB_BITS
from tailrace.views.dialects.duckdb.quantiles import OCTAVE

OCTAVES = "octaves"
WIDTH_US_MIN = 3_600_000_000
"""Shorter windows have too few values for it: their bins are hardly more than their octaves."""


def as_stored(width_us: int, tables: StateTables) -> dict[str, pa.Table]:
    """The tables to write for a level of this width, each in the order to write it in."""
    stored = {name: table.sort_by("window_start") for name, table in tables.items()}
    if width_us >= WIDTH_US_MIN and "bins" in tables:
        bins = tables["bins"].sort_by([(name, "ascending") for name in ("window_start", "agg", "bin")])
        bins = bins.append_column(OCTAVE, pc.shift_right(bins["bin"], pa.scalar(SUB_BITS, pa.int32())))
        keys = [name for name in bins.column_names if name not in ("bin", "n")]
        counted = bins.group_by(keys, use_threads=False).aggregate([("n", "sum")]).rename_columns([*keys, "n"])
        stored |= {"bins": bins, OCTAVES: counted}
    return stored


def as_states(name: str, table: pa.Table) -> pa.Table:
    """A table of a level as it is in memory: without what was added for the file."""
    return table.drop_columns([OCTAVE]) if name == "bins" and OCTAVE in table.column_names else table
