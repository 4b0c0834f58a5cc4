"""What a changed view changed: the rows of the version before and of the one that answers now, at one moment, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tailrace.errors import Invalid, TooLarge
from tailrace.serving.merge import Merger, ViewAnswer, ViewQuery, rows_of
from tailrace.serving.pin import Pinned
from tailrace.views import CompiledView

ROWS_MAX = 500_000

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One version's rows by their key (window and key columns), values in the order of the columns that both have."""

    view: CompiledView
    rows: dict[Row, Row]


def diff(merger: Merger, pinned: Pinned, name: str, query: ViewQuery, limit: int) -> dict[str, Any]:
    """JSON-ready but for decimals: counts of rows, and `limit` of the differences at most, by window and keys.

    Raises NotFound if the view has no version before this one, Invalid if the two do not have the same keys, TooLarge.
    """
    now, before = pinned.view(name), pinned.before(name)
    keys = _same_keys(before[0], now[0])
    columns = [o.name for o in now[0].outputs if o.name not in keys and o.name in _names(before[0])]
    step_us = query.step_us or max(before[0].window_us, now[0].window_us)
    asked = replace(query, step_us=None if query.total else step_us, limit=ROWS_MAX)
    old, new = (_side(merger.of_version(pinned, *each, asked), keys, columns) for each in (before, now))
    return {
        "view": name,
        "before": before[0].version,
        "now": now[0].version,
        "compared": columns,
        "only_before": [n for n in _names(before[0]) if n not in keys and n not in columns],
        "only_now": [n for n in _names(now[0]) if n not in keys and n not in columns],
        **compare(old, new, keys, columns, limit),
    }


def compare(before: Side, now: Side, keys: list[str], columns: list[str], limit: int) -> dict[str, Any]:
    """`rows`: how many of either side, equal, changed, and on one side only; `differences`: the first of them."""
    differences: list[dict[str, Any]] = []
    counts = {"before": len(before.rows), "now": len(now.rows), "equal": 0, "changed": 0, "gone": 0, "new": 0}
    for key in sorted(before.rows.keys() | now.rows.keys(), key=_order):
        old, new = before.rows.get(key), now.rows.get(key)
        if old == new:
            counts["equal"] += 1
            continue
        change = "new" if old is None else "gone" if new is None else "changed"
        counts[change] += 1
        if len(differences) < limit:
            row = dict(zip(keys, key, strict=True))
            differences.append({**row, "change": change, "columns": _changed(columns, old, new)})
    return {"rows": counts, "differences": differences}


def _changed(columns: list[str], old: Row | None, new: Row | None) -> dict[str, dict[str, Any]]:
    nothing = (None,) * len(columns)
    pairs = zip(columns, old or nothing, new or nothing, strict=True)
    return {name: {"before": a, "now": b} for name, a, b in pairs if a != b}


def _same_keys(before: CompiledView, now: CompiledView) -> list[str]:
    """Names of the columns by which rows are told apart: the window and the keys, in the order of the version that answers."""
    keys = [[o.name for o in view.outputs if o.kind in ("window", "key")] for view in (before, now)]
    if sorted(keys[0]) != sorted(keys[1]):
        raise Invalid(
            f"the versions of view `{now.name}` have different keys: {', '.join(keys[0])} before, {', '.join(keys[1])} now",
            hint="rows can be compared only where both have the same keys; compare totals with POST /v1/query",
        )
    return keys[1]


def _names(view: CompiledView) -> list[str]:
    return [output.name for output in view.outputs]


def _side(answer: ViewAnswer, keys: list[str], columns: list[str]) -> Side:
    if answer.truncated:
        raise TooLarge(
            f"there are more than {ROWS_MAX:,} rows to compare", hint="ask with from, to, a step, or a where"
        )
    table = answer.table.select([*keys, *columns])
    rows = [tuple(row) for row in rows_of(table)]
    return Side(answer.view, {row[: len(keys)]: row[len(keys) :] for row in rows})


def _order(key: Row) -> tuple[tuple[bool, str], ...]:
    """By window and keys, null last; only for showing."""
    return tuple((value is None, str(value)) for value in key)
