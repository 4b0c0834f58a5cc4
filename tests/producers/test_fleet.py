"""The processes of a run: one that dies has a successor, from the first moment on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tailrace.cli.produce_plan import Asked, plan
from tailrace.producers.conductor import Conductor
from tailrace.producers.manifest import read_manifest
from tailrace.runtime.clock import SystemClock


def test_a_process_that_dies_before_the_run_begins_is_replaced(tmp_path: Path) -> None:
    asked = Asked(
        to=f"file://{tmp_path}/lines", rate=100, processes=2, duration="1s", connections=1, seed=1, profile=None, base=None,
        scenario="steady", since=None, speed="1x", encoding="none", endpoint_url="",
    )  # fmt: skip
    planned = plan(asked)
    manifest = tmp_path / "run.ndjson"
    with Conductor(planned.spec, SystemClock(), manifest, None, 60.0) as conductor:
        conductor.fleet.wait_ready()
        first = conductor.fleet.pids
        os.kill(first[0], signal.SIGKILL)
        _until(lambda: conductor.fleet.pids[0] != first[0])
        conductor.begin()
        _until(conductor.step)
        counts, _ = conductor.end(whole=True)
    assert (counts.sent, counts.acked) == (100, 100)
    assert sum(post.lines for post in read_manifest(manifest).posts.values()) == 100
    assert len((tmp_path / "lines").read_bytes().splitlines()) == 100


def _until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline_s, "not so after two minutes"
        time.sleep(0.02)
