"""Chance that follows from where it stands: a seed and coordinates give the same draws in any order and in any process. Pure.

Sources: Salmon and others, *Parallel random numbers: as easy as 1, 2, 3*, 2011 (Philox); Steele, Lea, Flood, *Fast splittable
pseudorandom number generators*, 2014 (SplitMix64).
"""

from __future__ import annotations

from typing import Any

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def generator(seed: int, slot: int, stream: int = 0) -> np.random.Generator:
    """For one slot; `stream` tells several uses of the same slot apart, so that one more changes nothing in the others."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, slot], np.uint64), counter=[0, 0, 0, stream]))


def mixed(values: Any) -> Any:
    """A bijection of uint64 arrays whose results look like chance."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def hashed(seed: int, *parts: Any) -> Any:
    """uint64 from arrays of whole numbers, whose order matters."""
    with np.errstate(over="ignore"):
        state = mixed(np.atleast_1d(np.uint64(seed) + _GOLDEN))
        for part in parts:
            state = mixed(state + _GOLDEN + np.asarray(part).astype(np.uint64))
    return state


def uniform(draws: Any) -> Any:
    """float64 in [0, 1), from uint64."""
    return (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53
