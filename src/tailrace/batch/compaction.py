"""Merge neighbouring lake files into one: a pure plan, and its doing. No row changes, nor their order, only how many files there are.

Size-tiered, as the compaction of states is. Per shard, a run of neighbours is merged once it has `growth` times the rows of its
largest file: so eight files of one size become one, and six of those the next. Where sizes are so mixed that a run of this kind
does not come up, and many files wait, doubling is enough. A row that comes in a file of r rows is rewritten at most
3 + log2(settled / r) times, and about 1 + log6(settled / r) times where files are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from tailrace.batch.base import LakeFile, LakeMerge, LakeSnapshot, Stage, StagedFile, WritableLake
from tailrace.batch.consumer import remove_staged
from tailrace.errors import Conflict, Corrupt, Invalid
from tailrace.runtime.checked_files import CHECKED

DAY_US = 86_400_000_000
SPAN_MIN_US = 600_000_000
SPANS_PER_RETENTION = 24
ROWS_PER_CALL_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """When files are merged.

    A merged file has at most `rows_target` rows and `bytes_target` bytes (of its parts), and records that arrived in one span of
    `arrival_span_us`, counted from 1970. A file of a quarter of either target is settled: never rewritten. `files_min`: merge
    as many at least, unless the run is full or its span is over. `files_max`: at most, so that a run over a long past is bounded.
    `growth`: see above. `files_waiting`: more unsettled neighbours than this, and doubling is enough.
    """

    rows_target: int = 2_000_000
    bytes_target: int = 64 << 20
    arrival_span_us: int = DAY_US
    files_min: int = 8
    files_max: int = 512
    growth: int = 6
    files_waiting: int = 64

    def settled(self, file: LakeFile) -> bool:
        return 4 * file.rows >= self.rows_target or 4 * file.bytes >= self.bytes_target

    def span(self, file: LakeFile) -> int:
        return file.arrived_min_us // self.arrival_span_us


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a call did: `files` became `merged`, with `rows` rows and `bytes` bytes (of the old files)."""

    snapshot: LakeSnapshot
    files: int
    merged: int
    rows: int
    bytes: int


