"""One view version in the speed layer: how far it has read, what it has computed, and whether it has more keys than may be held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import pyarrow as pa

from tailrace.speed.base import EpochStates, VersionStates
from tailrace.states.tables import StateTables
from tailrace.views import CompiledView


class Mode(Enum):
    """FULL: states of every record. COUNTING: over its budget, records are only counted and batch alone answers. RETURNING: computes
    again from the frontier on, and batch alone answers until it has caught up.
    """

    FULL = "full"
    COUNTING = "counting"
    RETURNING = "returning"


@dataclass(frozen=True, slots=True)
class Covered:
    """What batch alone stands for: shard -> first offset above the frontier, and the time that it is complete through."""

    next_offsets: Mapping[str, int] = field(default_factory=dict)
    through_us: int | None = None


@dataclass(slots=True)
class Version:
    """Mutable, owned by the speed thread. `next_offset`: shard -> first offset not read; `computed`: not computed."""

    view: CompiledView
    next_offset: dict[str, int] = field(default_factory=dict)
    computed: dict[str, int] = field(default_factory=dict)
    epochs: dict[tuple[str, int], EpochStates] = field(default_factory=dict)
    waiting: dict[tuple[str, int], list[pa.Table]] = field(default_factory=dict)
    waiting_records: int = 0
    complete_through_us: int | None = None
    change: int = 0
    announced: bool = False
    mode: Mode = Mode.FULL
    covered: Covered = field(default_factory=Covered)
    gave_up_s: float = 0.0
    gave_up_keys: int = 0
    gave_up_records: int = 0

    def states(self) -> VersionStates:
        if self.mode is not Mode.FULL:
            covered = self.covered
            return VersionStates((), covered.next_offsets, 0, covered.through_us, self.change, batch_only=True)
        epochs = tuple(self.epochs[key] for key in sorted(self.epochs))
        return VersionStates(epochs, dict(self.computed), self.waiting_records, self.complete_through_us, self.change)

    def move_to(self, shard: str, offset: int) -> None:
        """Read on from `offset`, unless it has got further already."""
        self.next_offset[shard] = max(self.next_offset.get(shard, 0), offset)
        self.computed[shard] = max(self.computed.get(shard, 0), offset)

    def has_read(self, shard: str, offset: int) -> None:
        """Everything before `offset`. What is only counted has then been dealt with."""
        self.next_offset[shard] = offset
        if self.mode is Mode.COUNTING:
            self.computed[shard] = offset

    def take(self, shard: str, epoch: int, records: pa.Table) -> None:
        """Let records wait, or only count them."""
        if self.mode is Mode.COUNTING:
            known = self.epochs.get((shard, epoch), EpochStates(shard, epoch, 0, ()))
            self.epochs[shard, epoch] = EpochStates(shard, epoch, known.records + records.num_rows, ())
            return
        self.waiting.setdefault((shard, epoch), []).append(records)
        self.waiting_records += records.num_rows

    def newest(self) -> list[EpochStates]:
        """Of each shard, the newest epoch of which there is anything."""
        found = {shard: self.epochs[shard, epoch] for shard, epoch in sorted(self.epochs)}
        return list(found.values())

    def give_up(self, now_s: float) -> None:
        """Hold no states any more. What waits has been computed before."""
        newest = self.newest()
        self.gave_up_s = now_s
        self.gave_up_keys, self.gave_up_records = keys_of(newest), sum(states.records for states in newest)
        self.mode = Mode.COUNTING
        for key, states in self.epochs.items():
            self.epochs[key] = EpochStates(states.shard, states.epoch, states.records, (), states.sealed)
        self.change += 1

    def keys_expected(self) -> float:
        """Keys that an epoch would take by its records, if they were as many a record as when the version gave up."""
        records = sum(states.records for states in self.newest())
        return records * self.gave_up_keys / max(self.gave_up_records, 1)

    def return_from(self, offsets: Mapping[str, int]) -> None:
        """Read and compute again from `offsets` on."""
        self.mode = Mode.RETURNING
        self.epochs, self.waiting, self.waiting_records = {}, {}, 0
        self.next_offset, self.computed = dict(offsets), dict(offsets)


def keys_of(epochs: list[EpochStates]) -> int:
    """Rows of their largest state tables: at least one a key, and more where quantiles or distinct counts need them."""
    return sum(_rows(part) for states in epochs for part in states.parts)


def _rows(tables: StateTables) -> int:
    return max((table.num_rows for table in tables.values()), default=0)
