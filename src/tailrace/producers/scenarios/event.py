"""An event: a scenario with its parameters, in a stretch of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RAMP_SHARE = 0.2
"""Of an event's length: how long a ramp is at most, so that a short one still reaches its full strength."""


@dataclass(frozen=True, slots=True)
class Event:
    """Seconds of event time since the start of the run. `endpoints`: places in the profile of those that it strikes; empty: all or none.

    `title`: what is going on, for people.
    """

    scenario: str
    from_s: float
    to_s: float
    endpoints: tuple[int, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)
    title: str = ""

    def intensity(self, elapsed_s: float) -> float:
        """0 (absent) to 1; it swells and fades over its parameter `ramp`, where it has one."""
        if not self.from_s <= elapsed_s < self.to_s:
            return 0.0
        ramp_s = min(self.parameters.get("ramp", 0.0), (self.to_s - self.from_s) * RAMP_SHARE)
        if ramp_s <= 0:
            return 1.0
        return min(1.0, (elapsed_s - self.from_s) / ramp_s, (self.to_s - elapsed_s) / ramp_s)
