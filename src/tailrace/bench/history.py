"""What a month of history costs to ask: views over 30 days, in as many points as a panel has, from the coarser windows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tailrace.bench.asking import Asked, Asker
from tailrace.bench.bench_node import Loader, fresh_node, wait_covered
from tailrace.testing.node import RunningNode

DAYS = 30
VIEW = "endpoint_health"
STILL_S = 6.0
"""Segments are taken to be merged when their number has not changed for so long."""


@dataclass(frozen=True, slots=True)
class History:
    """One node with `lines` lines of `endpoints` endpoints over 30 days."""

    lines: int
    endpoints: int
    asked: list[Asked]


def measure(lines: int, endpoints: int, parent: Path | None) -> History:
    with (
        fresh_node(parent) as node,
        Loader(node.port, lines=lines, days=DAYS, endpoints=endpoints, connections=2) as loader,
    ):
        loader.begin()
        wait_covered(node, loader.report().lines)
        _wait_merged(node)
        with Asker(node.port) as asker:
            return History(lines, endpoints, _ask(asker, endpoints))


def _ask(asker: Asker, endpoints: int) -> list[Asked]:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    span: dict[str, Any] = {
        "_from": (now - timedelta(days=DAYS)).isoformat(),
        "to": (now + timedelta(hours=1)).isoformat(),
    }
    found = []
    for step in ("3h", "6h"):
        # Of many endpoints, those that a panel shows, and all others in one row.
        shown: dict[str, Any] = {"top": "20", "by": "requests"} if endpoints > 100 else {}
        for name, columns in (("counts and means", "requests,response_ms_avg"), ("p99", "response_ms_p99")):
            found.append(asker.view(f"{name}, a point each {step}", VIEW, step=step, columns=columns, **span, **shown))
    return found


def _wait_merged(node: RunningNode, timeout_s: float = 300.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    seen, since_s = -1, 0.0
    while time.monotonic() < deadline_s:
        segments = sum(view["segments"] for view in node.pipeline()["views"])
        if segments != seen:
            seen, since_s = segments, time.monotonic()
        if time.monotonic() - since_s > STILL_S:
            return
        time.sleep(0.5)
    raise RuntimeError(f"the segments are still being merged after {timeout_s:.0f} s")
