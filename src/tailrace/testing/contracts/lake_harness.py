"""What the cases of the lake's contract share: how a lake is made, and rows to put into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace.batch.base import Lake, LakeFile, LakeMark, StagedFile, WritableLake
from tailrace.batch.consumer import lake_rows
from tailrace.model.shard import shard_id
from tailrace.runtime.clock import ManualClock
from tailrace.stream.base import Block
from tailrace.testing.contracts.stream_samples import sample_batch

A, B = shard_id(0), shard_id(1)
ARRIVED_US = 1_800_000_000_000_000


class LakeHarness(Protocol):
    """One lake for one test, with the typed fields `FIELDS`. `clock`: that of its writers; it begins at the machine's time."""

    clock: ManualClock

    def open_writer(self) -> WritableLake: ...

    def open_reader(self) -> Lake:
        """A handle as another process would have it; it may be opened before the first writer."""
        ...


def sample_block(shard: str, epoch: int, first: int, count: int, *, dictionary: bool = False) -> Block:
    """Lines `first`..`first + count - 1` of a shard, whose offsets are their numbers; every tenth is a dead letter."""
    numbers = range(first, first + count)
    batch = sample_batch(shard, numbers, dead=[n for n in numbers if n % 10 == 9], dictionary=dictionary)
    return Block(shard, epoch, first, count, ARRIVED_US + first, batch.columns)


def stage_blocks(lake: WritableLake, blocks: Sequence[Block]) -> StagedFile:
    stage = lake.stage(blocks[0].shard_id, blocks[0].epoch, blocks[-1].epoch)
    for block in blocks:
        stage.write(lake_rows(block))
    staged = stage.finish()
    assert staged is not None
    return staged


def append_blocks(lake: WritableLake, blocks: Sequence[Block]) -> int:
    """One append of one shard's blocks; the snapshot's id."""
    last = blocks[-1]
    snapshot = lake.append([stage_blocks(lake, blocks)], {last.shard_id: LakeMark(last.epoch, last.last_offset)})
    assert snapshot.totals.snapshot_id is not None
    return snapshot.totals.snapshot_id


def expected_rows(blocks: Sequence[Block]) -> list[dict[str, object]]:
    """The rows that a lake holds of `blocks`: their good records, and where each stood in the stream."""
    rows = []
    for block in blocks:
        assert block.columns is not None
        for offset, row in enumerate(block.columns.to_pylist(), block.first_offset):
            if row.pop("verdict") == 0:
                rows.append({**row, "_shard": block.shard_id, "_offset": offset, "_epoch": block.epoch})
    return rows


def read_file(file: LakeFile) -> pa.Table:
    return pq.read_table(file.path, partitioning=None)


def read_rows(files: Sequence[LakeFile]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [row for file in files for row in read_file(file).to_pylist()]
    for row in rows:
        del row["_arrived_at"]
    return rows


class LakeCase:
    """Base of the cases."""

    def make_harness(self, folder: Path) -> LakeHarness:
        raise NotImplementedError("say how to make the lake under test")

    @pytest.fixture
    def harness(self, tmp_path: Path) -> LakeHarness:
        return self.make_harness(tmp_path)

    @pytest.fixture
    def lake(self, harness: LakeHarness) -> Iterator[WritableLake]:
        lake = harness.open_writer()
        yield lake
        lake.close()
