"""The state tables of a view: `scalars`, `bins`, `registers`; long, mergeable, in any order.

Each is a pyarrow table keyed by (`window_start`, the view's keys), with the columns that `tailrace.views` plans. Rows may be
unmerged: several rows of one key mean their merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.window import datetime_us

TABLES = ("scalars", "bins", "registers")

StateTables = Mapping[str, pa.Table]
"""Table name -> rows; a view without quantiles has no `bins`, one without distinct counts no `registers`."""


def concat_states(parts: Iterable[StateTables], schemas: Mapping[str, pa.Schema]) -> dict[str, pa.Table]:
    """All rows of all parts, not merged; an empty table of the schema where there is none."""
    listed = list(parts)
    return {
        name: pa.concat_tables([schema.empty_table(), *(part[name].cast(schema) for part in listed if name in part)])
        for name, schema in schemas.items()
    }


def window_range_us(tables: StateTables) -> tuple[int, int] | None:
    """First and last `window_start` (microseconds) over the scalars, or None if there are no rows."""
    scalars = tables["scalars"]
    if scalars.num_rows == 0:
        return None
    bounds = pc.min_max(scalars["window_start"])
    return datetime_us(bounds["min"].as_py()), datetime_us(bounds["max"].as_py())


def state_rows(tables: StateTables) -> int:
    return sum(table.num_rows for table in tables.values())


def from_window(tables: StateTables, from_us: int) -> dict[str, pa.Table]:
    """The rows of windows that start at `from_us` (microseconds) or after it."""
    start = pa.scalar(from_us, pa.timestamp("us", tz="UTC"))
    return {name: table.filter(pc.greater_equal(table["window_start"], start)) for name, table in tables.items()}
