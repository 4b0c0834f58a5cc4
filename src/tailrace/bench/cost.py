"""CPU, memory and disk that a fixed number of lines costs, from the first post until the lake and the frontier hold them all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tailrace.bench.bench_node import Loader, LoadReport, fresh_node, wait_covered, wait_visible
from tailrace.bench.processes import (
    PeakMemory,
    ThreadCpu,
    cpu_by_role,
    cpu_by_thread,
    difference,
    folder_bytes,
    machine_busy_s,
    since,
)
from tailrace.bench.watcher import Watcher
from tailrace.bench.yardstick import yardstick_ms


@dataclass(frozen=True, slots=True)
class Cost:
    """One run. CPU is of the node's processes, dead children included; the loader's is in `load`.

    `cpu_s`: role -> seconds from the first post to `covered_s`; `cpu_acked_s`: the same until the last answer. `idle_cpu`: CPU
    seconds a second of the empty node before. Times are seconds since the first post. `threads`: what each living thread
    has used in that time. `other_cpu`: CPU seconds a second that neither node nor loader used: what disturbed the run.
    `yardstick_ms`: CPU time of a fixed computation just before and just after, the mean.
    """

    load: LoadReport
    cpu_s: dict[str, float]
    cpu_acked_s: dict[str, float]
    idle_cpu: float
    visible_s: float
    covered_s: float
    peak_pss_bytes: dict[str, int]
    lake_bytes: int
    lake_metadata_bytes: int
    stream_bytes: int
    states_bytes: int
    threads: list[ThreadCpu]
    other_cpu: float
    yardstick_ms: float

    @property
    def cpu_per_million(self) -> float:
        return sum(self.cpu_s.values()) / self.load.lines * 1e6

    @property
    def cpu_acked_per_million(self) -> float:
        return sum(self.cpu_acked_s.values()) / self.load.lines * 1e6

    @property
    def lines_per_s(self) -> float:
        """Through to the view."""
        return self.load.lines / self.visible_s

    def per_line(self, size: int) -> float:
        return size / self.load.lines


def measure(
    lines: int,
    connections: int,
    parent: Path | None,
    env: dict[str, str] | None = None,
    on_begin: Callable[[], None] = lambda: None,
    *,
    watched: bool = False,
    loader: str = "load",
) -> Cost:
    """Load a fresh node once. `on_begin` is called just before the first post. `watched`: a dashboard is open all the time.

    `loader`: the module of this package that loads.
    """
    before_ms = yardstick_ms()
    with fresh_node(parent, env) as node, Loader(node.port, loader, lines=lines, connections=connections) as loading:
        idle_cpu = _idle(node.pid)
        threads = cpu_by_thread(node.pid)
        on_begin()
        before, busy_s = cpu_by_role(node.pid), machine_busy_s()
        with PeakMemory(node.pid) as memory, Watcher(node.port) if watched else nullcontext():
            started_s = time.monotonic()
            loading.begin()
            load = loading.report()
            acked = cpu_by_role(node.pid)
            visible_s = wait_visible(node, load.lines) - started_s
            covered_s = wait_covered(node, load.lines) - started_s
            after, busy_s = cpu_by_role(node.pid), machine_busy_s() - busy_s
            threads = since(cpu_by_thread(node.pid), threads)
        time.sleep(_SETTLE_S)
        lake = node.data_dir / "lake"
        lake_bytes = folder_bytes(lake, lambda path: path.suffix == ".parquet")
        return Cost(
            load=load,
            cpu_s=difference(after, before),
            cpu_acked_s=difference(acked, before),
            idle_cpu=idle_cpu,
            visible_s=visible_s,
            covered_s=covered_s,
            peak_pss_bytes=memory.peak,
            lake_bytes=lake_bytes,
            lake_metadata_bytes=folder_bytes(lake) - lake_bytes,
            stream_bytes=folder_bytes(node.data_dir / "stream"),
            states_bytes=folder_bytes(node.data_dir / "states"),
            threads=threads,
            other_cpu=(busy_s - sum(difference(after, before).values()) - load.cpu_s) / covered_s,
            yardstick_ms=(before_ms + yardstick_ms()) / 2,
        )


_SETTLE_S = 12.0
"""After it the stream has given the room of its write-ahead logs back, as it does once nothing comes in."""


def _idle(supervisor_pid: int, seconds: float = 3.0) -> float:
    """CPU seconds a second of the node when nothing comes in."""
    before = cpu_by_role(supervisor_pid)
    time.sleep(seconds)
    return sum(difference(cpu_by_role(supervisor_pid), before).values()) / seconds
