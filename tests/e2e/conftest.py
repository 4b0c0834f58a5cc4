"""One running node for all of these tests, and the real data they use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.testing.node import RunningNode
from tests.e2e.nodes import quick_node

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real logs: TAILRACE_SHARED_DATA, else `shared/data` beside the repository."""
    folder = Path(os.environ.get("TAILRACE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "apache_access.log").is_file():
        pytest.skip("the real logs are not here: set TAILRACE_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with quick_node(tmp_path_factory.mktemp("node")) as running:
        yield running
