"""Hopping windows: each as long as `over`, one beginning every `step`, made from states merged to steps.

A window of n steps is not put together from n states: two of length 1 make one of 2, two of these one of 4 and so on, and the lengths
in the binary form of n make the window. So a state is merged about 2 log2(n) times, whatever the merge is.
Source: exponentiation by squaring, with merging as the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.errors import Invalid
from tailrace.views.plan import CompiledView

STEPS_MAX = 1_440


@dataclass(frozen=True, slots=True)
class Hop:
    """`count` steps make a window. `first`, `end`: windows that start in [first, end), multiples of the step; None is no bound."""

    step_us: int
    count: int
    first: int | None
    end: int | None

    @property
    def data_from(self) -> int | None:
        """What the windows need: states of windows that start in [data_from, data_to)."""
        return self.first

    @property
    def data_to(self) -> int | None:
        return None if self.end is None else self.end + (self.count - 1) * self.step_us

    def ctes(self, name: str, grouped: str, group: Sequence[str], merged: Sequence[tuple[str, str]]) -> list[str]:
        """CTEs, of which `name` is last: hopping windows made of `grouped`.

        `grouped`: a SELECT of steps, one row for each `group`, whose first column is w, the start in microseconds.
        `merged`: (column, aggregate over it).
        """
        made = [f"{name}_1 AS MATERIALIZED ({grouped})"]
        length = 1
        while 2 * length <= self.count:
            halves = [(f"{name}_{length}", 0), (f"{name}_{length}", length)]
            made.append(f"{name}_{2 * length} AS MATERIALIZED ({self._joined(halves, group, merged, None)})")
            length *= 2
        parts, offset = [], 0
        while length:
            if self.count & length:
                parts.append((f"{name}_{length}", offset))
                offset += length
            length //= 2
        return [*made, f"{name} AS ({self._joined(parts, group, merged, self.end)})"]

    def _joined(
        self,
        parts: Sequence[tuple[str, int]],
        group: Sequence[str],
        merged: Sequence[tuple[str, str]],
        end: int | None,
    ) -> str:
        """Windows put together from shorter ones, (relation, steps after the beginning) each. None begins before `first`."""
        rest = [*group[1:], *(column for column, _ in merged)]
        rows = []
        for relation, offset in parts:
            start = f"w - {offset * self.step_us}" if offset else "w"
            bounds = [f"{start} >= {self.first}"] if self.first is not None else []
            bounds += [f"{start} < {end}"] if end is not None else []
            where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
            rows.append(f"SELECT {', '.join([f'{start} AS w', *rest])} FROM {relation}{where}")
        if len(rows) == 1:
            return rows[0]
        listed = ", ".join(group)
        states = ", ".join(f"{aggregate} AS {column}" for column, aggregate in merged)
        return f"SELECT {listed}, {states} FROM ({' UNION ALL '.join(rows)}) GROUP BY {listed}"


def hop_of(view: CompiledView, over_us: int, step_us: int | None, time_from: int | None, time_to: int | None) -> Hop:
    """`step_us`: None for the view's own width. Windows that start in [time_from, time_to). Raises Invalid."""
    width_us = view.window_us
    step_us = width_us if step_us is None else step_us
    for name, value in (("step", step_us), ("over", over_us)):
        if value <= 0 or value % width_us:
            raise Invalid(
                f"{name} of `{value / 1_000_000:g}s` is not a multiple of the view's window",
                hint=f"use a multiple of {width_us // 1_000_000}s",
            )
    if over_us % step_us:
        raise Invalid(
            f"over of `{over_us // 1_000_000}s` is not a multiple of the step of `{step_us // 1_000_000}s`",
            hint=f"windows line up when it is: over={over_us // step_us * step_us // 1_000_000 or step_us // 1_000_000}s",
        )
    count = over_us // step_us
    if count > STEPS_MAX:
        least_us = -(-over_us // STEPS_MAX // width_us) * width_us
        raise Invalid(
            f"over of `{over_us // 1_000_000}s` is `{count:,}` steps of `{step_us // 1_000_000}s`, more than {STEPS_MAX:,}",
            hint=f"take a step of {least_us // 1_000_000}s or more, or a shorter over",
        )
    first, end = (None if at is None else -(-at // step_us) * step_us for at in (time_from, time_to))
    return Hop(step_us, count, first, end)
