"""What one process of `tailrace produce` can make and send: to a server that only counts lines, and to a node beside it, verified."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tailrace.bench.bench_node import fresh_node
from tailrace.producers.spec import RATE_MAX

COUNTER, NODE = "a server that counts", "a node"


@dataclass(frozen=True, slots=True)
class Produced:
    """`cpu_s`: of the producer and the process that it starts, from their start to their end."""

    target: str
    lines: int
    seconds: float
    cpu_s: float
    ack_p99_ms: float

    @property
    def lines_per_s(self) -> float:
        return self.lines / self.seconds


def measure(runs: int, lines: int, parent: Path | None) -> list[Produced]:
    """`runs` to each target. Raises RuntimeError if a line was not acknowledged, or the node has not counted each once."""
    found = []
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-", dir=parent) as folder:
        for run in range(runs):
            with _counter() as port:
                found.append(_run(COUNTER, port, lines, Path(folder) / f"counter-{run}.ndjson"))
            manifest = Path(folder) / f"node-{run}.ndjson"
            with fresh_node(parent) as node:
                found.append(_run(NODE, node.port, lines, manifest))
                _check(_tailrace("verify", str(manifest), "--wait", "120s", "--json"))
    return found


def _run(target: str, port: int, lines: int, manifest: Path) -> Produced:
    """At a rate that cannot be held: as fast as it goes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    milliseconds = max(100, lines * 1000 // RATE_MAX)
    said = _check(
        _tailrace(
            "produce", "--to", f"http://127.0.0.1:{port}", "--rate", str(RATE_MAX), "--duration", f"{milliseconds}ms",
            "--manifest", str(manifest), "--json",
        )
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Produced(target, int(said["acked"]), float(said["seconds"]), cpu_s, float(said["ack_p99_ms"]))


def _tailrace(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tailrace.cli.main", *words], capture_output=True, text=True, check=False
    )


def _check(done: subprocess.CompletedProcess[str]) -> dict[str, float]:
    if done.returncode:
        raise RuntimeError(f"`{' '.join(done.args[3:])}` ended with {done.returncode}: {done.stdout}{done.stderr}")
    said: dict[str, float] = json.loads(done.stdout)
    return said


@contextmanager
def _counter() -> Iterator[int]:
    """The port of a server that says of each post how many lines it had."""
    process = subprocess.Popen([sys.executable, "-m", "tailrace.bench.counter"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None, "stdout is a pipe"
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
