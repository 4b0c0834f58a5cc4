"""The contract of a lake, as tests.

A lake is checked by a subclass that says how to make one:

    class TestMine(LakeContract):
        def make_harness(self, folder):
            return MyHarness(folder)          # see `lake_harness.LakeHarness`
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pytest

from tailrace.batch.base import LakeMark, LakeTotals, WritableLake
from tailrace.batch.consumer import lake_rows
from tailrace.errors import Conflict, Invalid, NotFound
from tailrace.model.fields import LAKE_COLUMNS
from tailrace.testing.contracts.lake_harness import (
    ARRIVED_US,
    A,
    B,
    LakeHarness,
    append_blocks,
    expected_rows,
    read_file,
    read_rows,
    sample_block,
    stage_blocks,
)
from tailrace.testing.contracts.lake_upkeep import UpkeepCases
from tailrace.testing.contracts.stream_samples import FIELDS

__all__ = ["LakeContract", "LakeHarness"]


class LakeContract(UpkeepCases):
    """What every lake does."""

    def test_a_lake_that_nobody_wrote_is_empty(self, harness: LakeHarness) -> None:
        reader = harness.open_reader()
        assert (reader.position(), reader.files(), reader.snapshot_id()) == ({}, [], None)
        assert reader.totals() == LakeTotals()
        harness.open_writer().close()
        assert (reader.position(), reader.files(), reader.totals()) == ({}, [], LakeTotals())

    @pytest.mark.parametrize("dictionary", [False, True])
    def test_rows_read_back_as_they_were_written(self, lake: WritableLake, dictionary: bool) -> None:
        blocks = [sample_block(A, 1, n, 40, dictionary=dictionary) for n in range(0, 400, 40)]
        append_blocks(lake, blocks)
        assert read_rows(lake.files()) == expected_rows(blocks)

    def test_dictionaries_of_different_blocks_may_differ(self, lake: WritableLake) -> None:
        blocks = [sample_block(A, 1, n, 7, dictionary=n % 2 == 0) for n in range(0, 70, 7)]
        append_blocks(lake, blocks)
        assert read_rows(lake.files()) == expected_rows(blocks)

    def test_columns_are_typed_as_the_fields_are(self, lake: WritableLake) -> None:
        append_blocks(lake, [sample_block(A, 1, 0, 20)])
        schema = read_file(lake.files()[0]).schema
        wanted = [(f.name, f.type) for f in FIELDS.record_schema()] + list(LAKE_COLUMNS)
        assert [(f.name, f.type) for f in schema] == wanted

    def test_rows_keep_when_they_arrived(self, lake: WritableLake) -> None:
        append_blocks(lake, [sample_block(A, 1, 0, 5), sample_block(A, 1, 5, 5)])
        arrived = read_file(lake.files()[0])["_arrived_at"].cast(pa.int64()).to_pylist()
        assert arrived == [ARRIVED_US] * 5 + [ARRIVED_US + 5] * 4

    def test_a_file_says_what_it_holds(self, lake: WritableLake) -> None:
        blocks = [sample_block(B, 3, 0, 50), sample_block(B, 4, 50, 50)]
        append_blocks(lake, blocks)
        (file,) = lake.files()
        times = read_file(file)["timestamp"].cast(pa.int64()).to_pylist()
        assert (file.shard_id, file.epoch_first, file.epoch_last, file.rows) == (B, 3, 4, 90)
        assert (file.time_min_us, file.time_max_us) == (min(times), max(times))
        assert (file.arrived_min_us, file.arrived_max_us) == (ARRIVED_US, ARRIVED_US + 50)
        assert file.bytes == file.path.stat().st_size
        assert file.columns == {*FIELDS.record_schema().names, *(name for name, _ in LAKE_COLUMNS)}

    def test_rows_and_marks_appear_together_to_everybody(self, harness: LakeHarness, lake: WritableLake) -> None:
        reader = harness.open_reader()
        staged = stage_blocks(lake, [sample_block(A, 1, 0, 30)])
        assert (reader.files(), reader.position()) == ([], {})
        after = lake.append([staged], {A: LakeMark(1, 29)})
        assert reader.current() == after == lake.current()
        assert (after.marks, [f.path for f in after.files]) == ({A: LakeMark(1, 29)}, [staged.path])

    def test_marks_of_other_shards_stay(self, lake: WritableLake) -> None:
        append_blocks(lake, [sample_block(A, 1, 0, 10)])
        append_blocks(lake, [sample_block(B, 1, 0, 20)])
        append_blocks(lake, [sample_block(A, 2, 10, 10)])
        assert lake.position() == {A: LakeMark(2, 19), B: LakeMark(1, 19)}

    def test_files_are_listed_by_shard_and_epoch(self, lake: WritableLake) -> None:
        for shard, epoch, first in ((B, 1, 0), (A, 1, 0), (B, 2, 10), (A, 2, 10)):
            append_blocks(lake, [sample_block(shard, epoch, first, 10)])
        assert [(f.shard_id, f.epoch_first) for f in lake.files()] == [(A, 1), (A, 2), (B, 1), (B, 2)]

    def test_several_shards_in_one_append(self, lake: WritableLake) -> None:
        blocks = {A: [sample_block(A, 1, 0, 10)], B: [sample_block(B, 1, 0, 30)]}
        lake.append([stage_blocks(lake, b) for b in blocks.values()], {A: LakeMark(1, 9), B: LakeMark(1, 29)})
        assert read_rows(lake.files()) == expected_rows(blocks[A]) + expected_rows(blocks[B])

    def test_an_epoch_of_dead_letters_only_moves_the_mark(self, lake: WritableLake) -> None:
        append_blocks(lake, [sample_block(A, 1, 0, 9)])
        assert lake.stage(A, 2, 2).finish() is None
        lake.append([], {A: LakeMark(2, 9)})
        assert (lake.position(), len(lake.files())) == ({A: LakeMark(2, 9)}, 1)

    def test_totals_are_the_sums_over_the_files(self, lake: WritableLake) -> None:
        for epoch in range(1, 6):
            append_blocks(lake, [sample_block(A, epoch, epoch * 10 - 10, 10)])
        files, totals = lake.files(), lake.totals()
        assert (totals.rows, totals.files, totals.bytes) == (45, 5, sum(f.bytes for f in files))
        assert totals.snapshot_id == lake.snapshot_id()

    @pytest.mark.parametrize("mark", [LakeMark(1, 19), LakeMark(2, 18), LakeMark(0, -1)])
    def test_a_mark_never_goes_back(self, lake: WritableLake, mark: LakeMark) -> None:
        append_blocks(lake, [sample_block(A, 1, 0, 10), sample_block(A, 2, 10, 10)])
        before = lake.current()
        with pytest.raises(Invalid, match="cannot go back"):
            lake.append([], {A: mark})
        assert lake.current() == before

    @pytest.mark.parametrize(
        "marks", [{A: LakeMark(1, 9)}, {A: LakeMark(2, 19)}, {B: LakeMark(3, 29)}, {}], ids=lambda m: str(len(m))
    )
    def test_a_file_must_lie_between_the_old_mark_and_the_new(
        self, lake: WritableLake, marks: Mapping[str, LakeMark]
    ) -> None:
        append_blocks(lake, [sample_block(A, 1, 0, 10)])
        staged = stage_blocks(lake, [sample_block(A, 2, 10, 10), sample_block(A, 3, 20, 10)])
        with pytest.raises(Invalid, match="the append is for"):
            lake.append([staged], marks)
        assert len(lake.files()) == 1

    def test_the_same_file_twice_is_refused(self, lake: WritableLake) -> None:
        staged = stage_blocks(lake, [sample_block(A, 1, 0, 10)])
        lake.append([staged], {A: LakeMark(1, 9)})
        with pytest.raises(Invalid, match="the append is for"):
            lake.append([staged], {A: LakeMark(2, 19)})

    def test_a_second_writer_is_refused_while_the_first_lives(self, harness: LakeHarness) -> None:
        first = harness.open_writer()
        with pytest.raises(Conflict):
            harness.open_writer()
        first.close()
        harness.open_writer().close()

    def test_everything_is_there_after_reopening(self, harness: LakeHarness) -> None:
        lake = harness.open_writer()
        append_blocks(lake, [sample_block(A, 1, 0, 10)])
        before = lake.current()
        lake.close()
        lake = harness.open_writer()
        assert lake.current() == before
        append_blocks(lake, [sample_block(A, 2, 10, 10)])
        assert len(read_rows(lake.files())) == 18
        lake.close()

    def test_what_was_staged_and_never_appended_is_removed_once_it_is_old(self, harness: LakeHarness) -> None:
        lake = harness.open_writer()
        append_blocks(lake, [sample_block(A, 1, 0, 10)])
        lost = stage_blocks(lake, [sample_block(A, 2, 10, 10)])
        unfinished = lake.stage(B, 1, 1)
        lake.close()
        lake = harness.open_writer()
        lake.clean()
        assert lost.path.exists()
        harness.clock.advance(3600)  # the file has the machine's time, which has gone on
        lake.clean()
        assert not lost.path.exists()
        assert len(read_rows(lake.files())) == 9
        unfinished.discard()
        lake.close()

    def test_what_is_discarded_leaves_nothing(self, lake: WritableLake) -> None:
        kept = stage_blocks(lake, [sample_block(A, 1, 0, 10)])
        stage = lake.stage(A, 1, 1)
        stage.write(lake_rows(sample_block(A, 1, 0, 10)))
        stage.discard()
        assert [p for p in kept.path.parent.iterdir() if p.is_file()] == [kept.path]

    def test_a_pinned_snapshot_stays_as_it_was(self, harness: LakeHarness, lake: WritableLake) -> None:
        reader = harness.open_reader()
        pin = append_blocks(lake, [sample_block(A, 1, 0, 10)])
        files = lake.files(pin)
        for epoch in range(2, 6):
            append_blocks(lake, [sample_block(A, epoch, epoch * 10 - 10, 10)])
        assert lake.files(pin) == reader.files(pin) == files
        assert read_rows(files) == expected_rows([sample_block(A, 1, 0, 10)])

    def test_an_unknown_snapshot_is_not_found(self, harness: LakeHarness, lake: WritableLake) -> None:
        with pytest.raises(NotFound):
            harness.open_reader().files(12345)
        append_blocks(lake, [sample_block(A, 1, 0, 10)])
        with pytest.raises(NotFound):
            lake.files(12345)
