"""Distributions fitted to what was seen: response times, popularity. Pure; the fit says how good it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailrace.producers.profile.model import Times, normal_quantile

BODY = (0.05, 0.95)
"""Shares between which the body is fitted; beyond, a tail."""
TAIL_FROM = 0.95
KS_MAX = 0.05
"""A formula that is further off than this, and further than chance explains, is replaced by quantiles."""
_TAIL_LONGER = 1.15
_POINTS = (0.0, 0.01, *(n / 20 for n in range(1, 20)), 0.98, 0.99, 0.995, 0.999, 1.0)
_LEAST_MS = 0.001
_GRID = np.arange(1, 2000) / 2000


def fit_times(milliseconds: Any) -> Times:
    """Of at least two values, in milliseconds: lognormal body by regression on its quantiles, Pareto tail by Hill's estimator where the
    body's own is too short. Whole numbers are taken for rounded ones.

    Source: Hill, *A simple general approach to inference about the tail of a distribution*, 1975.
    """
    values = spread(np.sort(np.maximum(np.asarray(milliseconds, np.float64), _LEAST_MS)))
    shares = np.arange(int(BODY[0] * 100), int(BODY[1] * 100) + 1) / 100
    z, logs = normal_quantile(shares), np.log(np.quantile(values, shares))
    sigma, middle = (float(value) for value in np.polyfit(z, logs, 1))
    body = Times(median_ms=float(np.exp(middle)), sigma=max(sigma, 0.0), max_ms=float(values[-1]))
    candidates = [body]
    start, beyond = float(np.quantile(values, TAIL_FROM)), values[values > np.quantile(values, TAIL_FROM)]
    if len(beyond) >= 10 and np.quantile(values, 0.99) > _TAIL_LONGER * float(body.quantile_ms(np.array([0.99]))[0]):
        alpha = 1 / max(float(np.mean(np.log(beyond / start))), 1e-3)
        candidates.append(Times(body.median_ms, body.sigma, TAIL_FROM, min(alpha, 1000.0), float(values[-1])))
    fitted = candidates[-1]
    distance = ks(values, fitted)
    if distance <= max(KS_MAX, 1.36 / np.sqrt(len(values))):
        return _rounded(fitted, distance)
    at = np.quantile(values, _POINTS)
    points = tuple((share, round(float(ms), 4)) for share, ms in zip(_POINTS, np.maximum.accumulate(at), strict=True))
    return Times(round(fitted.median_ms, 4), round(fitted.sigma, 4), points=points, ks=round(distance, 4))


def _rounded(times: Times, distance: float) -> Times:
    return Times(
        median_ms=round(times.median_ms, 4),
        sigma=round(times.sigma, 4),
        tail_from=times.tail_from,
        tail_alpha=round(times.tail_alpha, 3),
        max_ms=round(times.max_ms, 3),
        ks=round(distance, 4),
    )


def spread(ordered: Any) -> Any:
    """Whole numbers, ascending, as if each had been rounded: those that are equal lie evenly around it. Others as they are."""
    if len(ordered) == 0 or not np.array_equal(ordered, np.round(ordered)):
        return ordered
    values, first, counts = np.unique(ordered, return_index=True, return_counts=True)
    place = np.arange(len(ordered)) - np.repeat(first, counts)
    shift = (place + 0.5) / np.repeat(counts, counts) - 0.5
    del values
    return np.maximum(ordered + shift, _LEAST_MS)


def ks(ordered: Any, times: Times) -> float:
    """The largest difference between the shares of values and of the formula that lie below a time."""
    at = times.quantile_ms(_GRID)
    below = np.searchsorted(ordered, at, side="right") / len(ordered)
    return float(np.abs(below - _GRID).max())


def ks_of_two(one: Any, other: Any) -> float:
    """Of two samples."""
    one, other = np.sort(one), np.sort(other)
    at = np.concatenate([one, other])
    return float(
        np.abs(
            np.searchsorted(one, at, side="right") / len(one) - np.searchsorted(other, at, side="right") / len(other)
        ).max()
    )


def fit_zipf(counts: Any) -> float:
    """The exponent under which visits of these sizes are likeliest; 0 if all are alike.

    Source: Clauset, Shalizi, Newman, *Power-law distributions in empirical data*, 2009 (maximum likelihood for ranks).
    """
    ordered = np.sort(np.asarray(counts, np.float64))[::-1]
    logs = np.log(np.arange(1, len(ordered) + 1))
    total, weighted = ordered.sum(), float((ordered * logs).sum())

    def cost(exponent: float) -> float:
        return exponent * weighted + float(total * np.log(np.exp(-exponent * logs).sum()))

    low, high = 0.0, 4.0
    for _ in range(60):
        third = (high - low) / 3
        if cost(low + third) < cost(high - third):
            high -= third
        else:
            low += third
    return round((low + high) / 2, 3)
