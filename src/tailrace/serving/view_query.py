"""What can be asked of a view."""

from __future__ import annotations

from dataclasses import dataclass

ROWS_MAX = 50_000
"""Rows of one answer, unless asked for fewer."""


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """What is asked of a view. Times in microseconds; windows that start in [from_us, to_us).

    `step_us`: coarser windows, a multiple of the view's. `over_us`: hopping windows of this length, one beginning every step, each of
    all its data. `total`: all windows merged to one row a key. `top`: (column, n): the n
    largest keys by that column, all others merged exactly into one row. `top_key`: rank by this key column alone, the others keep
    their other keys. `where`: SQL over the key columns. `columns`: the numbers that are wanted (None: all); what is not costs nothing.
    `by`: only these of the view's keys; rows that differ in the others alone are merged (None: all keys).
    """

    from_us: int | None = None
    to_us: int | None = None
    step_us: int | None = None
    over_us: int | None = None
    total: bool = False
    where: str | None = None
    top: tuple[str, int] | None = None
    top_key: str | None = None
    columns: tuple[str, ...] | None = None
    by: tuple[str, ...] | None = None
    limit: int = ROWS_MAX
