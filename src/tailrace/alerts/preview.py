"""What a rule would have done: a replay over what is kept, and its chart with the threshold. Also of a rule that is not saved."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailrace.alerts.alert import fingerprint_of, unit_of
from tailrace.alerts.frame import Frame, Grid
from tailrace.alerts.judge import Judged
from tailrace.alerts.replay import Replayed, replay
from tailrace.alerts.rule import Rule
from tailrace.alerts.sources import Sources, coarse_step_us
from tailrace.errors import Invalid
from tailrace.model.window import iso

SERIES_MAX, POINTS_MAX, EPISODES_MAX = 10, 600, 500
SPAN_US_MAX = 31 * 86_400_000_000


def preview(sources: Sources, rule: Rule, from_us: int, to_us: int) -> dict[str, Any]:
    """JSON-ready. Windows that end in (`from_us`, `to_us`]. Raises what keeps the rule from being judged."""
    if not 0 < to_us - from_us <= SPAN_US_MAX:
        raise Invalid("the time asked for is empty or too long", hint="at most 31d, for example from=now-7d")
    if rule.kind in ("drift", "ledger"):
        return _empty(rule, from_us, to_us, f"the past of kind {rule.kind} is not kept window by window")
    sources.check(rule)
    replayed, judged, frame = replayed_over(sources, rule, from_us, to_us)
    first = int(np.searchsorted(frame.grid.ends(), from_us, side="right"))
    order = _order(replayed, judged, frame, first)
    return {
        **_empty(rule, from_us, to_us, None),
        "step_ms": frame.grid.step_us // 1000,
        "fired": len(replayed.episodes),
        "keys": len(frame.keys),
        "episodes": [_episode(rule, frame, each) for each in replayed.episodes[-EPISODES_MAX:]],
        "times_ms": _times(frame, first),
        "series": [_series(rule, frame, judged, row, first) for row in order[:SERIES_MAX]],
    }


def replayed_over(sources: Sources, rule: Rule, from_us: int, to_us: int) -> tuple[Replayed, Judged, Frame]:
    """With the steps of the rule, or coarser ones where it is long."""
    step_us = coarse_step_us(rule, sources.step_us(rule), to_us - from_us)
    complete_us = sources.complete_us(rule)
    last_us = (min(to_us, (complete_us or to_us) - rule.delay_us)) // step_us * step_us
    first_us = (from_us // step_us + 1) * step_us - -(-rule.before_us() // step_us) * step_us
    frame = sources.frame(rule, Grid(min(first_us, last_us), last_us, step_us, rule.over_us))
    return *replay(rule, frame, from_us), frame


def _empty(rule: Rule, from_us: int, to_us: int, reason: str | None) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "from": iso(from_us),
        "to": iso(to_us),
        "step_ms": 0,
        "fired": 0,
        "keys": 0,
        "comparison": rule.symbol,
        "threshold": rule.threshold,
        "unit": unit_of(rule),
        "reason": reason,
        "episodes": [],
        "times_ms": [],
        "series": [],
    }


def _order(replayed: Replayed, judged: Judged, frame: Frame, first: int) -> list[int]:
    """Rows of the chart: first those that fired, then those with the most numbers."""
    fired = {e.key for e in replayed.episodes}
    known = (~np.isnan(judged.values[:, first:])).sum(axis=1)
    return sorted(range(len(frame.keys)), key=lambda row: (frame.keys[row] not in fired, -int(known[row])))


def _bucket(frame: Frame, first: int) -> int:
    return max(1, -(-(frame.grid.count - first) // POINTS_MAX))


def _times(frame: Frame, first: int) -> list[int]:
    ends = frame.grid.ends()[first:]
    size = _bucket(frame, first)
    return [int(each) // 1000 for each in ends[size - 1 :: size]]


def _series(rule: Rule, frame: Frame, judged: Judged, row: int, first: int) -> dict[str, Any]:
    """The value farthest towards the threshold of each bucket of windows, so that no peak is lost."""
    size = _bucket(frame, first)
    values = judged.values[row, first:]
    count = len(values) // size
    cut = values[: count * size].reshape(count, size)
    upwards = rule.comparison in ("above", "at_least") or rule.kind == "no_data"
    worst = np.fmax.reduce(cut, axis=1) if upwards else np.fmin.reduce(cut, axis=1)
    return {
        "key": dict(zip(frame.names, frame.keys[row], strict=True)),
        "fingerprint": fingerprint_of(rule.name, frame.names, frame.keys[row]),
        "values": [None if np.isnan(v) else float(v) for v in worst],
    }


def _episode(rule: Rule, frame: Frame, episode: Any) -> dict[str, Any]:
    return {
        "key": dict(zip(frame.names, episode.key, strict=True)),
        "fingerprint": fingerprint_of(rule.name, frame.names, episode.key),
        "fired_at": iso(episode.fired_us),
        "ended_at": None if episode.ended_us is None else iso(episode.ended_us),
        "worst": episode.worst,
    }
