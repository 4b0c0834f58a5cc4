"""The plan: small neighbours are merged, large ones rewritten rarely, epochs stay contiguous."""

from itertools import pairwise

from msgspec import structs

from tailrace.states.compaction import ROWS_MAX, SMALL_ROWS, plan_compaction
from tailrace.states.segment import Segment
from tests.states.test_manifest import SHARD, segment


def test_too_few_segments_are_left_alone() -> None:
    assert plan_compaction([segment(str(n), first=n, last=n) for n in range(7)], 8) == []


def test_a_run_keeps_its_order_and_its_shard() -> None:
    segments = [segment(str(n), first=n, last=n) for n in range(8)]
    (run,) = plan_compaction(segments[::-1], 8)
    assert run == segments
    assert {s.shard for s in run} == {SHARD}


def test_a_large_old_segment_is_not_rewritten_for_small_news() -> None:
    big = segment("big", first=1, last=100, rows=SMALL_ROWS * 1000)
    small = [segment(str(n), first=n, last=n, rows=SMALL_ROWS // 100) for n in range(101, 112)]
    (run,) = plan_compaction([big, *small], 8)
    assert run == small


def test_rows_are_rewritten_a_logarithmic_number_of_times() -> None:
    """A thousand equal segments, merged as they come: the work stays far below the square."""
    held: list = []
    rewritten = 0
    each = SMALL_ROWS * 4
    for n in range(1000):
        held.append(segment(str(n), first=n, last=n, rows=each))
        for run in plan_compaction(held, 8, rows_max=1 << 62):
            rows = sum(s.rows for s in run)
            rewritten += rows
            held = [s for s in held if s not in run]
            held.append(segment(f"m{n}", first=run[0].epoch_first, last=run[-1].epoch_last, rows=rows))
            held.sort(key=lambda s: s.epoch_first)
    assert rewritten <= 12 * 1000 * each
    assert len(held) < 40
    assert all(a.epoch_last + 1 == b.epoch_first for a, b in pairwise(held))


def test_a_segment_that_is_large_enough_is_left_as_it_is() -> None:
    held: list = []
    for n in range(200):
        held.append(segment(str(n), first=n, last=n, rows=ROWS_MAX // 20))
        for run in plan_compaction(held, 4):
            rows = sum(s.rows for s in run)
            assert rows <= ROWS_MAX
            held = [s for s in held if s not in run]
            held.append(segment(f"m{n}", first=run[0].epoch_first, last=run[-1].epoch_last, rows=rows))
            held.sort(key=lambda s: s.epoch_first)
    assert len(held) < 200 / 20 * 2 + 4
    assert all(a.epoch_last + 1 == b.epoch_first for a, b in pairwise(held))


def test_what_is_merged_arrived_within_the_span() -> None:
    def at(n: int) -> Segment:
        return structs.replace(segment(str(n), first=n, last=n), arrived_first_us=n * 10, arrived_last_us=n * 10)

    (run,) = plan_compaction([at(n) for n in range(20)], 4, lambda newest: 50)
    assert [s.epoch_first for s in run] == [14, 15, 16, 17, 18, 19]
    # What is too old for the newest may still be merged among itself.
    (run,) = plan_compaction([*(at(n) for n in range(10)), at(100)], 4, lambda newest: 50)
    assert [s.epoch_first for s in run] == [4, 5, 6, 7, 8, 9]


def test_only_segments_that_hold_the_same_levels_are_merged() -> None:
    cut = [structs.replace(segment(str(n), first=n, last=n), kept_from_us=7) for n in range(5)]
    whole = [segment(str(n), first=n, last=n) for n in range(5, 8)]
    (run,) = plan_compaction([*cut, *whole], 4)
    assert run == cut
