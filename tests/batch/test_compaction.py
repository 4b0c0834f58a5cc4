"""The plan of compaction: every row in one file before and after, each row rewritten a bounded number of times, few files left."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.batch.base import LakeFile
from tailrace.batch.compaction import (
    DAY_US,
    SPAN_MIN_US,
    CompactionPolicy,
    arrival_span_us,
    compact,
    merge_files,
    plan_compaction,
)
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.outdated import AGE_US
from tailrace.errors import Corrupt
from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields
from tailrace.runtime.checked_files import file_checksum
from tailrace.runtime.clock import ManualClock, SystemClock
from tailrace.runtime.mark import read_mark
from tailrace.testing.contracts.lake_harness import (
    A,
    B,
    append_blocks,
    expected_rows,
    read_rows,
    sample_block,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL = CompactionPolicy(
    rows_target=4096, bytes_target=1 << 40, arrival_span_us=100, files_min=4, growth=3, files_waiting=12
)
SETTLED_ROWS = SMALL.rows_target // 4


def file(shard: str, epoch: int, rows: int, at_us: int = 0, size: int = 0) -> LakeFile:
    return LakeFile(Path(f"{epoch}"), shard, epoch, epoch, rows, size, 0, 0, frozenset(), at_us, at_us)


def merged(run: Sequence[LakeFile]) -> LakeFile:
    return replace(
        run[0],
        epoch_last=run[-1].epoch_last,
        rows=sum(f.rows for f in run),
        bytes=sum(f.bytes for f in run),
        arrived_max_us=run[-1].arrived_max_us,
    )


class Simulated:
    """Files of a lake, as appends and compactions change them. `rewritten`: rows that merges have written."""

    def __init__(self, policy: CompactionPolicy) -> None:
        self.policy = policy
        self.files: list[LakeFile] = []
        self.rewritten = 0
        self.most = 0

    def append(self, added: LakeFile) -> None:
        self.files = sorted([*self.files, added], key=lambda f: (f.shard_id, f.epoch_first))
        while runs := plan_compaction(self.files, self.policy):
            for run in runs:
                self._replace(run)
        self.most = max(self.most, len(self.files))

    def _replace(self, run: list[LakeFile]) -> None:
        first = self.files.index(run[0])
        assert self.files[first : first + len(run)] == run
        assert len({f.shard_id for f in run}) == 1 < len(run)
        self.rewritten += sum(f.rows for f in run)
        self.files[first : first + len(run)] = [merged(run)]


SIZES = st.lists(
    st.one_of(st.integers(1, 3), st.integers(1, 300), st.sampled_from([1, 10, 100, 1000, 5000])),
    min_size=1,
    max_size=250,
)


@given(SIZES, st.integers(1, 40))
def test_rows_are_kept_and_rewritten_a_bounded_number_of_times(sizes: list[int], step_us: int) -> None:
    lake = Simulated(SMALL)
    for epoch, rows in enumerate(sizes, 1):
        lake.append(file((A, B)[epoch % 2], epoch, rows, at_us=epoch * step_us))
    for shard in (A, B):
        mine = [f for f in lake.files if f.shard_id == shard]
        own = [rows for epoch, rows in enumerate(sizes, 1) if (A, B)[epoch % 2] == shard]
        assert sum(f.rows for f in mine) == sum(own)
        assert all(one.epoch_last < two.epoch_first for one, two in pairwise(mine))
    bound = sum(rows * (3 + math.log2(max(SETTLED_ROWS / rows, 1))) for rows in sizes if rows < SETTLED_ROWS)
    assert lake.rewritten <= bound
    for held in lake.files:
        assert held.arrived_max_us // 100 == held.arrived_min_us // 100
        assert held.rows <= max(SMALL.rows_target, *sizes)


@given(SIZES)
def test_few_files_are_left(sizes: list[int]) -> None:
    """Between settled files: at most as many as may wait, or those of a run too short at each of its doublings."""
    lake = Simulated(replace(SMALL, arrival_span_us=DAY_US))
    for epoch, rows in enumerate(sizes, 1):
        lake.append(file(A, epoch, rows))
    settled = sum(1 for f in lake.files if SMALL.settled(f))
    between = max(SMALL.files_waiting, (SMALL.files_min - 1) * (2 + math.log2(SETTLED_ROWS)))
    assert len(lake.files) <= settled + (settled + 1) * between


@pytest.mark.parametrize(("rows", "times", "most"), [(500, 3.5, 40), (50_000, 1.7, 100), (600_000, 0.0, 2000)])
def test_what_a_row_costs_at_a_steady_rate(rows: int, times: float, most: int) -> None:
    """Files of one size every ten seconds: most are merged eightfold, sixfold after that; large ones never."""
    lake = Simulated(CompactionPolicy())
    for epoch in range(1, 2001):
        lake.append(file(A, epoch, rows, at_us=epoch * 10_000_000, size=rows * 15))
    assert lake.rewritten <= times * rows * 2000
    assert lake.most <= most


def test_files_of_a_quarter_of_a_target_are_left_alone() -> None:
    by_rows = [file(A, epoch, 500_000) for epoch in range(1, 50)]
    by_bytes = [file(A, epoch, 1, size=16 << 20) for epoch in range(1, 50)]
    assert plan_compaction(by_rows, CompactionPolicy()) == plan_compaction(by_bytes, CompactionPolicy()) == []


def test_a_long_past_of_small_files_is_merged_in_bounded_runs() -> None:
    files = [file(A, epoch, 500) for epoch in range(1, 10_001)]
    (run,) = plan_compaction(files, CompactionPolicy())
    assert run == files[:512]


def test_files_of_different_spans_are_not_merged_and_a_span_that_is_over_is_tidied() -> None:
    days = [file(A, epoch, 10 * epoch, at_us=epoch // 5 * DAY_US) for epoch in range(1, 10)]
    assert plan_compaction(days, CompactionPolicy()) == [days[:4]]
    assert plan_compaction(days[4:], CompactionPolicy()) == []


def test_shards_with_the_most_to_spare_come_first() -> None:
    files = [file(A, e, 1000) for e in range(1, 10)] + [file(B, e, 10) for e in range(1, 10)]
    assert [run[0].shard_id for run in plan_compaction(files, CompactionPolicy())] == [B, A]


def test_spans_follow_the_retention() -> None:
    assert arrival_span_us(0) == arrival_span_us(400 * DAY_US) == DAY_US
    assert arrival_span_us(DAY_US) == DAY_US // 24
    assert arrival_span_us(1) == SPAN_MIN_US


def test_a_call_does_a_bounded_amount(tmp_path: Path) -> None:
    lake = IcebergLake(tmp_path, DEFAULT_FIELDS)
    for epoch in range(1, 5):
        append_blocks(lake, [sample_block(A, epoch, epoch * 10 - 10, 10)])
        append_blocks(lake, [sample_block(B, epoch, epoch * 10 - 10, 10)])
    done = [compact(lake, SMALL, rows_max=40) for _ in range(3)]
    assert [(d.files, d.rows) if d else None for d in done] == [(4, 36), (4, 36), None]
    lake.close()


def test_files_of_other_fields_stay_apart(tmp_path: Path) -> None:
    blocks = [sample_block(A, epoch, epoch * 10 - 10, 10) for epoch in range(1, 17)]
    lake = IcebergLake(tmp_path, DEFAULT_FIELDS)
    for block in blocks[:8]:
        append_blocks(lake, [block])
    lake.close()
    lake = IcebergLake(tmp_path, Fields((*DEFAULT_FIELDS.all, Field("region", FieldKind.TEXT))))
    for block in blocks[8:]:
        append_blocks(lake, [block])
    while compact(lake) is not None:
        pass
    older, younger = lake.files()
    assert ("region" in older.columns, "region" in younger.columns) == (False, True)
    assert (older.epoch_last, younger.epoch_first) == (8, 9)
    rows = [{name: value for name, value in row.items() if name != "region"} for row in read_rows([older, younger])]
    assert rows == expected_rows(blocks)
    lake.close()


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "cut"])
def test_a_part_that_cannot_be_read_leaves_the_lake_as_it_was(tmp_path: Path, gone: bool) -> None:
    lake = IcebergLake(tmp_path, DEFAULT_FIELDS)
    for epoch in range(1, 9):
        append_blocks(lake, [sample_block(A, epoch, epoch * 10 - 10, 10)])
    before = lake.current()
    victim = before.files[3].path
    if gone:
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-20])
    on_disk = {path for path in lake.data_dir.rglob("*") if path.is_file()}
    with pytest.raises(Corrupt) as raised:
        compact(lake)
    assert raised.value.path == str(victim)
    assert lake.current() == before
    assert {path for path in lake.data_dir.rglob("*") if path.is_file()} == on_disk
    lake.close()


def test_a_part_with_a_flipped_bit_is_not_merged(tmp_path: Path) -> None:
    """A merged file has a checksum of its own: damage would be sealed in."""
    lake = IcebergLake(tmp_path, DEFAULT_FIELDS)
    for epoch in range(1, 9):
        append_blocks(lake, [sample_block(A, epoch, epoch * 10 - 10, 10)])
    before = lake.current()
    path = before.files[5].path
    data = path.read_bytes()
    path.write_bytes(bytes([*data[:40], data[40] ^ 1, *data[41:]]))
    with pytest.raises(Corrupt, match=path.name):
        compact(lake, SMALL)
    assert lake.current() == before
    path.write_bytes(data)
    done = compact(lake, SMALL)
    assert done is not None
    (file,) = done.snapshot.files
    assert file.checksum == file_checksum(file.path)
    assert read_mark(tmp_path)[0] == lake._table.metadata.last_sequence_number == 9
    lake.close()
    # What was replaced is known by its name after a restart, and goes in its time.
    clock = ManualClock(SystemClock().now_us() + 2 * AGE_US)
    again = IcebergLake(tmp_path, DEFAULT_FIELDS, clock)
    again.clean()
    clock.advance(AGE_US // 1_000_000 + 1)
    assert again.clean() == 8
    assert [p.name for p in tmp_path.glob("warehouse/logs/data/*/*")] == [file.path.name]
    described = {p.name for p in tmp_path.glob("warehouse/logs/metadata/*")}
    assert {n for n in described if n.endswith(".crc")} == {f".{n}.crc" for n in described if not n.endswith(".crc")}
    again.close()


def test_a_part_with_other_rows_than_the_lake_says_is_corrupt(tmp_path: Path) -> None:
    lake = IcebergLake(tmp_path, DEFAULT_FIELDS)
    append_blocks(lake, [sample_block(A, 1, 0, 10)])
    (held,) = lake.files()
    with pytest.raises(Corrupt, match="it has `9` rows, and the lake says `10`"):
        merge_files(lake, [replace(held, rows=10)])
    lake.close()
