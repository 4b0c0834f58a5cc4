"""The golden input by every way: as batch, as speed, at every cut, with restarts. The results must be the same bytes.

`python -m tests.golden.test_golden --rewrite` writes the expected results anew, from the model in plain Python.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.serving.merge import ViewQuery
from tests.golden.text import answer_text, model_text
from tests.oracle.model import SECOND_US, SHIPPED, SPREAD, SPREAD_SQL, View, expected_sketches, parse_all
from tests.oracle.rig import Rig

INPUT = Path(__file__).with_name("input.ndjson")
EXPECTED = Path(__file__).with_name("expected")
POSTS = 4
VIEWS = (*SHIPPED, SPREAD)
QUERIES = {
    "windows": ViewQuery(),
    "minutes": ViewQuery(step_us=60 * SECOND_US),
    "hops": ViewQuery(step_us=60 * SECOND_US, over_us=180 * SECOND_US),
    "total": ViewQuery(total=True),
}


def posts() -> list[list[bytes]]:
    """The lines in four posts; each becomes an epoch of each shard that gets any of it."""
    lines = INPUT.read_bytes().splitlines()
    size = -(-len(lines) // POSTS)
    return [lines[at : at + size] for at in range(0, len(lines), size)]


def with_own_view(rig: Rig) -> Rig:
    (rig.views_dir / "spread.sql").write_text(SPREAD_SQL, encoding="utf-8")
    return rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = with_own_view(Rig(tmp_path))
    made.look()
    made.read()
    made.cycle()
    made.look()
    yield made
    made.close()


def expected(view: View) -> str:
    return (EXPECTED / f"{view.name}.txt").read_text(encoding="utf-8")


def answered(rig: Rig, view: View) -> str:
    return answer_text({name: rig.rows(view.name, query) for name, query in QUERIES.items()})


def assert_golden(rig: Rig) -> None:
    for view in VIEWS:
        assert answered(rig, view) == expected(view), view.name
    rig.check()


def put(rig: Rig, post: list[bytes]) -> None:
    """One post and the end of its epoch, read by speed."""
    rig.put(post)
    rig.seal()
    rig.read()


def test_the_model_says_what_is_committed() -> None:
    records = parse_all(INPUT.read_bytes().splitlines())
    for view in VIEWS:
        assert model_text(view, records, QUERIES) == expected(view), view.name


def test_by_speed_alone(rig: Rig) -> None:
    for post in posts():
        put(rig, post)
    assert set(rig.frontier().values()) == {0}
    assert_golden(rig)


def test_by_speed_alone_in_one_open_epoch(rig: Rig) -> None:
    for post in posts():
        rig.put(post)
    rig.read()
    assert_golden(rig)


def test_by_batch_alone(rig: Rig) -> None:
    for post in posts():
        put(rig, post)
    rig.settle()
    assert all(states.epochs == () for states in rig.pinned.speed.versions.values())
    assert_golden(rig)


@pytest.mark.parametrize("cut", range(POSTS + 1))
def test_at_every_cut_before_and_after_restarts(rig: Rig, cut: int) -> None:
    """The first `cut` posts from batch, the others from speed."""
    for post in posts()[:cut]:
        put(rig, post)
    rig.settle()
    assert max(rig.frontier().values()) <= cut
    for post in posts()[cut:]:
        put(rig, post)
    assert_golden(rig)
    rig.start_node()
    rig.look()
    rig.read()
    assert_golden(rig)
    rig.start_batch()
    rig.settle()
    assert_golden(rig)


def test_the_states_are_those_of_the_model_bit_for_bit(rig: Rig) -> None:
    """Log buckets and registers, half from batch and half from speed."""
    for post in posts()[:2]:
        put(rig, post)
    rig.settle()
    for post in posts()[2:]:
        put(rig, post)
    records = parse_all(INPUT.read_bytes().splitlines())
    for view in VIEWS:
        assert rig.sketches(view.name) == expected_sketches(view, records), view.name


def test_with_the_frontier_moved_after_each_post(rig: Rig) -> None:
    """A segment a post and view, compacted on the way."""
    for post in posts():
        put(rig, post)
        rig.settle()
    assert_golden(rig)


def test_by_a_view_that_is_built_from_history(tmp_path: Path) -> None:
    """No view is served while the lines come in; all are then built from the lake."""
    rig = with_own_view(Rig(tmp_path))
    for post in posts():
        rig.put(post)
        rig.seal()
    rig.consume()
    for _ in range(2):
        rig.look()
        rig.read()
        rig.cycle()
    rig.look()
    assert_golden(rig)
    rig.close()


@pytest.mark.parametrize("cut", [0, POSTS // 2, POSTS])
def test_on_the_embedded_stream_with_everything_restarted(tmp_path: Path, cut: int) -> None:
    rig = with_own_view(Rig(tmp_path, embedded=True))
    rig.settle()
    for number, post in enumerate(posts()):
        if number == cut:
            rig.settle()
        put(rig, post)
        rig.clock.advance(40)
    assert_golden(rig)
    rig.restart()
    rig.look()
    rig.read()
    assert_golden(rig)
    rig.settle()
    assert_golden(rig)
    rig.close()


def rewrite() -> None:
    records = parse_all(INPUT.read_bytes().splitlines())
    EXPECTED.mkdir(exist_ok=True)
    for view in VIEWS:
        (EXPECTED / f"{view.name}.txt").write_text(model_text(view, records, QUERIES), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--rewrite"]:
        raise SystemExit(__doc__)
    rewrite()
