"""Which windows of which keys break a rule. Pure, whole arrays at a time: live evaluation and replay call the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailrace.alerts.frame import Frame
from tailrace.alerts.rule import Rule

BREACHED, CLEAR, UNKNOWN = 1, 0, -1
HISTORY_SHARE_MIN = 0.25
"""Of the windows of the period before: so many must have a number, and two at least, or there is nothing to compare with."""
_COMPARE = {"above": np.greater, "below": np.less, "at_least": np.greater_equal, "at_most": np.less_equal}


@dataclass(frozen=True, slots=True)
class Judged:
    """keys x windows. `verdicts`: BREACHED, CLEAR, or UNKNOWN, which changes no state. `values`: what is compared with the threshold.

    `baseline`: of a change, what the value is compared with; elsewhere NaN.
    """

    verdicts: Any
    values: Any
    baseline: Any


def judge(rule: Rule, frame: Frame) -> Judged:
    """`frame` begins `rule.before_us()` before the first window whose verdict is of use."""
    nothing = np.full(frame.values.shape, np.nan)
    if frame.values.size == 0:
        return Judged(np.zeros(frame.values.shape, np.int8), nothing, nothing)
    seen = _seen(frame, rule)
    if rule.kind == "no_data":
        silent_s = np.where(seen, _silent_windows(frame) * (frame.grid.step_us / 1e6), np.nan)
        return Judged(np.where(~frame.present & seen, BREACHED, CLEAR).astype(np.int8), silent_s, nothing)
    values = frame.values
    if rule.missing == "zero":
        values = np.where(np.isnan(values) & ~frame.present & seen, 0.0, values)
    counts = frame.counts | (~frame.present & (rule.missing == "zero"))
    baseline = nothing
    if rule.kind == "change":
        baseline = _baseline(rule, frame, values)
        values = _change(rule, values, baseline)
        counts &= baseline >= rule.baseline_min
    with np.errstate(invalid="ignore"):
        breached = _COMPARE[rule.comparison](values, rule.threshold) & counts & ~np.isnan(values)
    verdicts = np.where(breached, BREACHED, CLEAR).astype(np.int8)
    if rule.missing == "hold":
        verdicts[np.isnan(values)] = UNKNOWN
    return Judged(verdicts, values, baseline)


def _silent_windows(frame: Frame) -> Any:
    """How many windows ago the key was last there; a huge number where it has not been yet."""
    columns = np.arange(frame.grid.count)
    last = np.maximum.accumulate(np.where(frame.present, columns, -(1 << 30)), axis=1)
    return columns - last


def _seen(frame: Frame, rule: Rule) -> Any:
    """Where the key was there within the lookback."""
    return _silent_windows(frame) <= rule.lookback_us // frame.grid.step_us


def _change(rule: Rule, values: Any, baseline: Any) -> Any:
    if not rule.percent:
        return values - baseline
    with np.errstate(all="ignore"):
        found = 100.0 * (values - baseline) / np.abs(baseline)
    return np.where(np.isfinite(found), found, np.nan)


def _baseline(rule: Rule, frame: Frame, values: Any) -> Any:
    """The median of the windows of the period before, which do not overlap each other nor the window that is judged.

    Of an even number the upper one: where traffic began in the middle of the period, half of it and half of nothing are not normal.
    """
    over, step = frame.grid.over_us, frame.grid.step_us
    apart, number = over // step, rule.against_us // over
    first = apart + rule.offset_us // step
    keys, count = values.shape
    shifts = [first + apart * n for n in range(number)]
    stacked = np.full((number, keys, count), np.nan)
    for at, shift in enumerate(shifts):
        if shift < count:
            stacked[at, :, shift:] = values[:, : count - shift]
    known = (~np.isnan(stacked)).sum(axis=0)
    ordered = np.sort(stacked, axis=0)  # NaN last
    middle = np.minimum(known // 2, np.maximum(known - 1, 0))
    median = np.take_along_axis(ordered, middle[None], axis=0)[0]
    return np.where(known >= max(2, number * HISTORY_SHARE_MIN), median, np.nan)
