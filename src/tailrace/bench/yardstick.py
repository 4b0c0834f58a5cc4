"""How fast this machine is just now: a fixed computation, so that figures taken at different times can be told apart.

A virtual machine shares caches and memory with its neighbours: the same work may cost half as much CPU time again.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

_BYTES = 2_000_000
_REPEATS = 7


def yardstick_ms() -> float:
    """Median CPU milliseconds of the computation: passes of numpy over 2 MB, copies of it, a loop of Python."""
    return statistics.median(_once() for _ in range(_REPEATS))


def _once() -> float:
    text = np.full(_BYTES, 65, np.uint8)
    text[::6] = 34
    copy = text.copy()
    started_s = time.process_time()
    for _ in range(20):
        np.flatnonzero(text == 34)
    for _ in range(40):
        copy[:] = text
    seen: dict[int, int] = {}
    for number in range(200_000):
        seen[number & 1023] = number
    return 1000 * (time.process_time() - started_s)
