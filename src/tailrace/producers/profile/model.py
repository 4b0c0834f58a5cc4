"""A profile's values. Shares are of 1; times are milliseconds, as people write them; nothing here reads a file.

Called by the generator (`tables`), by `learn`, which makes one, and by `compare`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

TABLE_STEPS = 4096
"""Steps of a table of quantiles; the generator draws one and a place within it."""
LAST_SHARE = 0.99999
"""What the last entry of a table stands for: no finite table holds the end of a tail."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Times:
    """Response times: lognormal by `median_ms` and `sigma`, from share `tail_from` on a Pareto tail of `tail_alpha`, cut at `max_ms`.

    `points`: (share, ms), ascending in both: where the formula does not fit, quantiles that are used in its place. `ks`: the largest
    distance between the formula and what it was fitted to (Kolmogorov-Smirnov); None if it was not fitted.
    """

    median_ms: float
    sigma: float
    tail_from: float = 1.0
    tail_alpha: float = 0.0
    max_ms: float = 0.0
    points: tuple[tuple[float, float], ...] = ()
    ks: float | None = None

    def quantile_ms(self, share: Any) -> Any:
        """For numpy arrays of shares from 0 to 1."""
        share = np.minimum(np.asarray(share, dtype=np.float64), LAST_SHARE)
        if self.points:
            at, ms = np.array(self.points).T
            return np.exp(np.interp(share, at, np.log(np.maximum(ms, 1e-3))))
        body = np.clip(share, 1e-5, self.tail_from if self.has_tail else LAST_SHARE)
        ms = self.median_ms * np.exp(self.sigma * normal_quantile(body))
        if self.has_tail:
            beyond = np.maximum((1 - share) / (1 - self.tail_from), 1e-9)
            ms = np.where(share > self.tail_from, ms * beyond ** (-1 / self.tail_alpha), ms)
        return np.minimum(ms, self.max_ms) if self.max_ms else ms

    @property
    def has_tail(self) -> bool:
        return self.tail_from < 1.0 and self.tail_alpha > 0

    def table_us(self) -> Any:
        """Quantiles at 0, 1/4096, ..., 1 in microseconds (int64, TABLE_STEPS + 1)."""
        shares = np.arange(TABLE_STEPS + 1) / TABLE_STEPS
        return np.maximum(np.round(self.quantile_ms(shares) * 1000), 1).astype(np.int64)


def normal_quantile(shares: Any) -> Any:
    """Of the standard normal distribution, by interpolation in a fine table (error below 1e-4 between 1e-5 and 1 - 1e-5)."""
    return np.interp(shares, _NORMAL_SHARES, _NORMAL_VALUES)


_NORMAL_VALUES = np.linspace(-4.3, 4.3, 1721)
_NORMAL_SHARES = np.array([_NORMAL.cdf(float(value)) for value in _NORMAL_VALUES])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`share` of all requests. `statuses`: code -> share of this endpoint's. `messages`: what a line says, by kind of outcome (`fine`,
    `slow`, `refused`, `failed`), with {user} where a number belongs."""

    path: str
    service: str
    method: str
    share: float
    statuses: Mapping[int, float]
    times: Times
    messages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Addresses:
    """`count` clients in `networks` networks; the r-th most frequent one comes as r ** -`zipf`."""

    count: int = 3000
    zipf: float = 0.5
    networks: int = 50


@dataclass(frozen=True, slots=True)
class Sessions:
    """A first-order chain: `first[e]` begins a session, `then[e][f]` follows e; what `then[e]` lacks to 1 ends it."""

    first: tuple[float, ...]
    then: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Relative rates, mean 1: of the 24 hours of a day (UTC) and the 7 days from Monday on. Used where history is filled."""

    hours: tuple[float, ...] = (1.0,) * 24
    days: tuple[float, ...] = (1.0,) * 7

    def factor(self, at_us: int) -> float:
        """Of the rate at an instant (microseconds since 1970, a Thursday)."""
        hour = at_us // 3_600_000_000
        return self.hours[hour % 24] * self.days[(hour // 24 + 3) % 7]


@dataclass(frozen=True, slots=True)
class Profile:
    """`endpoints`: at least one; their shares add up to 1. `sessions`: None if each request stands for itself."""

    name: str
    endpoints: tuple[Endpoint, ...]
    addresses: Addresses = Addresses()
    sessions: Sessions | None = None
    arrivals: Arrivals = Arrivals()
    source: str = ""

    def place(self, path: str) -> int | None:
        """Of the endpoint with this path."""
        return next((n for n, endpoint in enumerate(self.endpoints) if endpoint.path == path), None)

    def mix(self) -> Any:
        """Shares of the endpoints as they come out: those of the chain in the long run, where there is one."""
        shares = np.array([endpoint.share for endpoint in self.endpoints])
        if self.sessions is None:
            return shares / shares.sum()
        first, then = np.array(self.sessions.first), np.array(self.sessions.then)
        ends = np.clip(1 - then.sum(axis=1), 0, 1)
        step = then + np.outer(ends, first)
        mix = shares / shares.sum()
        for _ in range(500):
            mix = 0.5 * mix + 0.5 * (mix @ step)
        return mix / mix.sum()
