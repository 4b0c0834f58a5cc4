"""What a node looks like every few seconds: lag, memory, disk, rate. A moment in which it cannot answer has no lag."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tailrace.bench.processes import pss_bytes
from tailrace.testing.node import RunningNode

FOLDERS = ("stream", "states", "lake")
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sample:
    """`posts`: acknowledged so far, of each sender. `memory`: role -> PSS in bytes. `disk`: folder -> bytes. Lags in lines, None while
    the node does not answer. `epochs`: shards times epochs up to the frontier, which only grows while batch works.
    """

    at_s: float
    posts: tuple[int, ...]
    memory: dict[str, int]
    disk: dict[str, int]
    speed_lag: int | None = None
    batch_lag: int | None = None
    shards: int | None = None
    epochs: int | None = None


def take(node: RunningNode, at_s: float, posts: tuple[int, ...]) -> Sample:
    memory = pss_bytes(node.pid)
    disk = disk_bytes(node.data_dir)
    state = _state(node)
    if state is None:
        return Sample(at_s, posts, memory, disk)
    shards = state["shards"]
    return Sample(
        at_s,
        posts,
        memory,
        disk,
        sum(shard["speed_lag_lines"] for shard in shards),
        sum(shard["batch_lag_lines"] for shard in shards),
        sum(shard["state"] == "open" for shard in shards),
        sum(state["frontier"].values()),
    )


def _state(node: RunningNode) -> dict[str, Any] | None:
    try:
        answer = node.get("/v1/pipeline")
        return answer.json if answer.status == 200 else None
    except (OSError, ValueError):
        return None


def disk_bytes(data_dir: Path) -> dict[str, int]:
    """Bytes of the files in each of FOLDERS, and of all others. A file that goes meanwhile counts as none."""
    found = dict.fromkeys((*FOLDERS, OTHER), 0)
    for folder, _, names in os.walk(data_dir):
        first = Path(folder).relative_to(data_dir).parts[:1]
        part = first[0] if first and first[0] in FOLDERS else OTHER
        for name in names:
            try:
                found[part] += os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return found


def append(path: Path, sample: Sample) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(sample)) + "\n")


def growth(samples: Sequence[Sample]) -> dict[str, tuple[int, int]]:
    """Role -> median PSS in the second fifth of the time and in the last: what grows without end shows as a difference."""
    fifth = max(1, len(samples) // 5)
    parts = samples[fifth : 2 * fifth] or samples, samples[-fifth:]
    roles = sorted({role for sample in samples for role in sample.memory})
    early, late = ({r: [s.memory[r] for s in part if r in s.memory] for r in roles} for part in parts)
    return {
        r: (int(statistics.median(early[r])), int(statistics.median(late[r]))) for r in roles if early[r] and late[r]
    }
