"""What a view says against what it must say: every row, every number, to the last digit. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.testing.load.checked_views import CheckedView
from tailrace.testing.load.expected import Rows

SHOWN = 5
"""Differences of each kind that are named."""
ROWS_A_SLICE = 400_000


def slices(view: CheckedView, rows: Rows) -> list[tuple[int | None, int | None]]:
    """Stretches [from, to) of windows (ms; None: without end), together all of time, of about ROWS_A_SLICE rows each."""
    windows = rows.codes // view.span
    cuts: list[int] = []
    place = 0
    while place + ROWS_A_SLICE < len(windows):
        # The window that this row is in is left whole: it opens the next stretch, unless it opened this one.
        here = int(windows[place + ROWS_A_SLICE])
        cut = here if here > int(windows[place]) else here + 1
        cuts.append(cut)
        place = int(np.searchsorted(windows, cut))
    bounds = [None, *(cut * view.window_ms for cut in cuts), None]
    return list(pairwise(bounds))


def part(view: CheckedView, rows: Rows, from_ms: int | None, to_ms: int | None) -> Rows:
    """The rows of windows that start in [from, to)."""
    windows = rows.codes // view.span * view.window_ms
    first = 0 if from_ms is None else int(np.searchsorted(windows, from_ms))
    end = len(windows) if to_ms is None else int(np.searchsorted(windows, to_ms))
    return Rows(rows.codes[first:end], {name: values[first:end] for name, values in rows.measures.items()})


def differences(view: CheckedView, rows: Rows, table: pa.Table) -> list[str]:
    """What is wrong with `table`, an answer of the view, a line each; empty if it says just what `rows` do."""
    codes, unknown = _codes(view, table)
    wrong = [f"{view.name}: a row that nobody sent: {row}" for row in unknown[:SHOWN]]
    distinct, counts = np.unique(codes, return_counts=True)
    wrong += _named(view, "the row is there twice", distinct[counts > 1])
    wrong += _named(view, "the row is missing", np.setdiff1d(rows.codes, distinct, assume_unique=True))
    wrong += _named(view, "a row too many", np.setdiff1d(distinct, rows.codes, assume_unique=True))
    _, ours, theirs = np.intersect1d(rows.codes, codes, return_indices=True)
    for column, measure in view.columns.items():
        wrong += _unequal(view, rows, table, column, measure, ours, theirs)
    return wrong


def _codes(view: CheckedView, table: pa.Table) -> tuple[Any, list[str]]:
    """One number for each row, -1 for what stands for none; those rows as text."""
    code = pc.cast(table["window_start"], pa.timestamp("ms"), safe=False).cast(pa.int64()).to_numpy() // view.window_ms
    known = np.ones(len(code), bool)
    for key in view.keys:
        values = pa.array(key.values).cast(table[key.name].type)
        place = pc.fill_null(pc.index_in(table[key.name], values), -1).to_numpy()
        known &= place >= 0
        code = code * len(key.values) + place
    names = ["window_start", *(key.name for key in view.keys)]
    strange = table.select(names).filter(pa.array(~known)).slice(0, SHOWN).to_pylist()
    return np.where(known, code, -1), [str(row) for row in strange]


def _unequal(
    view: CheckedView, rows: Rows, table: pa.Table, column: str, measure: str, ours: Any, theirs: Any
) -> Iterator[str]:
    shown = _numbers(table[column])[theirs]
    if measure == "avg":
        # As the documents have it: the sum of the field's unit, divided by the count, each once.
        must = rows.measures["sum"][ours] / 1000 / rows.measures["count"][ours]
    else:
        must = rows.measures[measure][ours]
    for place in np.flatnonzero(shown != must)[:SHOWN].tolist():
        at = _at(view, int(rows.codes[ours[place]]))
        yield f"{view.name}: {at}: {column} is {shown[place]}, must be {must[place]} (times in thousandths)"


def _numbers(column: pa.ChunkedArray) -> Any:
    """Whole numbers as they are, decimals of three places in thousandths, doubles as they are."""
    whole = column.combine_chunks()
    if pa.types.is_floating(whole.type):
        return whole.to_numpy(zero_copy_only=False)
    if not pa.types.is_decimal(whole.type):
        return pc.cast(whole, pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    words = np.frombuffer(pc.cast(whole, pa.decimal128(38, 3)).fill_null(-1).buffers()[1], np.int64).reshape(-1, 2)
    return words[: len(whole), 0]


def _named(view: CheckedView, what: str, codes: Any) -> list[str]:
    known = codes[codes >= 0]
    more = f" (and {len(known) - SHOWN} more)" if len(known) > SHOWN else ""
    return [f"{view.name}: {_at(view, int(code))}: {what}{more}" for code in known[:SHOWN]]


def _at(view: CheckedView, code: int) -> str:
    window_ms, keys = view.parts(code)
    start = datetime.fromtimestamp(window_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
    named = ", ".join(f"{key.name} {value}" for key, value in zip(view.keys, keys, strict=True))
    return f"window {start}" + (f", {named}" if named else "")
