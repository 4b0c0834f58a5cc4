"""A fresh node in a temporary folder for one measurement, and what is asked of it while it runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tailrace.testing.node import RunningNode

WATCHED_VIEW = "overall_health"
WATCHED_COLUMN = "requests"


@contextmanager
def fresh_node(
    parent: Path | None, env: dict[str, str] | None = None, views: Mapping[str, str] | None = None
) -> Iterator[RunningNode]:
    """A node with default settings; its folder goes when the block ends. `views`: name -> SQL of views beside the shipped ones."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-", dir=parent))
    (folder / "views").mkdir()
    for name, sql in (views or {}).items():
        (folder / "views" / f"{name}.sql").write_text(sql, encoding="utf-8")
    node = RunningNode(folder / "data", env=env)
    try:
        node.start()
        yield node
        node.stop()
    finally:
        node.kill_all()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What the loader printed when it was done. `cpu_s` is its own, for the whole load."""

    lines: int
    bytes: int
    seconds: float
    retries: int
    cpu_s: float
    ack_p50_ms: float
    ack_p99_ms: float
    ack_max_ms: float


class Loader:
    """The loader process. Returns once it has made its lines (about two seconds); a context manager that ends it."""

    def __init__(self, port: int, module: str = "load", **options: object) -> None:
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tailrace.bench.{module}", f"--port={port}", *words],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None, "stdout is a pipe"
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the loader did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def begin(self) -> None:
        """Let it load, once it is ready."""
        assert self._process.stdin is not None, "stdin is a pipe"
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def report(self) -> LoadReport:
        """Waits for the end."""
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the loader ended with {self._process.returncode}")
        return LoadReport(**json.loads(out.splitlines()[-1]))


def visible_lines(node: RunningNode) -> int:
    """Lines counted in the merged view, over all of time."""
    answer = node.view(WATCHED_VIEW, total="true")
    at = answer["columns"].index(WATCHED_COLUMN)
    return sum(row[at] for row in answer["rows"])


def wait_visible(node: RunningNode, lines: int, timeout_s: float = 120.0) -> float:
    """Monotonic seconds at which the view first counted `lines`."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        seen = visible_lines(node)
        if seen == lines:
            return time.monotonic()
        if seen > lines:
            raise RuntimeError(f"the view counts {seen} lines, only {lines} were sent")
        time.sleep(0.5)  # an answer costs the node some 15 ms of CPU, which must not become part of the figure
    raise RuntimeError(f"the view counts {visible_lines(node)} of {lines} lines after {timeout_s:.0f} s")


def wait_covered(node: RunningNode, lines: int, timeout_s: float = 300.0) -> float:
    """Monotonic seconds at which the frontier covered everything and the lake held `lines`. The view must still be right."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        state = node.pipeline()
        if state["lake"]["rows"] == lines and all(shard["batch_lag_lines"] == 0 for shard in state["shards"]):
            covered_s = time.monotonic()
            check(node, state, lines)
            return covered_s
        time.sleep(0.5)
    raise RuntimeError(f"not covered after {timeout_s:.0f} s: {node.pipeline()['shards']}")


def check(node: RunningNode, state: dict[str, Any], lines: int) -> None:
    """A measurement of wrong numbers is worth nothing: raises unless view, ledger and drift check all agree."""
    if visible_lines(node) != lines:
        raise RuntimeError(f"the view counts {visible_lines(node)} of {lines} lines")
    if not state["ledger"]["balanced"]:
        raise RuntimeError(f"the ledger does not balance: {state['ledger']['first_difference']}")
    if any(view["drift_rows"] for view in state["views"]):
        raise RuntimeError(f"speed and batch differ: {state['findings'][:1]}")
