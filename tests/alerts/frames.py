"""Frames written down, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tailrace.alerts.frame import Frame, Grid, empty_frame
from tailrace.alerts.rule import Rule, read_rule

STEP_US = 10_000_000


def rule(**given: Any) -> Rule:
    words: dict[str, Any] = {"kind": "threshold", "view": "v", "value": "x", "over": "10s", "step": "10s"}
    if given.get("kind") == "no_data":
        words.pop("value")
    elif not {"above", "below", "at_least", "at_most"} & given.keys():
        words["above"] = 5
    return read_rule("r", {k.rstrip("_"): v for k, v in (words | given).items()})


def frame(rows: Mapping[str, Sequence[float | None]], *, over: int = 1, counts: bool = True) -> Frame:
    """None: no record in this window. The first window ends after one step."""
    count = max(map(len, rows.values()))
    grid = Grid(STEP_US, count * STEP_US, STEP_US, over * STEP_US)
    made = empty_frame(grid, ("endpoint",), tuple((key,) for key in rows))
    for at, values in enumerate(rows.values()):
        made.values[at] = [np.nan if v is None else v for v in values]
        made.present[at] = [v is not None for v in values]
    made.counts[:] = counts & made.present
    return made
