"""Bins -> quantiles, in one pass over all bins and few after it.

Which bin holds a quantile is found as in a dictionary: first the octave, then an eighth of it, then the bin. Each time only what
lies in the part found before is grouped and sorted, since that is what quantiles cost. From the second step on a part has a number
in place of the window and the keys, which are dear to compare.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.views.aggregates.quantile import SUB_BITS
from tailrace.views.dialects.duckdb.answer import quantile_columns, quantile_within
from tailrace.views.plan import OutputColumn

OCTAVE = "_octave"
_EIGHTH = f"bin >> {SUB_BITS - 3}"


def octave_of(bin_: str) -> str:
    """The bins of one power of two together, in their order, also below zero."""
    return f"{bin_} >> {SUB_BITS}"


def same(left: str, right: str, columns: Sequence[str]) -> str:
    """Equal in all columns; NULL is equal to NULL."""
    return " AND ".join(f"{left}.{c} IS NOT DISTINCT FROM {right}.{c}" for c in columns)


def quantile_ctes(
    prefix: str, group: Sequence[str], outputs: Sequence[OutputColumn], bins: str, octaves: str
) -> list[str]:
    """CTEs to `{prefix}quantiles`: the columns of `group`, then the bin of each quantile.

    bins: a SELECT of `group`, agg, bin, the octave and n, merged or not. octaves: of `group`, agg, the octave and n, as much in all.
    """
    listed = ", ".join(group)
    within = quantile_within(outputs)
    counted = f"SELECT {listed}, agg, {OCTAVE} AS octave, sum(n) AS n FROM ({octaves}) GROUP BY {listed}, agg, octave"
    part = f"PARTITION BY {listed}, agg"
    summed = f"SELECT *, {_upto(part, 'octave')} AS upto, sum(n) OVER ({part}) AS total FROM ({counted})"
    sought = f"SELECT *, upto - n AS below, row_number() OVER () AS id FROM ({summed}) WHERE {within}"

    matched = f"{same('r', 's', group)} AND r.agg = s.agg AND r.{OCTAVE} = s.octave"
    found = f"SELECT s.id AS id, r.bin AS bin, sum(r.n) AS n FROM ({bins}) AS r JOIN {prefix}sought AS s ON {matched} GROUP BY s.id, r.bin"

    counted = f"SELECT id, {_EIGHTH} AS eighth, sum(n) AS n FROM {prefix}found GROUP BY id, eighth"
    running = f"SELECT *, {_upto('PARTITION BY id', 'eighth')} AS reached FROM ({counted})"
    summed = f"SELECT r.id, eighth, r.n, below + reached AS upto, agg, total FROM ({running}) AS r JOIN {prefix}sought AS s ON r.id = s.id"
    eighths = f"SELECT id, eighth, upto - n AS below FROM ({summed}) WHERE {within}"

    inside = f"SELECT r.id, bin, n, eighth, below FROM {prefix}found AS r JOIN {prefix}eighths AS e ON r.id = e.id AND ({_EIGHTH}) = eighth"
    last = f"SELECT id, bin, below + {_upto('PARTITION BY id, eighth', 'bin')} AS upto FROM ({inside})"
    carried = ", ".join(f"s.{column} AS {column}" for column in [*group, "agg", "total"])
    rows = f"SELECT {carried}, r.bin AS bin, r.upto AS upto FROM ({last}) AS r JOIN {prefix}sought AS s ON r.id = s.id"
    chosen = ", ".join(f"{sql} AS {name}" for name, sql in quantile_columns(outputs))
    return [
        f"{prefix}sought AS MATERIALIZED ({sought})",
        f"{prefix}found AS MATERIALIZED ({found})",
        f"{prefix}eighths AS ({eighths})",
        f"{prefix}quantiles AS (SELECT {listed}, {chosen} FROM ({rows}) GROUP BY {listed})",
    ]


def _upto(partition: str, order: str) -> str:
    """All of n up to this row; no two rows have the same `order`."""
    return f"sum(n) OVER ({partition} ORDER BY {order} ROWS UNBOUNDED PRECEDING)"
