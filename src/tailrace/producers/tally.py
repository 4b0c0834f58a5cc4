"""What became of the lines that a sink was given: counted in one place, read from any thread."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass, replace

ACK_SAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """Lines, but for `posts` and `retries`. `sent` = `acked` + `failed` + those still on the way.

    `failed`: refused for good, or not acknowledged when the sink was closed. `ack_p50_ms`, `ack_p99_ms`: of the newest 2,000
    posts, from the first attempt to the answer; None before the first. `problem`: the newest reason for a retry or a refusal.
    """

    sent: int = 0
    acked: int = 0
    dead_lettered: int = 0
    deduplicated: int = 0
    failed: int = 0
    posts: int = 0
    retries: int = 0
    ack_p50_ms: float | None = None
    ack_p99_ms: float | None = None
    problem: str = ""


class Tally:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = SinkCounts()
        self._ack_ms: deque[float] = deque(maxlen=ACK_SAMPLES)
        self._ack_steps: Counter[int] = Counter()

    def sent(self, lines: int) -> None:
        with self._lock:
            self._counts = replace(self._counts, sent=self._counts.sent + lines)

    def acked(self, lines: int, dead_lettered: int, deduplicated: int, ack_ms: float) -> None:
        with self._lock:
            now = self._counts
            self._counts = replace(
                now,
                acked=now.acked + lines,
                dead_lettered=now.dead_lettered + dead_lettered,
                deduplicated=now.deduplicated + deduplicated,
                posts=now.posts + 1,
            )
            self._ack_ms.append(ack_ms)
            self._ack_steps[ack_step(ack_ms)] += 1

    def retried(self, problem: str) -> None:
        with self._lock:
            self._counts = replace(self._counts, retries=self._counts.retries + 1, problem=problem)

    def failed(self, lines: int, problem: str) -> None:
        with self._lock:
            self._counts = replace(self._counts, failed=self._counts.failed + lines, problem=problem)

    def ack_times(self) -> dict[int, int]:
        """Posts by the step of their acknowledgement, all since the start: what several tallies have is added up."""
        with self._lock:
            return dict(self._ack_steps)

    def counts(self) -> SinkCounts:
        with self._lock:
            counts, sample = self._counts, sorted(self._ack_ms)
        if not sample:
            return counts
        return replace(counts, ack_p50_ms=_quantile(sample, 0.5), ack_p99_ms=_quantile(sample, 0.99))


def ack_step(ack_ms: float) -> int:
    """Steps of 5 %."""
    return math.ceil(math.log(max(ack_ms, 0.01)) / _STEP)


def ack_quantile_ms(steps: Counter[int], share: float) -> float | None:
    """Within 5 % of the time that `share` of the posts did not exceed."""
    left = share * steps.total()
    for step in sorted(steps):
        left -= steps[step]
        if left <= 0:
            return math.exp(step * _STEP)
    return None


_STEP = math.log(1.05)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
