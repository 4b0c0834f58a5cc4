"""What of a views folder is a view file, and what is said of those that are none."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.serving.catalog import Catalog

GOOD = "CREATE VIEW mine AS SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start, count(*) AS n FROM logs GROUP BY ALL"


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """A pipe would be read without end, and the node's one follower with it."""
    os.mkfifo(tmp_path / "pipe.sql")
    (tmp_path / "folder.sql").mkdir()
    (tmp_path / "nowhere.sql").symlink_to(tmp_path / "absent")
    (tmp_path / "good.sql").write_text(GOOD)
    catalog = Catalog(tmp_path, DEFAULT_FIELDS)
    assert catalog.look()
    assert "mine" in catalog.state.views
    assert catalog.state.problems == ()


def test_a_file_that_does_not_compile_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    catalog = Catalog(tmp_path, DEFAULT_FIELDS)
    (tmp_path / "bad.sql").write_text(GOOD.replace("count(*)", "median(status)"))
    with caplog.at_level(logging.ERROR):
        catalog.look()
        (tmp_path / "good.sql").write_text(GOOD)
        catalog.look()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "bad.sql" in said
    assert "quantile(x, 0.5)" in said
