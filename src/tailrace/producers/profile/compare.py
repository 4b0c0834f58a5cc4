"""How alike two profiles, or the traffic of two logs, are: in numbers from 0 (the same) to 1 (nothing in common)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tailrace.producers.profile.fit import ks_of_two, spread
from tailrace.producers.profile.learn import learn
from tailrace.producers.profile.model import Profile
from tailrace.producers.profile.read import read_profile


@dataclass(frozen=True, slots=True)
class Side:
    """`times`: milliseconds by path: of a log those that it has (whole numbers as rounded ones), of a profile its quantiles.

    `rate`: of a log, requests a second."""

    name: str
    profile: Profile
    times: dict[str, Any]
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Total variation distances of the endpoint mix, of statuses (mean over endpoints by their share), of what follows what (None where
    one side has no sessions), of hours and of days; Kolmogorov-Smirnov distances of response times, all and by endpoint. `only`: paths
    that one side has alone. Pairs are (first, second).
    """

    mix: float
    statuses: float
    transitions: float | None
    times: float | None
    times_by_endpoint: dict[str, float]
    hours: float
    days: float
    rate: tuple[float | None, float | None]
    addresses: tuple[int, int]
    networks: tuple[int, int]
    zipf: tuple[float, float]
    only: tuple[tuple[str, ...], tuple[str, ...]]


def read_side(path: Path) -> Side:
    """A profile (*.toml), or a log, which is learned. Raises Invalid."""
    if path.suffix == ".toml":
        profile = read_profile(path)
        return Side(path.name, profile, {each.path: each.times.table_us() / 1000 for each in profile.endpoints})
    learned = learn(path)
    times = {name: spread(np.sort(values)) for name, values in learned.times.items()}
    return Side(path.name, learned.profile, times, learned.rate)


def compare(one: Side, other: Side) -> Comparison:
    first, second = one.profile, other.profile
    mixes = [_mix(side.profile) for side in (one, other)]
    paths = sorted(mixes[0].keys() | mixes[1].keys())
    shared = [path for path in paths if path in mixes[0] and path in mixes[1]]
    weights = np.array([mixes[0][path] + mixes[1][path] for path in shared])
    statuses = [_total_variation(_statuses(first, path), _statuses(second, path)) for path in shared]
    times = {path: ks_of_two(one.times[path], other.times[path]) for path in shared if _have(one, other, path)}
    return Comparison(
        mix=_total_variation(*mixes),
        statuses=float(np.average(statuses, weights=weights)) if shared else 1.0,
        transitions=_transitions(first, second, shared, weights),
        times=_all_times(one, other, mixes),
        times_by_endpoint=times,
        hours=_total_variation(*(dict(enumerate(each.arrivals.hours)) for each in (first, second))),
        days=_total_variation(*(dict(enumerate(each.arrivals.days)) for each in (first, second))),
        rate=(one.rate, other.rate),
        addresses=(first.addresses.count, second.addresses.count),
        networks=(first.addresses.networks, second.addresses.networks),
        zipf=(first.addresses.zipf, second.addresses.zipf),
        only=(tuple(p for p in paths if p not in mixes[1]), tuple(p for p in paths if p not in mixes[0])),
    )


def _mix(profile: Profile) -> dict[str, float]:
    return dict(zip((each.path for each in profile.endpoints), profile.mix().tolist(), strict=True))


def _statuses(profile: Profile, path: str) -> dict[int, float]:
    place = profile.place(path)
    assert place is not None, "a path that both have"
    return dict(profile.endpoints[place].statuses)


def _total_variation(one: dict[Any, float], other: dict[Any, float]) -> float:
    """Half the sum of differences of the shares; both are scaled to 1."""
    totals = [sum(each.values()) or 1.0 for each in (one, other)]
    keys = one.keys() | other.keys()
    return 0.5 * sum(abs(one.get(key, 0.0) / totals[0] - other.get(key, 0.0) / totals[1]) for key in keys)


def _transitions(first: Profile, second: Profile, shared: list[str], weights: Any) -> float | None:
    if first.sessions is None or second.sessions is None or not shared:
        return None
    return float(np.average([_total_variation(_row(first, p), _row(second, p)) for p in shared], weights=weights))


def _row(profile: Profile, path: str) -> dict[str, float]:
    """What follows an endpoint; the end of a visit is the empty text."""
    place = profile.place(path)
    assert place is not None, "a path that both have"
    assert profile.sessions is not None, "both have sessions"
    row = profile.sessions.then[place]
    found = {endpoint.path: share for endpoint, share in zip(profile.endpoints, row, strict=True)}
    return {**found, "": max(0.0, 1 - sum(row))}


def _have(one: Side, other: Side, path: str) -> bool:
    return len(one.times.get(path, ())) > 1 and len(other.times.get(path, ())) > 1


def _all_times(one: Side, other: Side, mixes: list[dict[str, float]]) -> float | None:
    samples = [_pooled(side, mix) for side, mix in zip((one, other), mixes, strict=True)]
    return None if samples[0] is None or samples[1] is None else ks_of_two(*samples)


def _pooled(side: Side, mix: dict[str, float], size: int = 20_000) -> Any:
    """Times of all endpoints, each as often as it comes: evenly chosen quantiles of each."""
    parts = []
    for path, share in mix.items():
        values = side.times.get(path, ())
        count = round(share * size)
        if len(values) > 1 and count:
            parts.append(np.quantile(values, (np.arange(count) + 0.5) / count))
    return np.concatenate(parts) if parts else None
