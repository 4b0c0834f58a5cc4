"""A test door: steps of the wall clock, shared by all processes of a node through a file that a test writes.

Where the environment variable TAILRACE_TEST_CLOCK_STEPS names a file, the wall clock is the machine's plus the offset of the last
line whose time has come. A line: the machine's time from which on it holds, and the offset, both in microseconds. Without the
variable nothing is read. The monotonic clock never steps.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path

VARIABLE = "TAILRACE_TEST_CLOCK_STEPS"


class ClockSteps:
    """The steps in a file, which may not be there yet. Read again whenever it has been replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[tuple[int, int] | None, list[int], list[int]] = (None, [], [])

    def offset_us(self, at_us: int) -> int:
        """How far the wall clock was ahead when the machine's said `at_us`. Thread-safe."""
        stamp = self._stamp()
        if stamp != self._known[0]:
            steps = read_steps(self._path)
            self._known = (stamp, [at for at, _ in steps], [offset for _, offset in steps])
        _, times, offsets = self._known
        index = bisect_right(times, at_us) - 1
        return offsets[index] if index >= 0 else 0

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns


def read_steps(path: Path) -> list[tuple[int, int]]:
    """(machine's time, offset), in the order of time; empty if there is no file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [(int(at), int(offset)) for at, offset in (line.split() for line in lines)]


def write_step(path: Path, at_us: int, offset_us: int) -> None:
    """From the machine's time `at_us` on, later than all before it, the wall clock is ahead by `offset_us`."""
    steps = [*read_steps(path), (at_us, offset_us)]
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text("".join(f"{at} {offset}\n" for at, offset in steps))
    fresh.replace(path)


def steps_of_environment() -> ClockSteps | None:
    path = os.environ.get(VARIABLE)
    return ClockSteps(Path(path)) if path else None
