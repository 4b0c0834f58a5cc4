"""Made-up traffic: a pure function of (seed, profile, timeline, slot), so that any process can make any slot, in any order.

Time is cut into slots of 100 ms. How many requests a slot holds follows from the rate and the events alone, so that where neither
changes, totals are known before anything is sent: rate x seconds, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailrace.producers import effects
from tailrace.producers.addresses import ATTACKERS
from tailrace.producers.chance import generator, uniform
from tailrace.producers.draft import Draft
from tailrace.producers.profile.model import TABLE_STEPS, Profile
from tailrace.producers.scenarios.timeline import Timeline
from tailrace.producers.visitors import Visitors, zipf_ends

SLOT_US = 100_000
_USERS = (1_000, 60_000)
_EXTRA_STATUSES = (401, 429, 500, 502, 503)
_ROUNDING, _EFFECTS, _AGAIN = 1, 1_000, 1_000_000
"""Streams of a slot's chance: for the number of its requests, for event n, for whether post n is sent again."""


@dataclass(frozen=True, slots=True)
class Times:
    """How slots lie in time: slot 0 happens at `start_us` of the wall clock; its first request is of `event_us`, and event time goes
    `speed` times as fast from there."""

    start_us: int
    event_us: int
    speed: float = 1.0

    def due_us(self, slot: int) -> int:
        """Wall time at which the newest request of a slot has happened."""
        return self.start_us + (slot + 1) * SLOT_US

    def elapsed_s(self, slot: int) -> float:
        """Seconds of event time from the start of the run to a slot's beginning; events are told in these."""
        return slot * SLOT_US * self.speed / 1e6

    def slot_event_us(self, slot: int) -> int:
        """Event time of a slot's beginning."""
        return self.event_us + round(slot * SLOT_US * self.speed)


class Traffic:
    """`shaped`: the rate follows the profile's day and week in event time."""

    def __init__(self, profile: Profile, timeline: Timeline, *, seed: int, times: Times, shaped: bool = False) -> None:
        self.profile = profile
        self.timeline = timeline
        self.times = times
        self.statuses = status_codes(profile)
        self._seed = seed
        self._shaped = shaped
        self._visitors = Visitors(profile, seed)
        self._popular = zipf_ends(profile.addresses.count, profile.addresses.zipf)
        self._status_ends = _status_ends(profile, self.statuses)
        self._times_us = np.array([endpoint.times.table_us() for endpoint in profile.endpoints])

    def lines_in(self, slot: int) -> int:
        """Requests of the profile and those of an attack."""
        return self._normal_in(slot) + self._hostile_in(slot)

    def lines_before(self, slot: int) -> int:
        """Requests of all slots from 0 up to, not including, `slot`."""
        return sum(self.lines_in(n) for n in range(slot))

    def requests(self, slot: int) -> Draft:
        """Those of one slot, in order of time but for late ones."""
        chance = generator(self._seed, slot)
        normal, hostile = self._normal_in(slot), self._hostile_in(slot)
        n = normal + hostile
        draft = Draft.empty(n, slot)
        begin_us = self.times.slot_event_us(slot)
        span_us = max(self.times.slot_event_us(slot + 1) - begin_us, 1)
        draft.at_us = begin_us + np.sort(chance.integers(0, span_us, n))
        order = chance.permutation(n)
        draft.hostile[order[normal:]] = True
        endpoint, visit = self._visitors.endpoints_and_visits(slot, normal)
        draft.endpoint[order[:normal]] = endpoint
        draft.address[order[:normal]] = np.searchsorted(self._popular, uniform(visit), side="right")
        draft.address[order[normal:]] = chance.integers(0, ATTACKERS, hostile)
        draft.user = chance.integers(*_USERS, n)
        active = self._active(slot)
        for number, event, _ in active:
            effects.aim(draft, event, generator(self._seed, slot, _EFFECTS + number))
        draft.status = self._draw_status(draft.endpoint, chance.random(n))
        draft.response_us = self._draw_times(draft.endpoint, chance.integers(0, TABLE_STEPS << 16, n))
        elapsed_s = self.timeline.within(self.times.elapsed_s(slot))
        for number, event, intensity in active:
            effects.apply(draft, event, intensity, elapsed_s, generator(self._seed, slot, _EFFECTS + number))
        return draft

    def is_sent_again(self, slot: int, part: int) -> bool:
        """Whether a post goes out a second time, under the same stamp."""
        again = [event.parameters["share"] for _, event, _ in self._active(slot) if event.scenario == "duplicates"]
        return bool(again) and bool(generator(self._seed, slot, _AGAIN + part).random() < max(again))

    def _active(self, slot: int) -> list[tuple[int, Any, float]]:
        return self.timeline.active(self.times.elapsed_s(slot))

    def _normal_in(self, slot: int) -> int:
        change = self.timeline.change_at(slot)
        factor = self._factor(slot)
        if factor == 1.0:
            return _whole(change.rate, slot + 1 - change.slot) - _whole(change.rate, slot - change.slot)
        # Rounded up or down by chance, so that the mean is right.
        return int(change.rate * factor * SLOT_US / 1e6 + generator(self._seed, slot, _ROUNDING).random())

    def _factor(self, slot: int) -> float:
        """Of the rate: what events and the time of the week make of it."""
        factor = self.profile.arrivals.factor(self.times.slot_event_us(slot)) if self._shaped else 1.0
        for _, event, intensity in self._active(slot):
            if event.scenario == "rush":
                factor *= 1 + (event.parameters["factor"] - 1) * intensity
        return factor

    def _hostile_in(self, slot: int) -> int:
        rate = self.timeline.change_at(slot).rate * SLOT_US / 1e6
        attacks = [(e, intensity) for _, e, intensity in self._active(slot) if e.scenario == "ddos"]
        return sum(round(rate * event.parameters["factor"] * intensity) for event, intensity in attacks)

    def _draw_status(self, endpoint: Any, share: Any) -> Any:
        place = np.searchsorted(self._status_ends, endpoint + share, side="right") - endpoint * len(self.statuses)
        return self.statuses[place]

    def _draw_times(self, endpoint: Any, draws: Any) -> Any:
        """Microseconds: between two neighbours of the endpoint's quantiles, in whole numbers."""
        step, rest = draws >> 16, draws & 0xFFFF
        low, high = self._times_us[endpoint, step], self._times_us[endpoint, step + 1]
        return low + ((high - low) * rest >> 16)


def slots_of(duration_us: int) -> int:
    return -(-duration_us // SLOT_US)


def share_of(slots: int, process: int, processes: int) -> Iterator[int]:
    """The slots that process `process` of `processes` makes: every n-th."""
    return iter(range(process, slots, processes))


def status_codes(profile: Profile) -> Any:
    """All that can occur, ascending (int64)."""
    known = {code for endpoint in profile.endpoints for code in endpoint.statuses}
    return np.array(sorted(known.union(_EXTRA_STATUSES)), np.int64)


def _status_ends(profile: Profile, codes: Any) -> Any:
    """Cumulative shares by endpoint and code, each endpoint's raised by its place."""
    shares = np.array([[each.statuses.get(int(code), 0.0) for code in codes] for each in profile.endpoints])
    ends = np.cumsum(shares, axis=1)
    ends /= ends[:, -1:]
    # A code after the last that occurs must not be drawn for want of a rounding.
    ends[ends > 1 - 1e-12] = 1.0
    return (ends + np.arange(len(ends))[:, None]).ravel()


def _whole(rate: float, slots: int) -> int:
    """Whole requests that a steady rate makes in so many slots."""
    return int(rate * slots * SLOT_US // 1_000_000)
