"""What the views must say of what was acknowledged: made anew from the plan, a stretch of posts at a time. Pure.

Whole numbers throughout. Memory grows with the rows of the views, not with the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tailrace.testing.load.ack_log import Acked
from tailrace.testing.load.checked_views import CheckedView
from tailrace.testing.load.plan import STATUSES, Lines, lines_of

LINES_AT_ONCE = 500_000
_MERGE = {"count": np.add, "sum": np.add, "min": np.minimum, "max": np.maximum, "errors": np.add}
_STATUS = np.array(STATUSES)


@dataclass(frozen=True, slots=True)
class Rows:
    """A view's rows, ascending by `codes` (int64, distinct). `measures`: those of `MEASURES`, int64 a row each."""

    codes: Any
    measures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """`stored`: lines that count; `dead`: that cannot. `rows`: by the view's name."""

    stored: int
    dead: int
    rows: dict[str, Rows]


def expected(acked: Acked, views: Sequence[CheckedView]) -> Expected:
    """Of all lines that were acknowledged."""
    stored, dead = 0, 0
    rows = {view.name: _empty() for view in views}
    for lines in stretches(acked):
        stored += int(lines.good.sum())
        dead += int((~lines.good).sum())
        kept = good_lines(lines)
        for view in views:
            rows[view.name] = merged(rows[view.name], grouped(view, kept))
    return Expected(stored, dead, rows)


def stretches(acked: Acked) -> Iterator[Lines]:
    """The lines that were acknowledged, about LINES_AT_ONCE at a time."""
    plan = acked.plan
    posts = ((sender, number) for sender, count in enumerate(acked.posts) for number in range(count))
    held: list[Lines] = []
    for sender, number in posts:
        held.append(lines_of(plan, sender, number))
        if len(held) * plan.lines_per_post >= LINES_AT_ONCE:
            yield joined(held)
            held = []
    if held:
        yield joined(held)


def joined(parts: Sequence[Lines]) -> Lines:
    return Lines(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Lines)))


def good_lines(lines: Lines) -> Lines:
    return Lines(*(getattr(lines, f.name)[lines.good] for f in fields(Lines)))


def grouped(view: CheckedView, lines: Lines) -> Rows:
    """The rows of `lines`, all of which count."""
    ones = np.ones(len(lines.at_ms), np.int64)
    errors = (_STATUS[lines.status] >= 500).astype(np.int64)
    measures = {"count": ones, "sum": lines.response, "min": lines.response, "max": lines.response, "errors": errors}
    return _reduced(view.codes(lines), measures)


def merged(one: Rows, other: Rows) -> Rows:
    """The rows of the lines of both."""
    measures = {name: np.concatenate([one.measures[name], other.measures[name]]) for name in _MERGE}
    return _reduced(np.concatenate([one.codes, other.codes]), measures)


def _reduced(codes: Any, measures: dict[str, Any]) -> Rows:
    if not len(codes):
        return _empty()
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    return Rows(codes[starts], {name: _MERGE[name].reduceat(measures[name][order], starts) for name in _MERGE})


def _empty() -> Rows:
    nothing = np.zeros(0, np.int64)
    return Rows(nothing, dict.fromkeys(_MERGE, nothing))
