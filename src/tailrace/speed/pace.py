"""How long the speed layer waits between two steps: a pure rule."""

from __future__ import annotations

BUSY_SHARE_MAX = 0.2
"""Largest share of one core that stepping may take; under load fewer, larger micro-batches cost less a record."""


UNWATCHED_POLL_S = 0.25
"""The poll interval while nobody looks: waking up costs more than finding nothing, and whoever comes to look wakes the layer."""


def pause_s(step_s: float, poll_s: float, *, behind: bool = False, watched: bool = True) -> float:
    """Seconds to wait after a step that took `step_s`: the poll interval, or longer so that the share holds (at most 0.5 s).

    `behind`: the step did not reach the end of the stream. Then none: a share that is held while behind is never caught up.
    `watched`: somebody looks at what the layer finds.
    """
    if behind:
        return 0.0
    poll_s = poll_s if watched else max(poll_s, UNWATCHED_POLL_S)
    return max(poll_s, min(step_s * (1 / BUSY_SHARE_MAX - 1), 0.5))
