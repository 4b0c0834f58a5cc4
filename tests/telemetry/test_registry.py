"""Metrics of one process as text, and of several met in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tailrace.telemetry.folder import collect, publish, withdraw
from tailrace.telemetry.metrics import Kind, Metric
from tailrace.telemetry.registry import Registry, render

LINES = Metric("lines_total", Kind.COUNTER, "Lines.", ("outcome",))
HELD = Metric("held_bytes", Kind.GAUGE, "Bytes held.")
SECONDS = Metric("took_seconds", Kind.HISTOGRAM, "Time.", ("part",), (0.1, 1.0))


def test_text_is_prometheus_format() -> None:
    registry = Registry()
    registry.add(LINES, 2, "stored")
    registry.add(LINES, 1, 'odd "\\\n')
    registry.set(HELD, 7)
    registry.set(HELD, 2.5)
    for value in (0.05, 0.1, 0.5, 7):
        registry.observe(SECONDS, value, "decode")
    assert render(registry.snapshot()) == (
        "# HELP held_bytes Bytes held.\n# TYPE held_bytes gauge\nheld_bytes 2.5\n"
        "# HELP lines_total Lines.\n# TYPE lines_total counter\n"
        'lines_total{outcome="odd \\"\\\\\\n"} 1\nlines_total{outcome="stored"} 2\n'
        "# HELP took_seconds Time.\n# TYPE took_seconds histogram\n"
        'took_seconds_bucket{part="decode",le="0.1"} 2\ntook_seconds_bucket{part="decode",le="1"} 3\n'
        'took_seconds_bucket{part="decode",le="+Inf"} 4\n'
        'took_seconds_sum{part="decode"} 7.65\ntook_seconds_count{part="decode"} 4\n'
    )
    assert render([]) == ""


def test_a_series_needs_the_labels_of_its_metric() -> None:
    with pytest.raises(ValueError, match="lines_total"):
        Registry().add(LINES, 1)


def test_threads_lose_no_count() -> None:
    registry = Registry()
    threads = [
        threading.Thread(target=lambda: [registry.add(LINES, 1, "stored") for _ in range(2000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.snapshot()[0].values == [8000]


def test_processes_meet_in_a_folder_and_the_dead_are_left_out(tmp_path: Path) -> None:
    registry = Registry()
    registry.add(LINES, 3, "stored")
    publish(registry, tmp_path, "ingest-0")
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    mine = tmp_path / f"{os.getpid()}.metrics"
    theirs = tmp_path / f"{gone.stdout.strip()}.metrics"
    theirs.write_bytes(mine.read_bytes())
    (tmp_path / "1.metrics").write_bytes(b"written by something else")
    assert render(collect(tmp_path)).splitlines()[-1] == (
        f'lines_total{{process="ingest-0",pid="{os.getpid()}",outcome="stored"}} 3'
    )
    assert not theirs.exists()
    withdraw(tmp_path)
    assert collect(tmp_path) == []
    assert collect(tmp_path / "missing") == []
