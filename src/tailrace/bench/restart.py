"""Seconds from a start after kill -9 of every process, in the middle of a load, until the node answers again; and that nothing is gone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tailrace.bench.bench_node import Loader, fresh_node, visible_lines, wait_covered

KILLED_AT = 0.9
"""Share of the lines that are in the views by then."""


@dataclass(frozen=True, slots=True)
class Restart:
    """`ready_s`: until `/readyz` says yes; `visible_before`: lines in the views when the processes were killed."""

    ready_s: float
    visible_before: int
    lines: int


def measure(lines: int, parent: Path | None) -> Restart:
    """The loader goes on meanwhile, repeating what was not answered."""
    with fresh_node(parent) as node, Loader(node.port, lines=lines, connections=3) as loader:
        loader.begin()
        while (seen := visible_lines(node)) < KILLED_AT * lines:
            time.sleep(0.5)
        node.kill_all()
        started_s = time.monotonic()
        node.start()
        ready_s = time.monotonic() - started_s
        sent = loader.report().lines
        wait_covered(node, sent)
        return Restart(ready_s, seen, sent)
