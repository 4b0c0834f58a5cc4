"""Which files retention lets go: the oldest of each shard, whole, and never one whose states have not been computed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tailrace.batch.base import LakeFile
from tailrace.batch.retention import plan_retention
from tailrace.testing.contracts.lake_harness import A, B

ALL = {A: 99, B: 99}


def file(shard: str, epoch: int, at_us: int, size: int = 10) -> LakeFile:
    return LakeFile(Path(f"{shard}-{epoch}"), shard, epoch, epoch, 1, size, 0, 0, frozenset(), at_us - 5, at_us)


FILES = [*(file(A, e, e * 100) for e in range(1, 5)), *(file(B, e, e * 100 + 50) for e in range(1, 5))]


def going(
    files: list[LakeFile], frontier: dict[str, int] = ALL, before_us: int = 0, bytes_max: int = 0
) -> list[tuple[str, int]]:
    return [(f.shard_id, f.epoch_first) for f in plan_retention(files, frontier, before_us, bytes_max)]


def test_without_limits_nothing_goes() -> None:
    assert going(FILES) == []


def test_what_arrived_before_the_limit_goes() -> None:
    assert going(FILES, before_us=250) == [(A, 1), (B, 1), (A, 2)]


def test_the_oldest_of_all_shards_go_until_the_rest_fits() -> None:
    assert going(FILES, bytes_max=80) == []
    assert going(FILES, bytes_max=79) == [(A, 1)]
    assert going(FILES, bytes_max=50) == [(A, 1), (B, 1), (A, 2)]


def test_both_limits_hold() -> None:
    assert going(FILES, before_us=160, bytes_max=50) == [(A, 1), (B, 1), (A, 2)]
    assert going(FILES, before_us=350, bytes_max=70) == [(A, 1), (B, 1), (A, 2), (B, 2), (A, 3)]


def test_what_has_no_states_yet_stays() -> None:
    assert going(FILES, {A: 2}, before_us=10_000, bytes_max=1) == [(A, 1), (A, 2)]
    assert going(FILES, {}, before_us=10_000, bytes_max=1) == []
    merged = LakeFile(Path("m"), A, 1, 4, 4, 40, 0, 0, frozenset(), 95, 400)
    assert going([merged], {A: 3}, before_us=10_000) == []


def test_a_clock_that_stepped_does_not_reorder_a_shard() -> None:
    files = [file(A, 1, 500), file(A, 2, 100), file(A, 3, 600)]
    assert going(files, before_us=200) == []
    assert going(files, before_us=501) == [(A, 1), (A, 2)]


@given(
    st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 50), st.integers(1, 9)), max_size=20),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 20),
)
def test_a_suffix_stays_and_no_more_goes_than_must(
    drawn: list[tuple[str, int, int]], before_us: int, bytes_max: int, frontier: int
) -> None:
    files = sorted(
        (file(shard, epoch, at, size) for epoch, (shard, at, size) in enumerate(drawn, 1)),
        key=lambda f: (f.shard_id, f.epoch_first),
    )
    gone = plan_retention(files, {A: frontier, B: frontier}, before_us, bytes_max)
    for shard in (A, B):
        mine = [f for f in files if f.shard_id == shard]
        taken = [f for f in gone if f.shard_id == shard]
        assert taken == mine[: len(taken)]
        assert all(f.epoch_last <= frontier for f in taken)
    left = sum(f.bytes for f in files) - sum(f.bytes for f in gone)
    if bytes_max and left > bytes_max:
        assert all(f.epoch_last > frontier for f in files if f not in gone)
    for last in gone[-1:]:
        aged = max(f.arrived_max_us for f in gone) < before_us
        assert aged or (bytes_max and left + last.bytes > bytes_max)
