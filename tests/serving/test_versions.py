"""Which version of a view serves, and when: the old one until the new one is built and speed holds it; the frontier waits for speed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.rig import Rig

SQL = "CREATE VIEW own AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, {} AS n FROM logs GROUP BY ALL"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, embedded=True)
    yield made
    made.close()


def lines(count: int) -> list[bytes]:
    stamps = (f"2026-11-22T10:00:{n % 60:02d}Z" for n in range(count))
    return [json.dumps({"timestamp": stamp, "endpoint": "/a", "status": 503}).encode() for stamp in stamps]


def total(rig: Rig) -> int:
    return sum(row[1] for row in rig.rows("own")[1])


def test_the_old_version_answers_until_speed_holds_the_new_one(rig: Rig) -> None:
    path = rig.views_dir / "own.sql"
    path.write_text(SQL.format("count(*)"))
    rig.put(lines(30))
    rig.settle()
    rig.settle()
    old = rig.store.current().views["own"].version
    path.write_text(SQL.format("count(*) FILTER (WHERE status >= 500)"))
    rig.put(lines(5))
    rig.look()
    rig.cycle()  # the new version is wanted, and speed has read nothing for it yet
    rig.look()
    assert rig.store.current().views["own"].version == old
    assert total(rig) == 35
    rig.read()
    rig.cycle()
    rig.look()
    rig.read()
    assert rig.store.current().views["own"].version != old
    assert total(rig) == 35


def test_the_frontier_waits_for_speed(rig: Rig) -> None:
    rig.look()
    rig.read()
    rig.cycle()
    rig.look()
    before = rig.frontier()
    rig.put(lines(40))
    rig.seal()
    rig.consume()
    assert rig.cycle().waiting, "the lake has them, and speed has not written its states"
    assert rig.frontier() == before
    rig.read()
    assert not rig.cycle().waiting
    assert rig.frontier() != before
    rig.check()
