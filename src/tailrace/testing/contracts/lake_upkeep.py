"""Contract of a lake: merged files, files let go, and when files leave the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tailrace.batch.base import LakeMark, LakeMerge, LakeTrim, WritableLake
from tailrace.batch.compaction import compact, merge_files
from tailrace.batch.retention import retain
from tailrace.errors import Conflict, Invalid
from tailrace.stream.base import Block
from tailrace.testing.contracts.lake_harness import (
    ARRIVED_US,
    A,
    B,
    LakeCase,
    LakeHarness,
    append_blocks,
    expected_rows,
    read_file,
    read_rows,
    sample_block,
    stage_blocks,
)

LINES = 10
KEPT_S = 601
"""After so long a file that no snapshot names may go."""


def blocks_of(shard: str, first_epoch: int, last_epoch: int) -> list[Block]:
    return [
        sample_block(shard, epoch, (epoch - 1) * LINES, LINES, dictionary=epoch % 3 == 0)
        for epoch in range(first_epoch, last_epoch + 1)
    ]


def append_each(lake: WritableLake, blocks: list[Block]) -> None:
    """A file a block, in one append."""
    marks = {block.shard_id: LakeMark(block.epoch, block.last_offset) for block in blocks}
    lake.append([stage_blocks(lake, [block]) for block in blocks], marks)


def on_disk(lake: WritableLake) -> set[Path]:
    return {path for path in lake.data_dir.rglob("*") if path.is_file()}


def merge_all(lake: WritableLake, shard: str) -> LakeMerge:
    files = tuple(file for file in lake.files() if file.shard_id == shard)
    return LakeMerge(files, merge_files(lake, files))


class UpkeepCases(LakeCase):
    """Compaction changes nothing but files; retention says what it took; nobody loses a file that he has listed."""

    def test_compaction_changes_no_row_no_order_and_no_mark(self, harness: LakeHarness, lake: WritableLake) -> None:
        blocks = {A: blocks_of(A, 1, 9), B: blocks_of(B, 1, 12)}
        append_each(lake, blocks[A] + blocks[B])
        before = lake.current()
        whole = pa.concat_tables([read_file(file) for file in before.files])
        done = compact(lake)
        assert done is not None
        assert (done.files, done.merged, done.rows) == (21, 2, before.totals.rows)
        after = lake.current()
        assert after == done.snapshot == harness.open_reader().current()
        assert (after.marks, after.totals.rows, after.trimmed) == (before.marks, before.totals.rows, {})
        assert [(f.shard_id, f.epoch_first, f.epoch_last) for f in after.files] == [(A, 1, 9), (B, 1, 12)]
        assert pa.concat_tables([read_file(file) for file in after.files]).equals(whole)
        assert read_rows(after.files) == expected_rows(blocks[A] + blocks[B])
        assert compact(lake) is None

    def test_a_merged_file_says_what_its_parts_said(self, lake: WritableLake) -> None:
        append_each(lake, blocks_of(A, 1, 8))
        parts = lake.files()
        compact(lake)
        (file,) = lake.files()
        assert (file.epoch_first, file.epoch_last, file.rows) == (1, 8, sum(f.rows for f in parts))
        assert file.time_min_us == min(f.time_min_us for f in parts)
        assert file.time_max_us == max(f.time_max_us for f in parts)
        assert (file.arrived_min_us, file.arrived_max_us) == (ARRIVED_US, ARRIVED_US + 7 * LINES)
        assert (file.bytes, file.columns) == (file.path.stat().st_size, parts[0].columns)

    def test_the_lake_goes_on_after_a_compaction(self, harness: LakeHarness) -> None:
        lake = harness.open_writer()
        blocks = blocks_of(A, 1, 18)
        for block in blocks:
            append_blocks(lake, [block])
            compact(lake)
        lake.close()
        lake = harness.open_writer()
        assert len(lake.files()) == 2 + 2
        assert lake.position() == {A: LakeMark(18, 179)}
        assert read_rows(lake.files()) == expected_rows(blocks)
        assert lake.totals().rows == 162
        lake.close()

    def test_readers_of_an_old_snapshot_go_on(self, harness: LakeHarness, lake: WritableLake) -> None:
        blocks = blocks_of(A, 1, 8)
        append_each(lake, blocks)
        reader = harness.open_reader()
        pin = lake.snapshot_id()
        listed = reader.files()
        compact(lake)
        lake.clean()
        assert reader.files(pin) == listed
        assert read_rows(listed) == expected_rows(blocks) == read_rows(reader.files())

    def test_replaced_files_go_ten_minutes_after_the_last_snapshot_that_names_them(
        self, harness: LakeHarness, lake: WritableLake
    ) -> None:
        append_each(lake, blocks_of(A, 1, 8))
        old = {file.path for file in lake.files()}
        compact(lake)
        new = {file.path for file in lake.files()}
        harness.clock.advance(KEPT_S)
        assert lake.clean() == 0
        assert on_disk(lake) == old | new
        harness.clock.advance(KEPT_S)
        assert lake.clean() == 8
        assert on_disk(lake) == new
        assert lake.clean() == 0

    def test_a_restart_takes_no_file_from_a_reader_and_forgets_none(self, harness: LakeHarness) -> None:
        lake = harness.open_writer()
        append_each(lake, blocks_of(A, 1, 8))
        old = {file.path for file in lake.files()}
        compact(lake)
        new = {file.path for file in lake.files()}
        for wait_s in (0, KEPT_S, KEPT_S / 2):
            harness.clock.advance(wait_s)
            lake.close()
            lake = harness.open_writer()
            lake.clean()
            assert on_disk(lake) == old | new
        harness.clock.advance(KEPT_S / 2)
        lake.close()
        lake = harness.open_writer()
        assert on_disk(lake) == new
        lake.close()

    def test_parts_that_are_not_there_are_a_conflict(self, lake: WritableLake) -> None:
        append_each(lake, blocks_of(A, 1, 8))
        first, second = merge_all(lake, A), merge_all(lake, A)
        lake.replace([first])
        after = lake.current()
        with pytest.raises(Conflict, match="no longer in the lake"):
            lake.replace([second])
        with pytest.raises(Conflict, match="no longer in the lake"):
            lake.drop(first.files)
        assert lake.current() == after

    def test_a_merge_must_be_of_neighbours_and_whole(self, lake: WritableLake) -> None:
        append_each(lake, blocks_of(A, 1, 3) + blocks_of(B, 1, 1))
        before = lake.current()
        merge = merge_all(lake, A)
        first, middle, last = merge.files
        beyond = before.files[3]
        for parts, message in (
            ((first, last), "not neighbours"),
            ((last, middle), "not neighbours"),
            ((first, middle, last, beyond), "not neighbours"),
            ((first, middle), "rows, and its parts have"),
        ):
            with pytest.raises(Invalid, match=message):
                lake.replace([replace(merge, files=parts)])
        with pytest.raises(Invalid, match="twice"):
            lake.replace([merge, merge])
        assert lake.current() == before

    def test_what_is_let_go_is_counted(self, harness: LakeHarness, lake: WritableLake) -> None:
        append_each(lake, blocks_of(A, 1, 4) + blocks_of(B, 1, 2))
        marks = lake.position()
        after = lake.drop([f for f in lake.files() if f.epoch_last <= 2])
        assert after.trimmed == {A: LakeTrim(18, 2), B: LakeTrim(18, 2)}
        assert (after.marks, after.totals.rows, after.totals.files) == (marks, 18, 2)
        assert read_rows(after.files) == expected_rows(blocks_of(A, 3, 4))
        after = lake.drop(after.files[:1])
        assert after.trimmed == {A: LakeTrim(27, 3), B: LakeTrim(18, 2)}
        assert harness.open_reader().current() == after

    def test_the_count_of_what_was_let_go_stays(self, harness: LakeHarness) -> None:
        lake = harness.open_writer()
        append_each(lake, blocks_of(A, 1, 3))
        lake.drop(lake.files()[:2])
        append_each(lake, blocks_of(A, 4, 12))
        compact(lake)
        lake.close()
        lake = harness.open_writer()
        assert lake.current().trimmed == {A: LakeTrim(18, 2)}
        assert lake.totals().rows + 18 == 12 * 9
        lake.close()

    def test_only_the_oldest_may_be_let_go(self, lake: WritableLake) -> None:
        append_each(lake, blocks_of(A, 1, 3))
        before = lake.current()
        with pytest.raises(Invalid, match="before older files"):
            lake.drop([before.files[0], before.files[2]])
        assert lake.current() == before

    def test_what_was_let_go_leaves_the_disk_when_nobody_reads_it(
        self, harness: LakeHarness, lake: WritableLake
    ) -> None:
        append_each(lake, blocks_of(A, 1, 3))
        listed = lake.files()
        done = retain(lake, {A: 3}, before_us=ARRIVED_US + 2 * LINES)
        assert done is not None
        assert (done.files, done.rows, done.bytes) == (2, 18, sum(f.bytes for f in listed[:2]))
        assert len(read_rows(listed)) == 27
        for _ in range(2):
            harness.clock.advance(KEPT_S)
            lake.clean()
        assert on_disk(lake) == {listed[2].path}

    def test_a_lake_may_be_emptied_and_filled_again(self, lake: WritableLake) -> None:
        append_each(lake, blocks_of(A, 1, 3))
        after = lake.drop(lake.files())
        assert (after.files, after.totals.rows, after.trimmed) == ((), 0, {A: LakeTrim(27, 3)})
        append_each(lake, blocks_of(A, 4, 4))
        assert read_rows(lake.files()) == expected_rows(blocks_of(A, 4, 4))
