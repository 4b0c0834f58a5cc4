"""The seam between the batch layer and its lake: the immutable history of records, and how far it has read the stream.

Written by the batch process only; read by batch (recompute), queries and the pipeline's status page, from any process.
Lakes pass `tailrace.testing.contracts.lake`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class LakeMark:
    """How far the lake has read one shard: all of `epoch`, whose last line is `last_offset` (dead letters count as lines)."""

    epoch: int = 0
    last_offset: int = -1


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One immutable Parquet file: all good records of `shard_id` in epochs `epoch_first`..`epoch_last`, in offset order.

    `time_min_us`..`time_max_us`: the event times in it, inclusive; `arrived_min_us`..`arrived_max_us`: when its records reached
    the stream. `columns`: those it has; a field that the configuration got later is not among them. `schema`: the same with their
    types (None: those of now). `checksum`: CRC-32 of its bytes; older files have none. `offset_first`..`offset_last`: of its records.
    """

    path: Path
    shard_id: str
    epoch_first: int
    epoch_last: int
    rows: int
    bytes: int
    time_min_us: int
    time_max_us: int
    columns: frozenset[str] = frozenset()
    arrived_min_us: int = 0
    arrived_max_us: int = 0
    schema: pa.Schema | None = None
    checksum: int | None = None
    offset_first: int = 0
    offset_last: int = -1


@dataclass(frozen=True, slots=True)
class LakeTrim:
    """What retention has let go of one shard since the beginning: `rows` records, all in epochs up to `through_epoch`."""

    rows: int = 0
    through_epoch: int = 0


@dataclass(frozen=True, slots=True)
class LakeTotals:
    """What a snapshot holds. `snapshot_id` is None before the first append."""

    snapshot_id: int | None = None
    rows: int = 0
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class LakeSnapshot:
    """The lake at one moment; marks, files and trims belong together. A shard without a mark has not been read.

    Of each shard, the records stored so far are those in its files and `trimmed.rows` more, all of them older.
    """

    totals: LakeTotals = field(default_factory=LakeTotals)
    marks: Mapping[str, LakeMark] = field(default_factory=dict)
    files: tuple[LakeFile, ...] = ()
    trimmed: Mapping[str, LakeTrim] = field(default_factory=dict)

    def mark(self, shard_id: str) -> LakeMark:
        return self.marks.get(shard_id, LakeMark())


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that is written and on disk, and that no snapshot names yet. `location` is the lake's own name for it."""

    path: Path
    location: str
    shard_id: str
    epoch_first: int
    epoch_last: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LakeMerge:
    """`files`: neighbours of one shard, in order; `merged`: a staged file that holds their rows, in the same order."""

    files: tuple[LakeFile, ...]
    merged: StagedFile


class Lake(Protocol):
    """A lake as its readers see it. Thread-safe; cheap to ask often. `data_dir`: all its files are below this folder."""

    @property
    def data_dir(self) -> Path: ...

    def current(self) -> LakeSnapshot:
        """The newest snapshot."""
        ...

    def position(self) -> Mapping[str, LakeMark]:
        """Marks of the newest snapshot, by shard."""
        ...

    def files(self, snapshot_id: int | None = None) -> list[LakeFile]:
        """Files of a snapshot (default: the newest), by shard and epoch.

        Raises NotFound for a snapshot that is no longer kept. Files stay readable for ten minutes after the last snapshot that
        lists them has gone.
        """
        ...

    def totals(self) -> LakeTotals: ...

    def snapshot_id(self) -> int | None:
        """Id of the newest snapshot, for `files`; None before the first append."""
        ...

    def close(self) -> None: ...


class Stage(Protocol):
    """One file being written. Holds one row group in memory at most."""

    def write(self, rows: pa.Table) -> None:
        """Add records in offset order: the stream's typed columns, `extra`, and `LAKE_COLUMNS`; text may be dictionary-encoded."""
        ...

    def finish(self) -> StagedFile | None:
        """Close the file; returns once it is on disk. None if nothing was written."""
        ...

    def discard(self) -> None:
        """Remove what was written."""
        ...


class WritableLake(Lake, Protocol):
    """The lake as the one batch process sees it. Opening a second one raises Conflict while the first lives."""

    def stage(self, shard_id: str, epoch_first: int, epoch_last: int, like: LakeFile | None = None) -> Stage:
        """Begin a file; nobody sees it until `append` or `replace` names it. It has the columns of `like` (None: those of now).

        What a crash leaves behind is removed by an open or a `clean` that finds it ten minutes old.
        """
        ...

    def append(self, files: Sequence[StagedFile], marks: Mapping[str, LakeMark]) -> LakeSnapshot:
        """Make the files and the new marks visible together; durable on return. Shards not in `marks` keep theirs.

        Raises Conflict if somebody else has changed the table since the last `current` or `position` of this object, and
        Fenced if that was another Tailrace that moved the marks: then nothing has changed. Raises Invalid if a mark goes back.
        """
        ...

    def replace(self, merges: Sequence[LakeMerge]) -> LakeSnapshot:
        """Put merged files in the place of their parts, all at once; marks and rows stay; durable on return.

        Raises Conflict if a part is not in the newest snapshot, or as `append` does; Invalid unless the parts of each merge are
        neighbours and the merged file has as many rows. Then nothing has changed.
        """
        ...

    def drop(self, files: Sequence[LakeFile]) -> LakeSnapshot:
        """Let files go, all at once, and add their rows to `trimmed`; marks stay; durable on return.

        Raises Conflict as `replace` does, Invalid unless the files are the oldest of their shards.
        """
        ...

    def clean(self) -> int:
        """Delete files that nobody can still be reading; how many. Cheap when there are none; call it every few seconds.

        That is: no kept snapshot has named them for ten minutes. Snapshots that keep such files, and have been superseded for
        ten minutes, are let go here too. Raises Conflict or Fenced as `append` does.
        """
        ...
