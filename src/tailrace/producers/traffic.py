"""Steady traffic of a small shop: four endpoints of three services, with incidents. A pure function of (seed, start, slot).

Time is cut into slots of 100 ms. A slot's requests come from a generator seeded with (seed, slot number), so that any slot can be
made again, in any order; how many it holds follows from the rate alone, so that totals are known before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tailrace.producers import incidents
from tailrace.producers.addresses import attackers, population, visits
from tailrace.producers.feed import Post
from tailrace.producers.lines import Requests, render
from tailrace.runtime.clock import Clock

SLOT_US = 100_000
LATE_US_MAX = 10_000_000
"""A machine that slept does not make up for it: traffic of a time that nobody watched is left out."""
BURST = 0.8
"""Requests that the attacking network adds, as a share of the normal rate."""

LOGIN, HOME, PROFILE, LOGOUT = range(4)
_SHARES = np.cumsum([0.22, 0.45, 0.25, 0.08])
_MEDIAN_MS = np.array([85.0, 22.0, 48.0, 15.0])
_SIGMA = np.array([0.45, 0.50, 0.55, 0.40])
# A uniform number below the first bound is the first status, and so on; the rest is the status of success.
_UNLUCKY: dict[int, tuple[tuple[float, int], ...]] = {
    LOGIN: ((0.035, 401), (0.037, 429), (0.038, 500)),
    HOME: ((0.010, 304), (0.014, 404), (0.0145, 500)),
    PROFILE: ((0.015, 404), (0.020, 403), (0.0215, 500)),
    LOGOUT: ((0.010, 401), (0.0105, 500)),
}
_SUCCESS = np.array([200, 200, 200, 302])


class Traffic:
    """`rate`: requests a second without bursts. `start_us`: wall time of slot 0."""

    def __init__(self, *, seed: int, rate: float, start_us: int) -> None:
        self._seed = seed
        self._rate = rate
        self._start_us = start_us
        self._population = population()
        self._attackers = attackers()

    def lines_in(self, slot: int) -> int:
        """Normal requests and those of a burst."""
        return self._normal_in(slot) + self._hostile_in(slot)

    def lines_before(self, slot: int) -> int:
        """Requests of all slots from 0 up to, not including, `slot`."""
        return _whole(self._rate, slot) + sum(self._hostile_in(n) for n in range(slot))

    def body(self, slot: int) -> memoryview:
        """The slot's requests as newline-ended JSON lines."""
        return render(self.requests(slot), self._population, self._attackers)

    def due_us(self, slot: int) -> int:
        return self._start_us + (slot + 1) * SLOT_US

    def requests(self, slot: int) -> Requests:
        chance = np.random.Generator(np.random.PCG64([self._seed, slot]))
        elapsed_s = slot * SLOT_US / 1e6
        normal, hostile = self._normal_in(slot), self._hostile_in(slot)
        n = normal + hostile
        is_hostile = np.zeros(n, dtype=bool)
        is_hostile[chance.permutation(n)[:hostile]] = True
        endpoint = np.searchsorted(_SHARES, chance.random(n) * _SHARES[-1], side="right")
        endpoint[is_hostile] = LOGIN
        address = np.where(
            is_hostile,
            visits(chance.random(n), len(self._attackers)),
            visits(chance.random(n), len(self._population)),
        )
        status, failed = _statuses(endpoint, is_hostile, chance.random(n), elapsed_s)
        return Requests(
            at_ms=(self._start_us + slot * SLOT_US + np.sort(chance.integers(0, SLOT_US, n))) // 1000,
            endpoint=endpoint,
            status=status,
            response_us=_responses(endpoint, failed, chance.standard_normal(n), elapsed_s),
            address=address,
            hostile=is_hostile,
            user=chance.integers(1_000, 60_000, n),
            trace=chance.integers(0, 1 << 64, n, dtype=np.uint64),
        )

    def _normal_in(self, slot: int) -> int:
        return _whole(self._rate, slot + 1) - _whole(self._rate, slot)

    def _hostile_in(self, slot: int) -> int:
        return round(self._normal_in(slot) * BURST * incidents.ONE_NETWORK.intensity(slot * SLOT_US / 1e6))


def posts(traffic: Traffic, clock: Clock, *, lines_max: int, slots: int | None = None) -> Iterator[Post]:
    """`slots` slots (None: without end), each cut into posts of at most `lines_max` lines.

    Without an end it follows the clock: after a pause of more than ten seconds it goes on with the present.
    """
    slot, skipped = 0, 0
    while slots is None or slot < slots:
        late_us = clock.now_us() - traffic.due_us(slot + skipped)
        if slots is None and late_us > LATE_US_MAX:
            skipped += late_us // SLOT_US
        count = traffic.lines_in(slot + skipped)
        if count:
            body = traffic.body(slot + skipped)
            yield from _cut(body, count, lines_max, traffic.due_us(slot + skipped))
        slot += 1


def _cut(body: memoryview, lines: int, lines_max: int, due_us: int) -> Iterator[Post]:
    if lines <= lines_max:
        yield Post(body, lines, due_us)
        return
    ends = np.flatnonzero(np.frombuffer(body, dtype=np.uint8) == ord("\n")) + 1
    for first in range(0, lines, lines_max):
        last = min(first + lines_max, lines)
        begin = int(ends[first - 1]) if first else 0
        yield Post(body[begin : int(ends[last - 1])], last - first, due_us)


def _whole(rate: float, slot: int) -> int:
    """Whole requests that a steady rate makes before `slot`."""
    return int(rate * slot * SLOT_US // 1_000_000)


def _statuses(endpoint: Any, hostile: Any, uniform: Any, elapsed_s: float) -> tuple[Any, Any]:
    """(status, whether the profile's pool refused it)."""
    status = _SUCCESS[endpoint]
    for index, bounds in _UNLUCKY.items():
        mine = endpoint == index
        edges = np.array([edge for edge, _ in bounds])
        codes = np.array([*(code for _, code in bounds), _SUCCESS[index]])
        status = np.where(mine, codes[np.searchsorted(edges, uniform, side="right")], status)
    status = np.where(hostile, np.where(uniform < 0.97, 401, 200), status)
    refused = (endpoint == PROFILE) & (uniform > 1 - 0.6 * incidents.FAILING_PROFILE.intensity(elapsed_s))
    return np.where(refused, 503, status), refused


def _responses(endpoint: Any, refused: Any, normal: Any, elapsed_s: float) -> Any:
    """Log-normal times in microseconds; a pool that refuses does so after its one second of waiting."""
    slow = 1 + 11 * incidents.SLOW_LOGIN.intensity(elapsed_s)
    median_ms = _MEDIAN_MS[endpoint] * np.where(endpoint == LOGIN, slow, 1.0)
    times = median_ms * np.exp(_SIGMA[endpoint] * normal) * 1000
    waited = 1_000_000 + np.abs(normal) * 4_000
    return np.where(refused, waited, times).astype(np.int64)
