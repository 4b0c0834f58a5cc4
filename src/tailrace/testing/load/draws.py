"""Numbers that look like chance and follow from where they stand: no generator has to be carried on. Pure.

Source: SplitMix64, as in Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def mixed(value: int) -> int:
    """A whole number of 64 bits from another."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def seeded(*parts: int) -> int:
    """One number from several, whose order matters."""
    state = 0
    for part in parts:
        state = mixed((state + _GOLDEN + part) & _MASK)
    return state


def draws(state: int, count: int) -> Any:
    """uint64 of shape (count,)."""
    values = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