def arrival_span_us(retention_us: int) -> int:
    """A span for a lake that keeps `retention_us` (0: for ever), so that what is past its time goes soon: a 24th, a day at most."""
    return min(max(retention_us // SPANS_PER_RETENTION, SPAN_MIN_US), DAY_US) if retention_us else DAY_US


def plan_compaction(files: Sequence[LakeFile], policy: CompactionPolicy) -> list[list[LakeFile]]:
    """Runs to merge, the oldest of each shard; those that spare the most files for the rows first. `files`: by shard and epoch."""
    runs = [run for _, mine in groupby(files, key=lambda f: f.shard_id) if (run := _oldest_run(list(mine), policy))]
    return sorted(runs, key=lambda run: sum(f.rows for f in run) / len(run))


def _oldest_run(files: Sequence[LakeFile], policy: CompactionPolicy) -> list[LakeFile] | None:
    for stretch, over in _stretches(files, policy):
        run = _tiered_run(stretch, policy)
        if run is None and len(stretch) > policy.files_waiting:
            run = _doubling_run(stretch, policy)
        if run is None and over:
            run = _last_run(stretch, policy)
        if run is not None:
            return run
    return None


def _stretches(files: Sequence[LakeFile], policy: CompactionPolicy) -> Iterator[tuple[list[LakeFile], bool]]:
    """Neighbours of a shard that may be in one file; and whether their span is over, as a later file is in another."""
    spans = [list(mine) for _, mine in groupby(files, key=policy.span)]
    for place, mine in enumerate(spans):
        for (settled, _), stretch in groupby(mine, key=lambda file: (policy.settled(file), _columns(file))):
            if not settled:
                yield list(stretch), place + 1 < len(spans)


def _columns(file: LakeFile) -> tuple[object, ...]:
    """Files that were written under other fields stay apart: each is read by what it has."""
    return (file.columns,) if file.schema is None else tuple(zip(file.schema.names, file.schema.types, strict=True))


def _tiered_run(stretch: Sequence[LakeFile], policy: CompactionPolicy) -> list[LakeFile] | None:
    """The oldest run that grows enough or is full, as long as it may be."""
    for newest in range(len(stretch)):
        run, best = _Run(stretch, newest, policy), 0
        while run.widen_back():
            if len(run) >= policy.files_min and run.grows(policy.growth):
                best = len(run)
        if run.full:
            return run.files
        if best:
            run = _Run(stretch, newest, policy)
            while len(run) < best:
                run.widen_back()
            while run.widen_on(policy.growth):
                pass
            return run.files
    return None


def _doubling_run(stretch: Sequence[LakeFile], policy: CompactionPolicy) -> list[LakeFile] | None:
    """The oldest run in which each file has no more rows than all newer ones together."""
    for newest in range(len(stretch)):
        run = _Run(stretch, newest, policy)
        while run.widen_back():
            pass
        if len(run) >= policy.files_min:
            return run.files
    return None


def _last_run(stretch: Sequence[LakeFile], policy: CompactionPolicy) -> list[LakeFile] | None:
    """What is left of a span that is over, whatever the sizes: as much of it as fits one file."""
    run = _Run(stretch, 0, policy)
    while run.widen_on(growth=1):
        pass
    return run.files if len(run) > 1 else None


class _Run:
    """Files `first`..`last` of a stretch. `full`: an older neighbour was kept out by the targets alone."""

    def __init__(self, stretch: Sequence[LakeFile], place: int, policy: CompactionPolicy) -> None:
        self._stretch = stretch
        self._policy = policy
        self._first = self._last = place
        self._rows = self._rows_largest = stretch[place].rows
        self._bytes = stretch[place].bytes
        self.full = False

    def __len__(self) -> int:
        return self._last - self._first + 1

    @property
    def files(self) -> list[LakeFile]:
        return list(self._stretch[self._first : self._last + 1])

    def grows(self, growth: int) -> bool:
        """Whether every row in it comes into a file of `growth` times the rows of the one it is in."""
        return self._rows >= growth * self._rows_largest

    def widen_back(self) -> bool:
        """Take the next older file, if there is one and it has no more rows than the run."""
        if self._first == 0 or self._stretch[self._first - 1].rows > self._rows:
            return False
        if not self._fits(self._stretch[self._first - 1]):
            self.full = len(self) < self._policy.files_max
            return False
        self._first -= 1
        self._take(self._stretch[self._first])
        return True

    def widen_on(self, growth: int) -> bool:
        """Take the next newer file, if there is one and the run then still grows by `growth`."""
        if self._last + 1 == len(self._stretch):
            return False
        file = self._stretch[self._last + 1]
        if self._rows + file.rows < growth * max(self._rows_largest, file.rows) or not self._fits(file):
            return False
        self._last += 1
        self._take(file)
        return True

    def _fits(self, file: LakeFile) -> bool:
        policy = self._policy
        small = self._rows + file.rows <= policy.rows_target and self._bytes + file.bytes <= policy.bytes_target
        return small and len(self) < policy.files_max

    def _take(self, file: LakeFile) -> None:
        self._rows += file.rows
        self._bytes += file.bytes
        self._rows_largest = max(self._rows_largest, file.rows)


def compact(
    lake: WritableLake, policy: CompactionPolicy | None = None, rows_max: int = ROWS_PER_CALL_MAX
) -> Compacted | None:
    """Merge runs of `rows_max` rows together (or a single one that has more), in one commit; None if there is nothing to merge.

    Raises Corrupt for a file that cannot be read or has not the rows it should have, Conflict or Fenced as `replace` does: then
    the lake is as it was.
    """
    runs = _within(plan_compaction(lake.current().files, policy or CompactionPolicy()), rows_max)
    if not runs:
        return None
    merges: list[LakeMerge] = []
    try:
        merges.extend(LakeMerge(tuple(run), merge_files(lake, run)) for run in runs)
    except BaseException:
        remove_staged([merge.merged for merge in merges])
        raise
    try:
        snapshot = lake.replace(merges)
    except (Conflict, Invalid):
        remove_staged([merge.merged for merge in merges])
        raise
    parts = [file for run in runs for file in run]
    return Compacted(snapshot, len(parts), len(merges), sum(f.rows for f in parts), sum(f.bytes for f in parts))


def _within(runs: Sequence[list[LakeFile]], rows_max: int) -> list[list[LakeFile]]:
    taken: list[list[LakeFile]] = []
    rows = 0
    for run in runs:
        rows += sum(f.rows for f in run)
        if taken and rows > rows_max:
            break
        taken.append(run)
    return taken


def merge_files(lake: WritableLake, run: Sequence[LakeFile]) -> StagedFile:
    """One staged file with the rows of a run, in order. Holds a row group of a part, and one of the new file, in memory."""
    stage = begun(lake, run)
    try:
        for file in run:
            for rows in row_groups(file):
                stage.write(rows)
        merged = stage.finish()
    except BaseException:
        stage.discard()
        raise
    if merged is None:
        raise Invalid(f"`{run[0].path.name}` and its neighbours hold no rows")
    return merged


def begun(lake: WritableLake, run: Sequence[LakeFile]) -> Stage:
    """A file with the columns of its parts, which have the same ones. Raises Corrupt if the first part is not as it was written."""
    CHECKED.check(run[0].path, run[0].checksum)
    try:
        return lake.stage(run[0].shard_id, run[0].epoch_first, run[-1].epoch_last, like=run[0])
    except (pa.ArrowException, OSError) as error:
        raise Corrupt(str(run[0].path), str(error).splitlines()[0]) from error


def row_groups(file: LakeFile) -> Iterator[pa.Table]:
    """The rows of a file, text as a dictionary where it is stored as one. Raises Corrupt if they are not as they were written."""
    CHECKED.check(file.path, file.checksum)
    try:
        metadata = pq.read_metadata(file.path)
        if metadata.num_rows != file.rows:
            raise Corrupt(str(file.path), f"it has `{metadata.num_rows}` rows, and the lake says `{file.rows}`")
        with pq.ParquetFile(file.path, metadata=metadata, read_dictionary=dictionaries(metadata)) as parquet:
            for group in range(metadata.num_row_groups):
                yield parquet.read_row_group(group, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise Corrupt(str(file.path), str(error).splitlines()[0]) from error


def dictionaries(metadata: pq.FileMetaData) -> list[str]:
    """Text columns that the first row group stores as a dictionary."""
    group = metadata.row_group(0)
    columns = (group.column(place) for place in range(group.num_columns))
    return [c.path_in_schema for c in columns if c.physical_type == "BYTE_ARRAY" and c.has_dictionary_page]
