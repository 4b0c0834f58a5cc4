"""How long to wait before sending again: a pure rule, so that tests need no patience."""

from __future__ import annotations

import zlib

FIRST_S = 0.05
LONGEST_S = 5.0


def backoff_s(attempt: int, salt: str, retry_after_s: float | None = None) -> float:
    """Seconds before attempt `attempt` + 1 (the first failure is attempt 1): doubled each time, then 50 to 100 % of that.

    The share follows from `salt` (who waits for what), so that a crowd of producers does not come back at one moment, and needs no
    chance. A server's `retry_after_s` is a lower bound.
    """
    longest = min(LONGEST_S, FIRST_S * 2 ** min(attempt - 1, 20))
    share = 0.5 + zlib.crc32(f"{salt}/{attempt}".encode()) / (2 << 32)
    wait_s: float = max(longest * share, min(retry_after_s or 0.0, 60.0) * (0.75 + share / 2))
    return wait_s
