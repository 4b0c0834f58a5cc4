"""Lines on their way from the application's threads to the one that sends them, bounded in bytes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

from tailrace.runtime.clock import Clock

WhenFull = Literal["block", "drop_oldest", "drop_newest"]
POLICIES: tuple[WhenFull, ...] = ("block", "drop_oldest", "drop_newest")


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to be sent as one post; `last`: how many lines were given to the buffer up to the last of them."""

    lines: list[bytes]
    last: int

    @property
    def size(self) -> int:
        return sum(map(len, self.lines)) + len(self.lines)


class Buffer:
    """Thread-safe. `bytes_max` bounds what waits and what is being sent together.

    `lock` is public for forks: it is held while a process is copied.
    """

    def __init__(self, bytes_max: int, batch_bytes: int, linger_s: float, when_full: WhenFull, clock: Clock) -> None:
        self._bytes_max, self._batch_bytes, self._linger_s = bytes_max, batch_bytes, linger_s
        self._when_full, self._clock = when_full, clock
        self.reset()

    def reset(self) -> None:
        """Forget everything: for the child of a fork, whose parent sends what was there."""
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._lines: deque[bytes] = deque()
        self._first_s = 0.0
        self._held = self._sending = 0
        self._given = self._settled = 0
        self._asked = 0
        self._closed = False

    def put(self, line: bytes, *, wait: bool, timeout_s: float | None = None) -> tuple[bool, int]:
        """(whether the line was taken, how many others were dropped for it). `wait`: where the policy is to block."""
        size = len(line) + 1
        deadline_s = None if timeout_s is None else self._clock.monotonic_s() + timeout_s
        with self._changed:
            if size > self._bytes_max:
                return False, 0
            dropped = self._make_room(size)
            while self._held + size > self._bytes_max and not self._closed:
                left_s = None if deadline_s is None else deadline_s - self._clock.monotonic_s()
                if not self.blocks or not wait or (left_s is not None and left_s <= 0):
                    return False, dropped
                self._changed.wait(left_s)
            if self._closed:
                return False, dropped
            if not self._lines:
                self._first_s = self._clock.monotonic_s()
            self._lines.append(line)
            self._held += size
            self._given += 1
            if len(self._lines) == 1 or self._held - self._sending >= self._batch_bytes:
                self._changed.notify_all()
            return True, dropped

    def _make_room(self, size: int) -> int:
        """Drop the oldest lines that are not being sent yet, where that is the policy."""
        dropped = 0
        while self._when_full == "drop_oldest" and self._lines and self._held + size > self._bytes_max:
            self._held -= len(self._lines.popleft()) + 1
            dropped += 1
        self._settled += dropped
        return dropped

    def take(self) -> Batch | None:
        """The next batch, once it is large or old enough, or asked for; None once closed and empty. For one thread."""
        with self._changed:
            while not self._is_due():
                if self._closed and not self._lines:
                    return None
                left_s = self._first_s + self._linger_s - self._clock.monotonic_s() if self._lines else None
                self._changed.wait(left_s)
            lines: list[bytes] = []
            size = 0
            while self._lines and (not lines or size + len(self._lines[0]) < self._batch_bytes):
                lines.append(self._lines.popleft())
                size += len(lines[-1]) + 1
            self._sending += size
            self._first_s = self._clock.monotonic_s()
            return Batch(lines, self._given - len(self._lines))

    def _is_due(self) -> bool:
        if not self._lines:
            return False
        old = self._clock.monotonic_s() - self._first_s >= self._linger_s
        return old or self._closed or self._asked > self._settled or self._held - self._sending >= self._batch_bytes

    def settle(self, batch: Batch) -> None:
        """It is acknowledged, or given up."""
        with self._changed:
            self._held -= batch.size
            self._sending -= batch.size
            self._settled += len(batch.lines)
            self._changed.notify_all()

    def wait_settled(self, timeout_s: float | None) -> bool:
        """Have everything that was put by now sent, and wait for it."""
        with self._changed:
            self._asked = max(self._asked, self._given)
            wanted = self._given
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._settled >= wanted, timeout_s)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def blocks(self) -> bool:
        """Whether `put` waits where there is no room."""
        return self._when_full == "block"

    @property
    def waiting(self) -> int:
        """Lines that are neither sent nor given up."""
        with self.lock:
            return self._given - self._settled
