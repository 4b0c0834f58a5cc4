"""A node for many tests: epochs and cycles short enough that none need wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.testing.node import RunningNode

QUICK = """
[stream]
seal_interval_ms = 500
[batch]
interval_ms = 1000
"""


@contextmanager
def quick_node(folder: Path, settings: str = "") -> Iterator[RunningNode]:
    """A running node with all of its files in `folder`; `settings`: TOML besides."""
    config = folder / "tailrace.toml"
    config.write_text(QUICK + settings)
    (folder / "views").mkdir()
    running = RunningNode(folder / "data", config=config)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill_all()
