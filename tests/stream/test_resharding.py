"""The plan of splits and merges: after any sequence of them each hash key has one open shard, and a line of descent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.model.shard import HASH_KEYS, Shard, even_shards
from tailrace.stream.resharding import (
    OPEN_SHARDS_MAX,
    Reshard,
    children_of,
    plan_merge,
    plan_split,
    resharded,
    uncovered,
)

CREATED_S = 1_790_000_000
steps = st.lists(
    st.tuples(st.sampled_from(["split", "merge"]), st.integers(0, 1000), st.floats(0, 1), st.integers(-9, 9)),
    max_size=30,
)


def opened(shards: tuple[Shard, ...]) -> list[Shard]:
    return sorted((s for s in shards if not s.closed), key=lambda s: s.hash_first)


def plan(shards: tuple[Shard, ...], kind: str, at: int, share: float, now_s: int) -> Reshard | None:
    """None where it cannot be done."""
    found = opened(shards)
    shard = found[at % len(found)]
    if kind == "split":
        if shard.hash_keys < 2:
            return None
        where = shard.hash_first + 1 + int(share * (shard.hash_keys - 2))
        return plan_split(shards, shard.id, min(where, shard.hash_last), now_s)
    if len(found) < 2:
        return None
    low, high = found[at % (len(found) - 1) :][:2]
    return plan_merge(shards, *((low.id, high.id) if share < 0.5 else (high.id, low.id)), now_s)


@given(count=st.integers(1, 5), steps=steps)
def test_every_hash_key_has_one_open_shard_and_every_child_its_parents(
    count: int, steps: list[tuple[str, int, float, int]]
) -> None:
    shards = even_shards(count, CREATED_S)
    epoch = 1
    for kind, at, share, seconds in steps:
        reshard = plan(shards, kind, at, share, CREATED_S + seconds)
        if reshard is None:
            continue
        last_epochs = [max(p.first_epoch - 1, epoch := epoch + at % 3) for p in reshard.parents]
        before = shards
        shards, done = resharded(shards, reshard, last_epochs)
        assert uncovered(shards) is None
        assert [s.index for s in shards] == list(range(len(shards)))
        assert sum(s.hash_keys for s in done.closed) == sum(s.hash_keys for s in done.children)
        assert {s.id for s in before if not s.closed} - {s.id for s in shards if not s.closed} == {
            s.id for s in done.closed
        }
        for child in done.children:
            assert child.first_epoch == max(last_epochs) + 1
            assert all(child.created_s > parent.created_s for parent in done.closed)
            assert child.parents == tuple(parent.id for parent in done.closed)
    assert children_of(shards).keys() == {s.id for s in shards if s.closed}


def test_there_are_at_most_so_many_open_shards() -> None:
    shards = even_shards(OPEN_SHARDS_MAX, CREATED_S)
    with pytest.raises(Invalid, match="256"):
        plan_split(shards, shards[0].id, None, CREATED_S)
    merged, _ = resharded(shards, plan_merge(shards, shards[0].id, shards[1].id, CREATED_S), [1, 1])
    plan_split(merged, merged[-1].id, None, CREATED_S)


@pytest.mark.parametrize(
    "ranges", [[], [(0, 5)], [(1, HASH_KEYS - 1)], [(0, 7), (9, HASH_KEYS - 1)], [(0, 7), (7, HASH_KEYS - 1)]]
)
def test_a_hole_or_an_overlap_is_found(ranges: list[tuple[int, int]]) -> None:
    assert uncovered([Shard(i, *bounds, CREATED_S) for i, bounds in enumerate(ranges)]) is not None
