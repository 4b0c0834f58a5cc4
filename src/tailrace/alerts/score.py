"""Rules against the truth of made-up traffic: each thing that went wrong on purpose is labelled, each alert is right or not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

UNSEEN = ("steady", "late", "duplicates", "skew")
"""Scenarios that nobody wants an alert for: lines find their windows, and what comes twice counts once; a skew is how traffic is."""
GRACE_US = 180_000_000
"""How long after something is over an alert may still begin for it: windows, `for` and `delay` take their time."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A label of a run. `endpoints`: empty for all."""

    scenario: str
    from_us: int
    to_us: int
    endpoints: frozenset[str]
    run: str = ""


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that fired. `endpoint` None: it is of no endpoint."""

    rule: str
    at_us: int
    ended_us: int | None
    endpoint: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """An anomaly, and the alerts for it. `delay_us`: until the first; None if there was none."""

    anomaly: Anomaly
    alerts: tuple[Fired, ...]

    @property
    def delay_us(self) -> int | None:
        return min(a.at_us for a in self.alerts) - self.anomaly.from_us if self.alerts else None


@dataclass(frozen=True, slots=True)
class Score:
    """`wrong`: alerts for nothing. `precision`: share of alerts that were for something; `recall`: of anomalies that had one."""

    found: tuple[Found, ...]
    wrong: tuple[Fired, ...]
    alerts: int

    @property
    def precision(self) -> float:
        return 1.0 if not self.alerts else 1 - len(self.wrong) / self.alerts

    @property
    def recall(self) -> float:
        return 1.0 if not self.found else sum(bool(f.alerts) for f in self.found) / len(self.found)


def score(anomalies: Iterable[Anomaly], fired: Sequence[Fired], grace_us: int = GRACE_US) -> Score:
    """An alert is for an anomaly if it begins while that lasts, or soon after, and is of one of its endpoints, or of none."""
    wanted = [a for a in anomalies if a.scenario not in UNSEEN]
    found = tuple(Found(a, tuple(f for f in fired if _is_for(f, a, grace_us))) for a in wanted)
    right = {id(f) for each in found for f in each.alerts}
    return Score(found, tuple(f for f in fired if id(f) not in right), len(fired))


def _is_for(fired: Fired, anomaly: Anomaly, grace_us: int) -> bool:
    place = not anomaly.endpoints or fired.endpoint is None or fired.endpoint in anomaly.endpoints
    return place and anomaly.from_us <= fired.at_us <= anomaly.to_us + grace_us
