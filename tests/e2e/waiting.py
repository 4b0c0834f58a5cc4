"""Ask until it is so, or fail with what was last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tailrace.errors import Unavailable
from tailrace.testing.node import RunningNode


def until(holds: Callable[[], bool], seen: Callable[[], Any], seconds: float = 120.0) -> None:
    """A node that is just coming up (no connection, 503) counts as no."""
    deadline_s = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (OSError, Unavailable) as error:
            last: Any = error
        else:
            last = None
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not so after {seconds:.0f} s: {last or seen()}")
        time.sleep(0.1)


def until_covered(node: RunningNode) -> dict[str, Any]:
    """Until the lake and the frontier hold everything that the stream has stored; returns `/v1/pipeline` of that moment."""

    def covered() -> bool:
        state = node.pipeline()
        return is_covered(state)

    until(covered, node.pipeline)
    return node.pipeline()


def is_covered(state: dict[str, Any]) -> bool:
    lags = [shard["batch_lag_lines"] or shard["speed_lag_lines"] for shard in state["shards"]]
    return not any(lags) and bool(state["lake"]["rows"] == state["ledger"]["stored"] == state["ledger"]["batch"])


def count_of(node: RunningNode, view: str = "overall_health", **params: object) -> int:
    """Records that a view counts, all windows together."""
    answer = node.view(view, total="true", **params)
    return sum(row[answer["columns"].index("requests")] for row in answer["rows"])
