"""What goes wrong in the demo's traffic, and when: a function of the seconds since it began.

Every five minutes, with quiet in between: logins become slow, profiles fail, one network tries passwords.
"""

from __future__ import annotations

from dataclasses import dataclass

CYCLE_S = 300.0


@dataclass(frozen=True, slots=True)
class Incident:
    """Seconds within the cycle; it swells and fades over `ramp_s`."""

    name: str
    title: str
    from_s: float
    to_s: float
    ramp_s: float = 6.0

    def intensity(self, elapsed_s: float) -> float:
        """0 (absent) to 1."""
        at_s = elapsed_s % CYCLE_S
        if not self.from_s < at_s < self.to_s:
            return 0.0
        return min(1.0, (at_s - self.from_s) / self.ramp_s, (self.to_s - at_s) / self.ramp_s)


SLOW_LOGIN = Incident("slow_login", "/login is slow: its database waits for locks", 30.0, 80.0)
FAILING_PROFILE = Incident("failing_profile", "/profile answers 503: its connection pool is exhausted", 130.0, 175.0)
ONE_NETWORK = Incident("one_network", "203.0.113.0/24 tries passwords at /login", 225.0, 260.0)
INCIDENTS = (SLOW_LOGIN, FAILING_PROFILE, ONE_NETWORK)


def current(elapsed_s: float) -> Incident | None:
    """The incident that is on; they do not overlap."""
    return next((i for i in INCIDENTS if i.intensity(elapsed_s) > 0), None)
