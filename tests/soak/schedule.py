"""What is done to the node, and when: from a seed, spread evenly over the time. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

HOUR_S = 3600
DECK = ("ingest",) * 3 + ("node",) * 3 + ("batch",) * 3 + ("query", "supervisor", "all")
"""Kills are dealt from this, shuffled anew each time it is empty."""
RESHARD_EVERY_S = 30.0
DISK_FULL_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """At `at_s` seconds. `kind`: kill, clock, disk or reshard. `role`: whom a kill hits. `amount`: of a clock the offset that it
    then has, of a disk how long it stays full (seconds); of a reshard a number in [0, 1) to choose by.
    """

    at_s: float
    kind: str
    role: str = ""
    amount: float = 0.0


def schedule(seed: int, seconds: float, kills: int) -> list[Fault]:
    """In the order of time, all within 3 % and 97 % of it."""
    chance = random.Random(seed)
    faults = [*_kills(chance, seconds, kills), *_reshards(chance, seconds), *_clock(seconds), _disk(seconds)]
    return sorted(faults, key=lambda fault: fault.at_s)


def _spread(chance: random.Random, seconds: float, count: int) -> Iterator[float]:
    """One time in each of `count` equal parts."""
    each_s = seconds * 0.94 / max(count, 1)
    return (seconds * 0.03 + each_s * (place + chance.random()) for place in range(count))


def _kills(chance: random.Random, seconds: float, count: int) -> Iterator[Fault]:
    deck: list[str] = []
    for at_s in _spread(chance, seconds, count):
        if not deck:
            deck = chance.sample(DECK, len(DECK))
        yield Fault(at_s, "kill", deck.pop())


def _reshards(chance: random.Random, seconds: float) -> Iterator[Fault]:
    count = max(2, int(seconds / RESHARD_EVERY_S))
    return (Fault(at_s, "reshard", amount=chance.random()) for at_s in _spread(chance, seconds, count))


def _clock(seconds: float) -> list[Fault]:
    """An hour on, back, another back, on again."""
    offsets = {0.2: HOUR_S, 0.4: 0, 0.6: -HOUR_S, 0.8: 0}
    return [Fault(seconds * share, "clock", amount=offset) for share, offset in offsets.items()]


def _disk(seconds: float) -> Fault:
    return Fault(seconds * 0.5, "disk", amount=min(DISK_FULL_S, seconds / 10))
