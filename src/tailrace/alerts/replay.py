"""What a rule would have done: the same judgement and the same state machine over windows that are stored. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tailrace.alerts.frame import Frame, Key
from tailrace.alerts.judge import BREACHED, UNKNOWN, Judged, judge
from tailrace.alerts.rule import Rule
from tailrace.alerts.state import IDLE, Change, Instance, Status, Timing, advance

REMEMBERED = 0.5
"""An idle instance is kept until its flap score is below this."""


@dataclass(frozen=True, slots=True)
class Episode:
    """From when to when a key fired, microseconds; `ended_us` None: it still does. `worst`: the value farthest beyond the threshold."""

    key: Key
    fired_us: int
    ended_us: int | None
    worst: float | None


@dataclass(frozen=True, slots=True)
class Replayed:
    episodes: tuple[Episode, ...] = ()
    changes: tuple[tuple[Key, Change], ...] = ()
    instances: Mapping[Key, Instance] = field(default_factory=dict)


def replay(rule: Rule, frame: Frame, from_us: int) -> tuple[Replayed, Judged]:
    """Over the windows that end after `from_us`; those before are only what they are compared with."""
    judged = judge(rule, frame)
    ends = frame.grid.ends()
    first = int(np.searchsorted(ends, from_us, side="right"))
    episodes: list[Episode] = []
    changes: list[tuple[Key, Change]] = []
    instances: dict[Key, Instance] = {}
    for row, key in enumerate(frame.keys):
        instance, found = run_key(rule.timing, judged, row, ends, first, IDLE)
        instances[key] = instance
        changes += [(key, change) for change in found]
        episodes += _episodes(rule, key, found, judged, row, ends)
    episodes.sort(key=lambda e: e.fired_us)
    changes.sort(key=lambda c: c[1].at_us)
    return Replayed(tuple(episodes), tuple(changes), instances), judged


def progress(
    rule: Rule, frame: Frame, instances: Mapping[Key, Instance], after_us: int
) -> tuple[dict[Key, Instance], list[tuple[Key, Change]]]:
    """The instances after the windows of `frame` that end after `after_us`, and how they changed. Those that are idle are left out."""
    active = [key for key, instance in instances.items() if instance.is_active or instance.breached]
    frame = frame.with_keys(active)
    judged = judge(rule, frame)
    ends = frame.grid.ends()
    first = int(np.searchsorted(ends, after_us, side="right"))
    kept: dict[Key, Instance] = {}
    changes: list[tuple[Key, Change]] = []
    for row, key in enumerate(frame.keys):
        before = instances.get(key, IDLE)
        instance, found = run_key(rule.timing, judged, row, ends, first, before)
        if instance.is_active or instance.breached or instance.flap_score(int(ends[-1])) >= REMEMBERED:
            kept[key] = instance
        changes += [(key, change) for change in found]
    changes.sort(key=lambda c: c[1].at_us)
    return kept, changes


def bounded(
    rule: Rule, before: Mapping[Key, Instance], after: Mapping[Key, Instance], changes: list[tuple[Key, Change]]
) -> tuple[dict[Key, Instance], list[tuple[Key, Change]], int]:
    """At most `instances_max` of them: those there were, then those that have been breached longest. The changes of those alone that
    are kept, or are over; and how many were left out."""
    if len(after) <= rule.instances_max:
        return dict(after), changes, 0
    order = sorted(after, key=lambda k: (k not in before, after[k].since_us, tuple(map(str, k))))
    kept = {key: after[key] for key in order[: rule.instances_max]}
    return kept, [c for c in changes if c[0] in kept or c[0] in before], len(after) - len(kept)


def run_key(
    timing: Timing, judged: Judged, row: int, ends: np.ndarray, first: int, instance: Instance
) -> tuple[Instance, list[Change]]:
    """One key through the windows from `first` on. Clear windows of an idle alert are passed over: they change nothing."""
    verdicts = judged.verdicts[row]
    changes: list[Change] = []
    breaches = np.flatnonzero(verdicts[first:] == BREACHED) + first
    at, count = first, len(ends)
    while at < count:
        if not (instance.is_active or instance.breached):
            later = int(np.searchsorted(breaches, at))
            if later == len(breaches):
                break
            at = int(breaches[later])
        instance, new = advance(instance, timing, int(ends[at]), *cell(judged, row, at))
        changes += new
        at += 1
    return instance, changes


def cell(judged: Judged, row: int, at: int) -> tuple[bool | None, float | None, float | None]:
    verdict = int(judged.verdicts[row, at])
    value, baseline = float(judged.values[row, at]), float(judged.baseline[row, at])
    return (
        None if verdict == UNKNOWN else verdict == BREACHED,
        None if np.isnan(value) else value,
        None if np.isnan(baseline) else baseline,
    )


def _episodes(
    rule: Rule, key: Key, changes: list[Change], judged: Judged, row: int, ends: np.ndarray
) -> Iterator[Episode]:
    fired: int | None = None
    for change in changes:
        if change.after is Status.FIRING and change.before is not Status.RECOVERING:
            fired = change.at_us
        elif change.after is Status.OK and fired is not None:
            yield Episode(key, fired, change.at_us, _worst(rule, judged, row, ends, fired, change.at_us))
            fired = None
    if fired is not None:
        yield Episode(key, fired, None, _worst(rule, judged, row, ends, fired, int(ends[-1])))


def _worst(rule: Rule, judged: Judged, row: int, ends: np.ndarray, from_us: int, to_us: int) -> float | None:
    low, high = np.searchsorted(ends, from_us), np.searchsorted(ends, to_us, side="right")
    values = judged.values[row, low:high]
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    return float(values.max() if rule.comparison in ("above", "at_least") or rule.kind == "no_data" else values.min())
