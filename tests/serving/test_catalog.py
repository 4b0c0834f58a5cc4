"""What of a views folder is a view file, and what is said of those that are none."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tailrace.errors import Invalid, NotFound
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.serving.catalog import Catalog, CatalogState
from tailrace.views import compile_view

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


class Folder:
    """A views folder whose every change is seen, also within one tick of the file system's clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalog = Catalog(path, DEFAULT_FIELDS)
        self._ticks = 0

    def write(self, file: str, text: str) -> CatalogState:
        self._ticks += 1
        (self.path / file).write_text(text)
        os.utime(self.path / file, (self._ticks, self._ticks))
        self.catalog.look()
        return self.catalog.state

    def remove(self, file: str) -> CatalogState:
        (self.path / file).unlink()
        self.catalog.look()
        return self.catalog.state


OVER_SLOW = GOOD.replace("FROM logs", "FROM slow")
SLOW = "CREATE STREAM slow AS SELECT * FROM {} WHERE response_ms > {}"


def test_a_view_follows_its_stream(tmp_path: Path) -> None:
    """The stream comes later, changes, breaks, goes, and comes again; what was good last goes on."""
    folder = Folder(tmp_path)
    state = folder.write("mine.sql", OVER_SLOW)
    assert "mine" not in state.views
    assert "there is no stream `slow`" in state.problems[0].message
    state = folder.write("slow.sql", SLOW.format("logs", "latency"))
    assert [p.path for p in state.problems] == ["mine.sql", "slow.sql"]
    assert "stream `slow` cannot be read: line 1, column 62: there is no field `latency`" in state.problems[0].message
    state = folder.write("slow.sql", SLOW.format("logs", 1000))
    assert state.problems == ()
    first = state.views["mine"]
    assert first.reads == "slow"
    (wanted,) = [w for w in state.wanted() if w.name == "mine"]
    assert compile_view(wanted.sql, DEFAULT_FIELDS).version == first.version == wanted.version
    state = folder.write("slow.sql", SLOW.format("logs", 2000))
    second = state.views["mine"]
    assert second.version != first.version
    for broken in (folder.write("slow.sql", SLOW.format("logs", "")), folder.remove("slow.sql")):
        assert broken.views["mine"].version == second.version
        assert broken.problems
    state = folder.write("other.sql", SLOW.format("logs", 1000))
    assert state.views["mine"].version == first.version
    assert state.problems == ()


def test_a_stream_over_a_stream_changes_the_views_on_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("mine.sql", OVER_SLOW)
    folder.write("slow.sql", SLOW.format("shop", 1000))
    state = folder.write("shop.sql", "CREATE STREAM shop AS SELECT * FROM logs WHERE service = 'shop'")
    first = state.views["mine"].version
    state = folder.write("shop.sql", "CREATE STREAM shop AS SELECT * FROM logs WHERE service = 'cart'")
    assert state.views["mine"].version != first
    state = folder.write("shop.sql", "CREATE STREAM shop AS SELECT * FROM slow WHERE service = 'cart'")
    assert state.streams == {}
    assert {p.name for p in state.problems} == {"shop", "slow", None}
    assert all("it reads itself: shop -> slow -> shop" in p.message for p in state.problems)


def test_one_name_is_one_thing(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("mine.sql", GOOD)
    state = folder.write("stream.sql", "CREATE STREAM mine AS SELECT * FROM logs WHERE status > 1")
    assert "mine" in state.streams
    assert "mine" not in state.views
    assert [p.message for p in state.problems] == ["view `mine` is defined in `stream.sql` too"]
    state = folder.write("stream.sql", "CREATE STREAM overall_health AS SELECT * FROM logs WHERE status > 1")
    assert "comes with Tailrace" in state.problems[0].message
    assert {"mine", "overall_health"} <= state.views.keys()
    state = folder.write("zwei.sql", "CREATE STREAM two AS SELECT * FROM logs WHERE status > 1")
    state = folder.write("zwo.sql", "CREATE STREAM two AS SELECT * FROM logs WHERE status > 2")
    assert [p.message for p in state.problems if p.path == "zwo.sql"] == ["stream `two` is defined in `zwei.sql` too"]


def test_a_file_may_become_something_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a.sql", GOOD)
    state = folder.write("a.sql", SLOW.format("logs", 1))
    assert ("mine" in state.views, list(state.streams)) == (False, ["slow"])
    state = folder.write("a.sql", GOOD)
    assert ("mine" in state.views, list(state.streams)) == (True, [])


def test_asking_for_a_stream_that_is_not_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    state = folder.write("bad.sql", SLOW.format("nothing", 1))
    with pytest.raises(Invalid, match=r"`slow` cannot be read: .* there is no stream `nothing`"):
        state.stream("slow")
    with pytest.raises(NotFound) as raised:
        state.stream("fast")
    assert "none yet" in raised.value.hint
    state = folder.write("bad.sql", SLOW.format("logs", 1))
    assert state.stream("SLOW").texts == ("response_ms > 1",)
