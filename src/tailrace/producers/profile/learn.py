"""A profile from a base data set."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tailrace.producers.profile.base import Base, read_base
from tailrace.producers.profile.fit import fit_times, fit_zipf
from tailrace.producers.profile.model import Addresses, Arrivals, Endpoint, Profile, Sessions, Times

ENDPOINTS = 50
OTHER = "/(other)"
SESSION_GAP_US = 30 * 60_000_000
SESSIONS_MIN = 20
TIMES_MIN = 20
_SHARE_MIN = 0.0005
_HOUR_US = 3_600_000_000
_VARIABLE = re.compile(r"\d+|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Learned:
    """`times`: milliseconds by path, as they were (numpy float64). `times_known`: whether the log has any. `rate`: requests a second
    between the first and the last; None without times."""

    profile: Profile
    base: Base
    times: dict[str, Any]
    times_known: bool
    rate: float | None


def learn(path: Path, endpoints: int = ENDPOINTS) -> Learned:
    """The `endpoints` busiest ones by name, all others as one. Raises Invalid for a file without requests."""
    base = read_base(path)
    named = [_templated(each) for each in base.paths]
    kept = [name for name, _ in Counter(named).most_common(endpoints)]
    known = set(kept)
    paths = [name if name in known else OTHER for name in named]
    if len(known) < len(set(named)) and OTHER not in known:
        kept.append(OTHER)
    times: dict[str, list[float]] = defaultdict(list)
    for name, took in zip(paths, base.took, strict=True):
        if took is not None:
            times[name].append(took)
    everything = [took for values in times.values() for took in values]
    usual = fit_times(everything) if len(everything) >= TIMES_MIN else Times(20.0, 0.5)
    rows: dict[str, list[int]] = defaultdict(list)
    for n, name in enumerate(paths):
        rows[name].append(n)
    profile = Profile(
        name=path.name.split(".")[0],
        endpoints=tuple(_endpoint(name, base, rows[name], times.get(name, []), usual) for name in kept),
        addresses=_addresses(base),
        sessions=_sessions(base, paths, kept),
        arrivals=_arrivals(base),
        source=_source(path, base),
    )
    samples = {name: np.array(values) for name, values in times.items()}
    return Learned(_whole(profile), base, samples, len(everything) >= TIMES_MIN, _rate(base))


def _templated(path: str) -> str:
    """With `{id}` for segments that are numbers or ids."""
    return "/".join("{id}" if _VARIABLE.fullmatch(part) else part for part in path.split("/"))[:200]


def _endpoint(name: str, base: Base, rows: Sequence[int], times: Sequence[float], usual: Times) -> Endpoint:
    """`rows`: those of the endpoint."""
    statuses = Counter(status for n in rows if (status := base.statuses[n]) is not None)
    methods = Counter(method for n in rows if (method := base.methods[n]))
    services = Counter(service for n in rows if (service := base.services[n]))
    return Endpoint(
        path=name,
        service=services.most_common(1)[0][0] if services else "web",
        method=methods.most_common(1)[0][0] if methods else "GET",
        share=len(rows) / len(base),
        statuses=_shares(statuses) if statuses else {200: 1.0},
        times=fit_times(times) if len(times) >= TIMES_MIN else usual,
    )


def _shares(counts: Counter[int]) -> dict[int, float]:
    """Rounded, the most frequent one so that they add up to 1."""
    total = counts.total()
    found = {code: round(count / total, 5) for code, count in counts.most_common()}
    top = next(iter(found))
    found[top] = round(found[top] + 1 - sum(found.values()), 5)
    return {code: share for code, share in found.items() if share > 0}


def _whole(profile: Profile) -> Profile:
    """Shares of endpoints rounded so that they add up to 1, as they will be written."""
    shares = [round(each.share, 5) for each in profile.endpoints]
    shares[0] = round(shares[0] + 1 - sum(shares), 5)
    named = (replace(each, share=share) for each, share in zip(profile.endpoints, shares, strict=True))
    return replace(profile, endpoints=tuple(named))


def _addresses(base: Base) -> Addresses:
    counts = Counter(address for address in base.addresses if address)
    if len(counts) < 2:
        return Addresses()
    networks = {_network(address) for address in counts}
    return Addresses(len(counts), fit_zipf(list(counts.values())), len(networks))


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{address}/{24 if parsed.version == 4 else 48}", strict=False))


def _sessions(base: Base, paths: Sequence[str], kept: Sequence[str]) -> Sessions | None:
    """Requests of an address without a gap of half an hour belong together. None where times or addresses are missing."""
    rows = [
        (address, at, n) for n, (address, at) in enumerate(zip(base.addresses, base.at_us, strict=True))
        if address is not None and at is not None
    ]  # fmt: skip
    if len({address for address, _, _ in rows}) < SESSIONS_MIN:
        return None
    place = {name: n for n, name in enumerate(kept)}
    first, then, left = np.zeros(len(kept)), np.zeros((len(kept), len(kept))), np.zeros(len(kept))
    before: tuple[str, int, int] | None = None
    for row in sorted(rows):
        here = place[paths[row[2]]]
        if before is not None and before[0] == row[0] and row[1] - before[1] <= SESSION_GAP_US:
            then[place[paths[before[2]]], here] += 1
        else:
            first[here] += 1
        left[here] += 1
        before = row
    shares = then / np.maximum(left, 1)[:, None]
    shares[shares < _SHARE_MIN] = 0
    begins = first / first.sum()
    begins[begins < _SHARE_MIN] = 0
    return Sessions(
        tuple(np.round(begins / begins.sum(), 5).tolist()),
        tuple(tuple(row) for row in (np.floor(shares * 1e5) / 1e5).tolist()),
    )


def _arrivals(base: Base) -> Arrivals:
    """Hours where the log covers a day, days where it covers a week; else they are flat."""
    at = np.array([us for us in base.at_us if us is not None], np.int64)
    if not len(at) or at.max() - at.min() < 24 * _HOUR_US:
        return Arrivals()
    hours = np.arange(at.min() // _HOUR_US, at.max() // _HOUR_US + 1)
    counts = np.bincount(at // _HOUR_US - hours[0], minlength=len(hours))
    of_day = _means(counts, hours % 24, 24)
    if at.max() - at.min() < 7 * 24 * _HOUR_US:
        return Arrivals(hours=of_day)
    return Arrivals(of_day, _means(counts, (hours // 24 + 3) % 7, 7))


def _means(counts: Any, group: Any, size: int) -> tuple[float, ...]:
    means = np.bincount(group, counts, size) / np.maximum(np.bincount(group, minlength=size), 1)
    return tuple(np.round(means / means.mean(), 3).tolist()) if means.sum() else (1.0,) * size


def _rate(base: Base) -> float | None:
    at = [us for us in base.at_us if us is not None]
    return len(at) / max((max(at) - min(at)) / 1e6, 1.0) if at else None


def _source(path: Path, base: Base) -> str:
    return f"{path.name}: {base.what}, {len(base):,} requests, {base.skipped:,} rows left out"
