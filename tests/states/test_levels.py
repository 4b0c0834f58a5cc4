"""Pieces of a question make up all of it, each instant once, in windows that fit; and retention lets go of what is due, no more."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tailrace.states.levels import LADDER_US, Piece, kept_from_us, level_for, pieces, widths_kept, widths_usable
from tailrace.states.retention import age_of_level, due, surplus
from tailrace.states.segment import Level
from tests.states.test_manifest import segment

S = 1_000_000
DAY = 86_400 * S
WINDOWS_US = [S, 10 * S, 30 * S, 60 * S, 300 * S, 3_600 * S, 7_200 * S, DAY]
instants = st.one_of(st.none(), st.integers(-3 * 86_400, 60 * 86_400).map(lambda s: s * S))


@given(st.sampled_from(WINDOWS_US), st.sampled_from([1, 2, 6, 60, 360, 8640]), st.booleans(), instants, instants)
def test_pieces_cover_what_is_asked_for_once(
    window_us: int, factor: int, total: bool, from_us: int | None, to_us: int | None
) -> None:
    if from_us is not None and to_us is not None and from_us >= to_us:
        from_us, to_us = None, to_us
    step_us = None if total else window_us * factor
    widths = widths_usable(window_us, step_us, total=total)
    found = pieces(widths, from_us, to_us)
    assert (found[0].from_us, found[-1].to_us) == (from_us, to_us)
    for piece, following in pairwise(found):
        assert piece.to_us == following.from_us
        assert piece.to_us is not None
    for piece in found:
        assert total or piece.width_us == window_us or (step_us or 0) % piece.width_us == 0
        if piece.width_us != window_us:
            assert (piece.from_us or 0) % piece.width_us == 0
            assert (piece.to_us or 0) % piece.width_us == 0
    assert len(found) <= 2 * len(widths) - 1


def test_widths_of_a_level_lie_within_each_other() -> None:
    for window_us in WINDOWS_US:
        for finer, coarser in pairwise((window_us, *widths_kept(window_us))):
            assert coarser % finer == 0
    assert widths_kept(7_200 * S) == (21_600 * S, DAY)
    assert widths_usable(10 * S, None, total=False) == (10 * S,)
    assert widths_usable(10 * S, 3_600 * S, total=False) == (10 * S, 60 * S, 3_600 * S)
    assert widths_usable(10 * S, 90 * S, total=False) == (10 * S,)


def held(kept: dict[int, int]):
    """A segment of ten days in windows of 10 s, whose levels begin as `kept` says."""
    levels = [
        Level(width_us=width, rows=1, bytes=1, files={"scalars": f"{width}"}, kept_from_us=kept.get(width))
        for width in (10 * S, *LADDER_US)
    ]
    whole = structs.replace(segment("x"), window_us=10 * S, window_first_us=0, window_last_us=10 * DAY)
    return whole.with_levels(levels)


@pytest.mark.parametrize(
    ("piece", "width"),
    [
        (Piece(10 * S, 5 * DAY, None), 10 * S),
        (Piece(10 * S, 4 * DAY, 6 * DAY), None),
        (Piece(60 * S, 4 * DAY, 6 * DAY), 60 * S),
        (Piece(3_600 * S, 4 * DAY, None), 3_600 * S),
        (Piece(3_600 * S, DAY, None), 3_600 * S),
        (Piece(3_600 * S, None, None), None),
        (Piece(DAY, None, None), DAY),
    ],
)
def test_the_coarsest_level_that_has_it_all(piece: Piece, width: int | None) -> None:
    level = level_for(held({10 * S: 5 * DAY, 60 * S: 3 * DAY, 3_600 * S: DAY}), piece)
    assert (level.width_us if level else None) == width


def test_from_when_on_windows_can_be_made() -> None:
    one, other = held({10 * S: 5 * DAY, 60 * S: 3 * DAY}), held({10 * S: 6 * DAY})
    late = structs.replace(held({10 * S: 9 * DAY}), window_first_us=9 * DAY)
    assert kept_from_us([one, other, late], (10 * S,)) == 6 * DAY
    assert kept_from_us([one, other], (10 * S, 60 * S)) == 3 * DAY
    assert kept_from_us([other], (10 * S, 60 * S)) is None
    assert kept_from_us([late], (10 * S,)) is None
    assert kept_from_us([], (10 * S,)) is None


def test_levels_are_due_by_the_arrival_of_the_whole_segment() -> None:
    ages = {10 * S: 7 * DAY, 60 * S: 30 * DAY}
    fresh = structs.replace(held({}), arrived_first_us=10 * DAY, arrived_last_us=20 * DAY)
    assert due(fresh, 27 * DAY, ages) == {}
    assert due(fresh, 27 * DAY + 5, ages) == {10 * S: 20 * DAY}
    assert due(fresh, 51 * DAY, ages) == {10 * S: 44 * DAY, 60 * S: 21 * DAY}
    cut = fresh.with_levels([structs.replace(fresh.levels()[0], kept_from_us=44 * DAY), *fresh.rollups])
    assert due(cut, 51 * DAY + 3, ages) == {60 * S: 21 * DAY}
    assert [age_of_level(width, 1, 2, 3) for width in (10 * S, 60 * S, 300 * S, 3_600 * S)] == [1, 2, 2, 3]


def test_the_finest_of_the_oldest_go_first_when_there_are_too_many_bytes() -> None:
    old = structs.replace(held({}), id="old", arrived_last_us=1)
    new = structs.replace(held({}), id="new", arrived_last_us=2)
    assert surplus([new, old], 12) == {}
    assert surplus([new, old], 9) == {"old": {10 * S: 11 * DAY, 60 * S: 11 * DAY}, "new": {10 * S: 11 * DAY}}
    assert {name: list(levels) for name, levels in surplus([new, old], 0).items()} == {
        name: [10 * S, *LADDER_US[:-1]] for name in ("old", "new")
    }
