"""Let the oldest lake files go: a pure plan, and its doing. Whole files, oldest first in each shard, so that a suffix of epochs stays."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from tailrace.batch.base import LakeFile, LakeSnapshot, WritableLake


@dataclass(frozen=True, slots=True)
class Retained:
    """What a call let go."""

    snapshot: LakeSnapshot
    files: int
    rows: int
    bytes: int


def plan_retention(
    files: Sequence[LakeFile], frontier: Mapping[str, int], before_us: int, bytes_max: int
) -> list[LakeFile]:
    """Files to let go. `files`: the lake's, by shard and epoch.

    A shard's oldest files go while all their records arrived before `before_us`; then the oldest of all shards while the lake
    has more than `bytes_max` bytes (0: no limit). A file with an epoch after the shard's frontier stays, whatever that costs:
    its states have not been computed yet.
    """
    queues = [_movable(shard, list(mine), frontier) for shard, mine in groupby(files, key=lambda f: f.shard_id)]
    excess = sum(f.bytes for f in files) - bytes_max if bytes_max else 0
    going: list[LakeFile] = []
    for arrived_us, file in heapq.merge(*queues, key=lambda aged: aged[0]):
        if arrived_us >= before_us and excess <= 0:
            break
        going.append(file)
        excess -= file.bytes
    return going


def _movable(shard: str, files: Sequence[LakeFile], frontier: Mapping[str, int]) -> Iterator[tuple[int, LakeFile]]:
    """Files up to the frontier, each with the latest arrival in it and all before it: no file goes before an older one."""
    through = frontier.get(shard, 0)
    handed_over = [f for f in files if f.epoch_last <= through]
    return zip(accumulate((f.arrived_max_us for f in handed_over), max), handed_over, strict=True)


def retain(lake: WritableLake, frontier: Mapping[str, int], before_us: int = 0, bytes_max: int = 0) -> Retained | None:
    """Let go what `plan_retention` says, in one commit; None if that is nothing. `frontier`: last epoch a shard that has states.

    `before_us`: microseconds since 1970; 0: nothing goes for its age. Raises Conflict or Fenced as `drop` does: then nothing has gone.
    """
    going = plan_retention(lake.current().files, frontier, before_us, bytes_max)
    if not going:
        return None
    return Retained(lake.drop(going), len(going), sum(f.rows for f in going), sum(f.bytes for f in going))
