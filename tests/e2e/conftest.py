"""One running node for all of these tests, and the real data they use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.testing.node import RunningNode

ROOT = Path(__file__).resolve().parents[2]
QUICK = """
[stream]
seal_interval_ms = 500
[batch]
interval_ms = 1000
"""
"""Epochs and cycles short enough that a test need not wait for them."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real logs: TAILRACE_SHARED_DATA, else `shared/data` beside the repository."""
    folder = Path(os.environ.get("TAILRACE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "apache_access.log").is_file():
        pytest.skip("the real logs are not here: set TAILRACE_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("node")
    config = folder / "tailrace.toml"
    config.write_text(QUICK)
    (folder / "views").mkdir()
    running = RunningNode(folder / "data", config=config)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill_all()
