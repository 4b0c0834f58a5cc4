"""The start of the window that an instant falls into; windows begin at multiples of their width since 1970-01-01 UTC."""

from __future__ import annotations

from tailrace.views.plan import WINDOW_COLUMN


def window_sql(instant: str, width_us: int) -> str:
    """Integers only, and half the cost of time_bucket."""
    return f"make_timestamptz({window_us_sql(instant, width_us)})"


def window_us_sql(instant: str, width_us: int) -> str:
    """The same in microseconds since 1970. The second remainder is for instants before."""
    us = f"epoch_us({instant})"
    return f"{us} - ({us} % {width_us} + {width_us}) % {width_us}"


def coarser(source: str, width_us: int) -> str:
    """A relation of states, with windows of `width_us` in place of its own, which lie within them."""
    return f"(SELECT * REPLACE ({window_sql(WINDOW_COLUMN, width_us)} AS {WINDOW_COLUMN}) FROM {source})"
