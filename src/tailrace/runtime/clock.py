"""Clocks. Pure code takes times as integers; only the edges ask a clock."""

from __future__ import annotations

import time
from typing import Protocol

from tailrace.runtime.clock_steps import steps_of_environment

_STEPS = steps_of_environment()


class Clock(Protocol):
    """`now_us`: wall time, microseconds since 1970 UTC; may step. `monotonic_s`: never steps; for intervals only."""

    def now_us(self) -> int: ...
    def monotonic_s(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks; the wall clock with the steps of a test, where one has set them."""

    def now_us(self) -> int:
        return wall_us(time.time_ns() // 1000)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def wall_us(real_us: int) -> int:
    """What the wall clock showed when the machine's own said `real_us`: the same, but for the steps of a test."""
    return real_us if _STEPS is None else real_us + _STEPS.offset_us(real_us)


def real_us(wall_now_us: int) -> int:
    """What the machine's own clock says while the wall clock shows `wall_now_us`."""
    return wall_now_us if _STEPS is None else wall_now_us - _STEPS.offset_us(time.time_ns() // 1000)


class ManualClock:
    """A clock that a test moves by hand; `sleep` moves it."""

    def __init__(self, now_us: int = 1_800_000_000_000_000) -> None:
        self._now_us = now_us
        self._monotonic_s = 0.0

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now_us += round(seconds * 1e6)
        self._monotonic_s += seconds

    def step(self, seconds: float) -> None:
        """Step the wall clock only, as NTP or an operator does."""
        self._now_us += round(seconds * 1e6)
