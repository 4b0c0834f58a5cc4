"""The requests of one slot while they are being made: columns that the events of a run change in place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

FINE, MALFORMED, NO_TIMESTAMP, BAD_TIMESTAMP, NOT_AN_OBJECT = range(5)
POISONS = ("", "malformed", "no_timestamp", "bad_timestamp", "not_an_object")
"""What the node calls each kind of line that cannot be read."""

_WHOLE = ("at_us", "endpoint", "status", "response_us", "address", "user", "poison")


@dataclass(slots=True)
class Draft:
    """n requests: numpy arrays, int64 but for the masks. `at_us`: event time. `endpoint`: place in the profile. `address`: rank in the
    population, or among the attackers where `hostile`. `poison`: a place in POISONS.
    """

    slot: int
    at_us: Any
    endpoint: Any
    status: Any
    response_us: Any
    address: Any
    user: Any
    hostile: Any
    poison: Any

    @classmethod
    def empty(cls, n: int, slot: int) -> Self:
        whole = {name: np.zeros(n, np.int64) for name in _WHOLE}
        return cls(slot=slot, hostile=np.zeros(n, bool), **whole)

    def __len__(self) -> int:
        return len(self.at_us)

    def part(self, first: int, end: int) -> Draft:
        """Requests `first` up to, not including, `end`."""
        columns = (getattr(self, column.name)[first:end] for column in fields(self) if column.name != "slot")
        return Draft(self.slot, *columns)
