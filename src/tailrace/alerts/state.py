"""The states of an alert: ok, pending, firing, recovering. Pure: the same windows always lead to the same states.

    ok --breached--> pending --breached for `for`--> firing --clear--> recovering --clear for `keep_firing_for`--> ok
                        |                              ^                   |
                        +--clear--> ok                 +-----breached------+

A window is judged once, in the order of time. One that cannot be judged (None) changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

FLAP_HALF_LIFE_US = 900_000_000
FLAPPING = 4.0
"""So many changes between breached and clear, each counting half after a half-life, and an alert is said to flap."""


class Status(StrEnum):
    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a breach must last before it fires, and how long it must be gone before it is over. Microseconds."""

    for_us: int = 0
    keep_firing_us: int = 0


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a rule, for one key. Times are ends of windows.

    `since_us`: of this status. `fired_us`: since when it fires, also while it recovers; None before. `value`, `baseline`: of the last
    window that was judged, None where there was no number. `flaps`: changes of the condition, decayed to `flaps_us`.
    """

    status: Status = Status.OK
    since_us: int = 0
    fired_us: int | None = None
    at_us: int = 0
    breached: bool = False
    value: float | None = None
    baseline: float | None = None
    flaps: float = 0.0
    flaps_us: int = 0

    def flap_score(self, at_us: int) -> float:
        faded: float = 0.5 ** (max(0, at_us - self.flaps_us) / FLAP_HALF_LIFE_US)
        return self.flaps * faded

    @property
    def is_active(self) -> bool:
        return self.status is not Status.OK


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """From one status to another, at the end of a window."""

    at_us: int
    before: Status
    after: Status
    value: float | None = None
    fired_us: int | None = None


IDLE = Instance()


def advance(
    instance: Instance,
    timing: Timing,
    at_us: int,
    breached: bool | None,
    value: float | None = None,
    baseline: float | None = None,
) -> tuple[Instance, list[Change]]:
    """After the window that ends at `at_us`; one that was judged before, or is older, changes nothing."""
    if breached is None or at_us <= instance.at_us:
        return instance, []
    before = instance
    flaps, flaps_us = before.flaps, before.flaps_us
    if breached != before.breached:
        flaps, flaps_us = before.flap_score(at_us) + 1.0, at_us
    changes: list[Change] = []
    status, since_us, fired_us = before.status, before.since_us, before.fired_us
    for after in _path(before, timing, at_us, breached):
        fired_us = at_us if after is Status.FIRING and status is not Status.RECOVERING else fired_us
        changes.append(Change(at_us=at_us, before=status, after=after, value=value, fired_us=fired_us))
        status, since_us = after, at_us
        if after is Status.OK:
            fired_us = None
    return (
        Instance(
            status=status,
            since_us=since_us,
            fired_us=fired_us,
            at_us=at_us,
            breached=breached,
            value=value,
            baseline=baseline,
            flaps=flaps,
            flaps_us=flaps_us,
        ),
        changes,
    )


def _path(before: Instance, timing: Timing, at_us: int, breached: bool) -> list[Status]:
    """The statuses that it comes to in this window, in their order."""
    lasted_us = at_us - before.since_us
    match before.status:
        case Status.OK if breached:
            return [Status.PENDING] if timing.for_us > 0 else [Status.FIRING]
        case Status.PENDING if not breached:
            return [Status.OK]
        case Status.PENDING if lasted_us >= timing.for_us:
            return [Status.FIRING]
        case Status.FIRING if not breached:
            return [Status.RECOVERING] if timing.keep_firing_us > 0 else [Status.OK]
        case Status.RECOVERING if breached:
            return [Status.FIRING]
        case Status.RECOVERING if lasted_us >= timing.keep_firing_us:
            return [Status.OK]
    return []
