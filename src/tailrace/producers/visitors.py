"""Who asks for what, one after another: visitors that go through a profile's first-order chain, without any state carried along.

The requests of a slot belong to visitors who come again 50 slots (five seconds) later. A visitor's requests are cut into blocks of
16; what the n-th of a block asks for is found by going through the block from its beginning, whose draws follow from (seed, visitor,
block, step). So any slot can be made by any process. A visit ends where the chain ends it, and at the end of a block: visits are a little
shorter than the chain has them. A block begins with the chain's mix in the long run, so that the mix is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tailrace.producers.chance import hashed, mixed, uniform
from tailrace.producers.profile.model import Profile

THINK_SLOTS = 50
BLOCK = 16
_LOWER = np.uint64(0xFFFFFFFF)
_STEPS = np.arange(1, BLOCK + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


class Visitors:
    """`endpoints_and_visits` of a slot. Without sessions in the profile, each request is a visit of its own."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._seed = seed
        self._mix = _ends(np.array([profile.mix()]))
        self._sessions = profile.sessions is not None
        if profile.sessions is not None:
            then = np.array(profile.sessions.then)
            total = then.sum(axis=1)
            self._goes_on = (total * 2.0**32).astype(np.uint64)
            # A row that always ends is never drawn from, but it must be one.
            rows = np.where(total[:, None] > 0, then, 1.0)
            self._next = _ends(np.vstack([rows, profile.sessions.first]))
            self._fresh = len(rows)

    def endpoints_and_visits(self, slot: int, n: int) -> tuple[Any, Any]:
        """(place in the profile, a uint64 that all requests of one visit share), n each."""
        visitor = np.arange(n, dtype=np.int64) * THINK_SLOTS + slot % THINK_SLOTS
        if not self._sessions:
            draws = hashed(self._seed, visitor, np.int64(slot))
            return _pick(self._mix, np.zeros(n, np.int64), uniform(draws)), draws
        turn = slot // THINK_SLOTS + visitor % BLOCK
        block, steps = turn // BLOCK, turn % BLOCK
        base = hashed(self._seed, visitor, block)
        endpoint = _pick(self._mix, np.zeros(n, np.int64), uniform(base))
        visit = base
        for step in range(1, BLOCK):
            on = np.flatnonzero(steps >= step)
            draws = mixed(base[on] + _STEPS[step])
            here = endpoint[on]
            # The lower half of a draw says whether the visit goes on, the upper one where to.
            ends = (draws & _LOWER) >= self._goes_on[here]
            endpoint[on] = _pick(self._next, np.where(ends, self._fresh, here), uniform(draws))
            visit[on] = np.where(ends, draws, visit[on])
        return endpoint, visit


def _ends(rows: Any) -> tuple[Any, Any]:
    """Cumulative shares of all rows as one ascending array, row r raised by r; and where each row begins."""
    ends = np.cumsum(rows, axis=1)
    ends = ends / ends[:, -1:]
    ends[:, -1] = 1.0
    return (ends + np.arange(len(rows))[:, None]).ravel(), np.arange(len(rows)) * rows.shape[1]


def _pick(table: tuple[Any, Any], row: Any, share: Any) -> Any:
    """A place in each `row`, by a uniform number."""
    ends, begins = table
    return np.searchsorted(ends, row + share, side="right") - begins[row]


def zipf_ends(count: int, exponent: float) -> Any:
    """Cumulative popularity of ranks 1 to `count`, up to 1."""
    ends = np.cumsum(np.arange(1, count + 1, dtype=np.float64) ** -exponent)
    return ends / ends[-1]
