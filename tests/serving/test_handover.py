"""What a cycle has moved stays moved, however long merging takes after it and whatever becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.serving import handover, tidy
from tailrace.serving.handover import TIDY_S_MAX
from tailrace.states.manifest import ViewStates
from tests.durability.life import SHIPPED, one_view, post_lines
from tests.oracle.faults import Killed
from tests.oracle.model import ENDPOINT_HEALTH, expected_rows, parse_all
from tests.oracle.rig import SEGMENTS_MIN, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with one_view():
        made = Rig(tmp_path, embedded=True)
        made.look()
        yield made
        made.close()


def hand_over(rig: Rig, number: int) -> None:
    """One more epoch of every shard."""
    rig.put(post_lines(number))
    rig.settle()


def test_a_process_that_dies_whenever_it_merges_segments_moves_the_frontier_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as merging:
        merging.setattr(tidy, "compact", dies)
        for number in range(SEGMENTS_MIN + 2):
            before = rig.frontier()
            with pytest.raises(Killed):
                hand_over(rig, number)
            rig.start_batch()
            rig.look()
            rig.read()
            assert sum(rig.frontier().values()) > sum(before.values())
    assert max_segments(rig) == SEGMENTS_MIN + 2
    hand_over(rig, 9)
    assert max_segments(rig) < SEGMENTS_MIN
    lines = [line for number in (*range(SEGMENTS_MIN + 2), 9) for line in post_lines(number)]
    assert rig.rows(SHIPPED)[1] == expected_rows(ENDPOINT_HEALTH, parse_all(lines))
    rig.check()


def test_a_long_backlog_is_got_over_in_parts_and_the_cycle_says_that_more_waits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "RECORDS_A_MOVE", 10)
    posts = [post_lines(n) for n in (0, 1, 2, 3, 5, 6)]
    for post in posts:
        rig.put(post)
        rig.seal()
        rig.look()
        rig.read()
    rig.consume()
    cycles = 0
    while True:
        before = rig.frontier()
        report = rig.cycle()
        cycles += 1
        rig.look()
        assert sum(rig.frontier().values()) - sum(before.values()) > 0
        assert report.records <= 2 * max(10, *map(len, posts))
        lines = [line for post in posts for line in post]
        assert rig.rows(SHIPPED)[1] == expected_rows(ENDPOINT_HEALTH, parse_all(lines))
        if not report.waiting:
            break
    assert cycles > 1
    assert all(rig.store.current().lake.epochs[shard] == epoch for shard, epoch in rig.frontier().items())
    rig.check()


def max_segments(rig: Rig) -> int:
    segments = rig.store.current().views[SHIPPED].segments
    return max(sum(s.shard == shard for s in segments) for shard in {s.shard for s in segments})


def test_views_whose_turn_did_not_come_are_tidied_by_the_next_cycles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each view takes all of the time that a cycle has."""
    rig = Rig(tmp_path, embedded=True)
    rig.look()
    turns: list[list[str]] = []

    def slow(self: tidy.Tidy, states: ViewStates) -> ViewStates:
        rig.clock.advance(TIDY_S_MAX + 1)
        turns[-1].append(states.name)
        return states

    monkeypatch.setattr(tidy.Tidy, "_tidied", slow)
    for number in range(10):
        turns.append([])
        hand_over(rig, number)
    rig.close()
    names = sorted(rig.store.current().views)
    assert len(names) == 5
    assert [turn for turn in turns if turn][-10:] == [[name] for name in [*names, *names]]
