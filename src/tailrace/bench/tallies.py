"""What loaders do alike: say that they are ready, begin together when told to, and print what came of it."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tailrace.bench.lines import LINE_BYTES


@dataclass(slots=True)
class Tally:
    """What one connection has done so far."""

    posts: int = 0
    retries: int = 0
    ack_s: list[float] = field(default_factory=list)
    failure: str = ""


def run_load(drives: Sequence[Callable[[Tally], None]], lines_per_post: int) -> None:
    """Print `ready`, wait for a line on the input, run each of `drives` in a thread with its tally, and print the report of all.

    Raises SystemExit with what the failed ones say.
    """
    tallies = [Tally() for _ in drives]
    threads = [threading.Thread(target=drive, args=(tally,)) for drive, tally in zip(drives, tallies, strict=True)]
    print("ready", flush=True)
    sys.stdin.readline()
    before, started_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures = [tally.failure for tally in tallies if tally.failure]
    if failures:
        raise SystemExit("\n".join(failures))
    seconds, after = time.monotonic() - started_s, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps(report_of(tallies, lines_per_post, seconds, cpu_s)))


def report_of(tallies: Sequence[Tally], lines_per_post: int, seconds: float, cpu_s: float) -> dict[str, float]:
    """The members of `bench_node.LoadReport`."""
    acks = sorted(s for tally in tallies for s in tally.ack_s)
    lines = sum(tally.posts for tally in tallies) * lines_per_post
    return {
        "lines": lines,
        "bytes": lines * LINE_BYTES,
        "seconds": seconds,
        "retries": sum(tally.retries for tally in tallies),
        "cpu_s": cpu_s,
        "ack_p50_ms": 1000 * acks[len(acks) // 2],
        "ack_p99_ms": 1000 * acks[min(len(acks) - 1, len(acks) * 99 // 100)],
        "ack_max_ms": 1000 * acks[-1],
    }
