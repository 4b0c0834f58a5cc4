"""What several ways of reading lines found, put together: each part holds some of the lines. Used by `json` and `logfmt`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tailrace.formats.arrays import scatter
from tailrace.formats.base import Record, Side, Tokens
from tailrace.formats.numbers import Scan

Place = tuple[Any, Any, Any, Scan | None]
"""start, end, kind, numbers: where a field's text stands, as in Tokens."""
Part = tuple[Any, dict[str, Place], pa.Array]
"""Lines (ascending indices), the places by field, their `extra`."""


def joined(parts: Sequence[Part], names: Sequence[str], count: int, side: Side) -> Record:
    """The record of `count` lines, of which each part names some, none twice. `names`: of the fields."""
    extra = scatter([(rows, extra) for rows, _, extra in parts], count, pa.string())
    return Record({name: _spread(parts, name, count) for name in names}, extra, side)


def _spread(parts: Sequence[Part], field: str, count: int) -> Tokens:
    """The places that the parts found for a field, in the order of the lines."""
    if len(parts) == 1 and len(parts[0][0]) == count:
        return Tokens(*parts[0][1][field]) if field in parts[0][1] else Tokens.absent(count)
    tokens = Tokens.absent(count)
    for rows, places, _ in parts:
        if field in places:
            tokens.start[rows], tokens.end[rows], tokens.kind[rows], _ = places[field]
    return tokens
