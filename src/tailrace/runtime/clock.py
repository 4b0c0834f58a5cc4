"""Clocks. Pure code takes times as integers; only the edges ask a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """`now_us`: wall time, microseconds since 1970 UTC; may step. `monotonic_s`: never steps; for intervals only."""

    def now_us(self) -> int: ...
    def monotonic_s(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


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
