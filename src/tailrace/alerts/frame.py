"""Numbers of a rule's windows, as a grid: a row a key, a column a window. Made from rows of a view or of SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.alerts.expression import Formula
from tailrace.errors import Invalid, TooLarge

CELLS_MAX = 20_000_000
Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows of `over_us` that end at `first_us`, `first_us` + `step_us`, ... up to `last_us`. Microseconds."""

    first_us: int
    last_us: int
    step_us: int
    over_us: int

    @property
    def count(self) -> int:
        return max(0, (self.last_us - self.first_us) // self.step_us + 1)

    def ends(self) -> Any:
        return np.arange(self.count, dtype=np.int64) * self.step_us + self.first_us


@dataclass(frozen=True, slots=True)
class Frame:
    """`values`: float64, NaN where there is no number. `present`: there was a record. `counts`: `when` holds. Keys x windows."""

    grid: Grid
    names: tuple[str, ...]
    keys: tuple[Key, ...]
    values: Any
    present: Any
    counts: Any

    def after(self, first_us: int) -> Frame:
        """Without the windows that end before `first_us`, and without keys that have nothing left."""
        cut = min(self.grid.count, max(0, -(-(first_us - self.grid.first_us) // self.grid.step_us)))
        kept = np.flatnonzero(self.present[:, cut:].any(axis=1))
        return Frame(
            replace(self.grid, first_us=self.grid.first_us + cut * self.grid.step_us),
            self.names,
            tuple(self.keys[at] for at in kept),
            self.values[kept, cut:],
            self.present[kept, cut:],
            self.counts[kept, cut:],
        )

    def with_keys(self, keys: Iterable[Key]) -> Frame:
        """With a row for each of `keys`, empty for those it does not have."""
        missing = tuple(key for key in keys if key not in set(self.keys))
        if not missing:
            return self
        whole = empty_frame(self.grid, self.names, (*self.keys, *missing))
        have = len(self.keys)
        whole.values[:have], whole.present[:have], whole.counts[:have] = self.values, self.present, self.counts
        return whole

    def joined(self, later: Frame) -> Frame:
        """With the windows that follow directly."""
        keys = tuple(dict.fromkeys((*self.keys, *later.keys)))
        grid = replace(self.grid, last_us=later.grid.last_us)
        whole = empty_frame(grid, later.names, keys)
        places = {key: at for at, key in enumerate(keys)}
        for part, columns in ((self, slice(0, self.grid.count)), (later, slice(self.grid.count, None))):
            rows = [places[key] for key in part.keys]
            whole.values[rows, columns] = part.values
            whole.present[rows, columns] = part.present
            whole.counts[rows, columns] = part.counts
        return whole


def empty_frame(grid: Grid, names: tuple[str, ...], keys: tuple[Key, ...] = ()) -> Frame:
    shape = (len(keys), grid.count)
    if shape[0] * shape[1] > CELLS_MAX:
        raise TooLarge(
            f"`{shape[0]:,}` keys in `{shape[1]:,}` windows are too many to judge",
            hint="narrow the rule with where or by",
        )
    return Frame(grid, names, keys, np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(shape, bool))


def frame_of(
    grid: Grid, table: pa.Table, window: str | None, names: Sequence[str], value: Formula | None, when: Formula | None
) -> Frame:
    """`table`: a row a window and key. `window`: its column of window starts (None: all rows are of the last window).

    `names`: its key columns. Raises Invalid for a column that is not there or not a number.
    """
    columns = _numbers(table, [*(value.columns if value else ()), *(when.columns if when else ())])
    rows = table.num_rows
    numbers = value.of(columns, rows) if value else np.ones(rows)
    counted = when.of(columns, rows) if when else np.ones(rows, bool)
    places, keys = _keys(table, names)
    frame = empty_frame(grid, tuple(names), keys)
    at = np.full(rows, grid.count - 1) if window is None else _places(grid, table, window)
    inside = (at >= 0) & (at < grid.count)
    cells = places[inside], at[inside]
    frame.values[cells] = numbers[inside]
    frame.present[cells] = True
    frame.counts[cells] = counted[inside]
    return frame


def _places(grid: Grid, table: pa.Table, window: str) -> Any:
    column = table[window].combine_chunks()
    starts = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).fill_null(-(1 << 62)).to_numpy(False)
    late = starts + grid.over_us - grid.first_us
    return np.where(late % grid.step_us == 0, late // grid.step_us, -1)


def _keys(table: pa.Table, names: Sequence[str]) -> tuple[Any, tuple[Key, ...]]:
    """The place of each row's key, and the keys by place."""
    if not names:
        return np.zeros(table.num_rows, np.int64), (() if table.num_rows == 0 else ((),))
    columns = [[None if v is None else str(v) for v in table[name].to_pylist()] for name in names]
    found: dict[Key, int] = {}
    places = [found.setdefault(key, len(found)) for key in zip(*columns, strict=True)]
    return np.asarray(places, np.int64), tuple(found)


def _numbers(table: pa.Table, wanted: Sequence[str]) -> Mapping[str, Any]:
    known = {name.lower(): name for name in table.column_names}
    found: dict[str, Any] = {}
    for name in dict.fromkeys(wanted):
        if name not in known:
            raise Invalid(f"there is no column `{name}`", hint=f"columns: {', '.join(table.column_names)}")
        column = table[known[name]]
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise Invalid(f"column `{name}` holds no numbers", hint="use it in where or by")
        found[name] = column.cast(pa.float64()).combine_chunks().fill_null(float("nan")).to_numpy(zero_copy_only=False)
    return found
