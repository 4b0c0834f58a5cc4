"""Which shards a split or a merge makes, and what it refuses. Pure; backends do it.

A split closes one shard and opens two, a merge closes two and opens one. Source of the rules: Kinesis `SplitShard` and `MergeShards`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tailrace.errors import Invalid, NotFound, ShardClosed
from tailrace.model.shard import HASH_KEYS, Shard
from tailrace.stream.base import Resharded

OPEN_SHARDS_MAX = 256
_NAMED_MAX = 8


@dataclass(frozen=True, slots=True)
class Reshard:
    """One split or merge: the shards it closes and those it opens, whose `first_epoch` is not known before the others are closed."""

    parents: tuple[Shard, ...]
    children: tuple[Shard, ...]


def plan_split(shards: Sequence[Shard], shard_id: str, at: int | None, now_s: int) -> Reshard:
    """`at`: first hash key of the second child; None: the middle. Raises NotFound, ShardClosed or Invalid."""
    parent = open_shard(shards, shard_id)
    if parent.hash_keys < 2:
        raise Invalid(f"shard `{shard_id}` has a single hash key, so it cannot be split")
    at = parent.hash_first + (parent.hash_keys + 1) // 2 if at is None else at
    if not parent.hash_first < at <= parent.hash_last:
        raise Invalid(
            f"hash key `{at}` does not divide shard `{shard_id}`",
            hint=f"give one from {parent.hash_first + 1} to {parent.hash_last}",
        )
    if sum(not s.closed for s in shards) >= OPEN_SHARDS_MAX:
        raise Invalid(f"there are `{OPEN_SHARDS_MAX}` open shards, more are not allowed", hint="merge some first")
    ranges = [(parent.hash_first, at - 1), (at, parent.hash_last)]
    return Reshard((parent,), _children(shards, (parent,), ranges, now_s))


def plan_merge(shards: Sequence[Shard], shard_id: str, adjacent_id: str, now_s: int) -> Reshard:
    """Raises NotFound, ShardClosed or Invalid."""
    if shard_id == adjacent_id:
        raise Invalid(f"shard `{shard_id}` cannot be merged with itself", hint="name one of its neighbours")
    parents = (open_shard(shards, shard_id), open_shard(shards, adjacent_id))
    low, high = sorted(parents, key=lambda s: s.hash_first)
    if low.hash_last + 1 != high.hash_first:
        near = ", ".join(s.id for s in _neighbours(shards, parents[0]))
        raise Invalid(
            f"shards `{shard_id}` and `{adjacent_id}` are not neighbours: other hash keys lie between them",
            hint=f"neighbours of {shard_id}: {near}",
        )
    return Reshard(parents, _children(shards, parents, [(low.hash_first, high.hash_last)], now_s))


def _children(
    shards: Sequence[Shard], parents: tuple[Shard, ...], ranges: Iterable[tuple[int, int]], now_s: int
) -> tuple[Shard, ...]:
    """New shards, numbered on. Their time is later than their parents', so that a key's sequence numbers never step back."""
    created_s = max(now_s, *(p.created_s + 1 for p in parents))
    index = max(s.index for s in shards) + 1
    ids = tuple(p.id for p in parents)
    return tuple(Shard(index + i, first, last, created_s, ids) for i, (first, last) in enumerate(ranges))


def resharded(
    shards: Sequence[Shard], reshard: Reshard, last_epochs: Sequence[int]
) -> tuple[tuple[Shard, ...], Resharded]:
    """All shards afterwards, and what has changed. `last_epochs`: of the parents, in their order, now that they are closed."""
    closed = tuple(replace(p, closed=True, last_epoch=e) for p, e in zip(reshard.parents, last_epochs, strict=True))
    children = tuple(replace(c, first_epoch=max(last_epochs) + 1) for c in reshard.children)
    ended = {s.id: s for s in closed}
    return (*(ended.get(s.id, s) for s in shards), *children), Resharded(closed, children)


def open_shard(shards: Sequence[Shard], shard_id: str) -> Shard:
    """The open shard of that id. Raises NotFound, or ShardClosed naming those that took its place."""
    found = next((s for s in shards if s.id == shard_id), None)
    if found is None:
        raise no_shard(shards, shard_id)
    if found.closed:
        raise closed_shard(shards, shard_id)
    return found


def no_shard(shards: Iterable[Shard], shard_id: str) -> NotFound:
    names = [s.id for s in shards if not s.closed]
    listed = ", ".join(names[:_NAMED_MAX]) + (", ..." if len(names) > _NAMED_MAX else "")
    return NotFound(f"there is no shard `{shard_id}`", hint=f"open shards: {listed}")


def closed_shard(shards: Sequence[Shard], shard_id: str) -> ShardClosed:
    children = [s.id for s in shards if shard_id in s.parents]
    names = ", ".join(children) or "others"
    return ShardClosed(f"shard `{shard_id}` is closed: {names} took its place", hint="see: tailrace shards list")


def children_of(shards: Iterable[Shard]) -> dict[str, tuple[str, ...]]:
    """Shard -> those that took its place, for each that has been split or merged."""
    found: dict[str, tuple[str, ...]] = {}
    for shard in shards:
        for parent in shard.parents:
            found[parent] = (*found.get(parent, ()), shard.id)
    return found


def _neighbours(shards: Iterable[Shard], shard: Shard) -> list[Shard]:
    return [
        s
        for s in shards
        if not s.closed and (s.hash_last + 1 == shard.hash_first or shard.hash_last + 1 == s.hash_first)
    ]


def uncovered(shards: Iterable[Shard]) -> int | None:
    """The first hash key that not exactly one open shard owns; None if all is well."""
    expected = 0
    for shard in sorted((s for s in shards if not s.closed), key=lambda s: s.hash_first):
        if shard.hash_first != expected or shard.hash_last < shard.hash_first:
            return min(expected, shard.hash_first)
        expected = shard.hash_last + 1
    return None if expected == HASH_KEYS else expected
