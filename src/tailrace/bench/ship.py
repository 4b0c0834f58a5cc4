"""Lines a second of `tailrace ship`: a log file that is there already, shipped to a fresh node to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tailrace.bench.bench_node import fresh_node, wait_visible
from tailrace.bench.lines import LINE_BYTES, freshen, pool

BODIES, LINES_PER_BODY = 4, 10_000


@dataclass(frozen=True, slots=True)
class Ship:
    """`seconds`: from the process's start to its end, when every line is acknowledged. `cpu_s`: of the shipping process alone."""

    lines: int
    seconds: float
    cpu_s: float
    posts: int
    retries: int

    @property
    def lines_per_s(self) -> float:
        return self.lines / self.seconds


def measure(lines: int, parent: Path | None) -> Ship:
    """Raises RuntimeError unless the node has each line once."""
    with fresh_node(parent) as node:
        log = node.data_dir.with_name("bench.log")
        lines = _write(log, lines)
        words = ["ship", str(log), "--to", f"http://127.0.0.1:{node.port}", "--once", "--json", "--format", "json"]
        words += ["--state", str(log.with_name("ship"))]
        before, began_s = os.times(), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tailrace.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        seconds, after = time.monotonic() - began_s, os.times()
        if done.returncode:
            raise RuntimeError(f"ship ended with {done.returncode}")
        found = json.loads(done.stdout)
        wait_visible(node, lines)
    if found["accepted"] != lines:
        raise RuntimeError(f"{found['accepted']} of {lines} lines were accepted")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Ship(lines, seconds, cpu_s, found["posts"], found["retries"])


def _write(log: Path, lines: int) -> int:
    """At least so many lines; returns how many."""
    bodies, chance, written = pool(BODIES, LINES_PER_BODY), np.random.default_rng(1), 0
    with log.open("wb") as file:
        while written < lines:
            for body in bodies:
                freshen(body, int(time.time() * 1000), chance)
                file.write(body.data)
                written += LINES_PER_BODY
        file.flush()
        os.fsync(file.fileno())
    assert log.stat().st_size == written * LINE_BYTES, "lines have one length"
    return written
