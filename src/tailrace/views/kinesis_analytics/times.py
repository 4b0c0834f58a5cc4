"""Which expressions are windows in time, and how wide they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp

from tailrace.views.kinesis_analytics.select import CannotTurnError

ARRIVAL = frozenset({"ROWTIME", "APPROXIMATE_ARRIVAL_TIME"})
"""Columns of every stream: when a record came, which is not when it happened."""
_UNIT_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
DAY_S = 86_400
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 21_600)
WINDOWS_OVER_MAX = 1_440


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """`column`: what is cut into windows of `width_s` seconds."""

    column: exp.Column
    width_s: int
    node: exp.Expr

    @property
    def of_arrival(self) -> bool:
        return self.column.name.upper() in ARRIVAL


def time_window(node: exp.Expr) -> TimeWindow | None:
    """FLOOR(t TO unit) or STEP(t, interval). None for anything else. Raises CannotTurnError for a width that windows cannot have."""
    node = node.unalias().unnest() if isinstance(node, exp.Alias) else node.unnest()
    if isinstance(node, exp.Floor) and node.args.get("to") is not None:
        unit = node.args["to"].name.upper()
        if unit not in _UNIT_S:
            raise CannotTurnError(
                f"windows of a {unit.lower()}: they are not all of one length",
                node,
                "use DAY, and merge days when you read",
            )
        inner, width_s = node.this, _UNIT_S[unit]
    elif isinstance(node, exp.Anonymous) and node.name.upper() == "STEP" and len(node.expressions) == 2:
        inner, width_s = node.expressions[0], seconds(node.expressions[1])
    else:
        return None
    column = inner.find(exp.Column)
    if column is None:
        raise CannotTurnError(
            "a window over something that is no column", node, "windows are of the record's timestamp"
        )
    if DAY_S % width_s:
        near = max(each for each in STEPS_S if each <= width_s)
        raise CannotTurnError(
            f"windows of {width_s} seconds, which do not divide a day",
            node,
            f"use {near} seconds, and ?step= or ?over= to read",
        )
    return TimeWindow(column, width_s, node)


def seconds(node: exp.Expr) -> int:
    """Of INTERVAL '10' SECOND and the like. Raises CannotTurnError."""
    if isinstance(node, exp.Interval) and node.this is not None:
        unit = (node.args["unit"].name if node.args.get("unit") else "").upper().removesuffix("S")
        text = node.this.name
        if unit in _UNIT_S and re.fullmatch(r"\d{1,9}", text) and int(text):
            return int(text) * _UNIT_S[unit]
    raise CannotTurnError(
        "a length of time that cannot be read", node, "write INTERVAL '10' SECOND, MINUTE, HOUR or DAY"
    )


def step_of(ranges_s: list[int]) -> int:
    """The windows of a view that serves sliding windows of these lengths: fine, but not more of them than can be merged."""
    usable = [
        step for step in STEPS_S if all(not each % step and each // step <= WINDOWS_OVER_MAX for each in ranges_s)
    ]
    fine = [step for step in usable if min(ranges_s) // step >= 6]
    return max(fine) if fine else min(usable, default=0)
