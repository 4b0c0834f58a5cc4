"""What serving sees of a speed layer: immutable snapshots of states, by view version, shard and epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tailrace.states.tables import StateTables
from tailrace.stream.base import Block
from tailrace.views import CompiledView


@dataclass(frozen=True, slots=True)
class EpochStates:
    """States of one epoch of one shard. `parts` may be unmerged; `records`: good records they were computed from."""

    shard: str
    epoch: int
    records: int
    parts: tuple[StateTables, ...]
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class VersionStates:
    """The states of one view version above the frontier: of every record before `next_offsets`, by shard, and of no other.

    `waiting`: records that the layer has read beyond that and computes when they are many, when their epoch is sealed, or when
    somebody asks. `complete_through_us`: every record acknowledged before this wall time is in the states; None: not known yet.
    `change`: grows with every change of the states. `batch_only`: the version has more keys than this layer holds; there are no states
    of it, `next_offsets` and `complete_through_us` are those of the frontier.
    """

    epochs: tuple[EpochStates, ...] = ()
    next_offsets: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    complete_through_us: int | None = None
    change: int = 0
    batch_only: bool = False


@dataclass(frozen=True, slots=True)
class SpeedSnapshot:
    """All of the layer's states at one moment.

    `versions`: those that have caught up with the stream since they were begun. `read_offsets`: shard -> first offset that the
    layer has not read. `newest_event_us`: largest event time seen, None before the first. `behind`: the last step did not reach
    the end that the stream had when it began.
    """

    versions: Mapping[str, VersionStates] = field(default_factory=dict)
    read_offsets: Mapping[str, int] = field(default_factory=dict)
    newest_event_us: int | None = None
    behind: bool = False

    def of(self, version: str) -> VersionStates:
        return self.versions.get(version, VersionStates())


class SpeedLayer(Protocol):
    """Driven by one thread of the node, which calls `follow` and `step`; `snapshot` and `demand` are safe from any thread."""

    def snapshot(self) -> SpeedSnapshot: ...

    def follow(self, views: Iterable[CompiledView], frontier: Mapping[str, int]) -> None:
        """Hold the states of exactly these versions above this frontier from now on."""
        ...

    def demand(self, version: str) -> bool:
        """Somebody looks at this version: for some seconds each step computes all it has read of it. True if so already."""
        ...

    def step(self) -> int:
        """Take in what is new in the stream; returns the lines read."""
        ...


MakeSpeed = Callable[[Callable[[CompiledView], None], Callable[[list[Block]], None]], SpeedLayer]
"""Makes a layer from `on_ready` (a version has caught up, told once) and `on_blocks` (every block, once, in order)."""
