"""One engine for all tests of views: each statement is on its own, so nothing is shared but the start-up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.views.rig import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()
