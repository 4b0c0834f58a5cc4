"""How long the speed layer waits between two steps: a pure rule."""

from __future__ import annotations

BUSY_SHARE_MAX = 0.2
"""Largest share of one core that stepping may take; under load fewer, larger micro-batches cost less a record."""


def pause_s(step_s: float, poll_s: float, *, behind: bool = False) -> float:
    """Seconds to wait after a step that took `step_s`: the poll interval, or longer so that the share holds (at most 0.5 s).

    `behind`: the step did not reach the end of the stream. Then none: a share that is held while behind is never caught up.
    """
    if behind:
        return 0.0
    return min(max(poll_s, step_s * (1 / BUSY_SHARE_MAX - 1)), 0.5)
