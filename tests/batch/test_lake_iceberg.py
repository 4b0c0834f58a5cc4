"""What is Iceberg's own: other engines, bounded metadata, new fields, a data folder that has been moved."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tailrace.batch.base import LakeMark
from tailrace.batch.lake.iceberg import SNAPSHOTS_KEPT, IcebergLake
from tailrace.batch.lake.parquet import ROWS_PER_GROUP, ParquetStage
from tailrace.batch.lake.reader import IcebergReader
from tailrace.batch.lake.table import MARKS, encode_marks, parquet_schema, table_schema
from tailrace.errors import Conflict, Corrupt, Fenced, NotFound
from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields
from tailrace.stream.codec import arranged
from tailrace.testing.contracts.lake_harness import (
    A,
    append_blocks,
    expected_rows,
    read_rows,
    sample_block,
    stage_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.table import Table


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[IcebergLake]:
    lake = IcebergLake(tmp_path / "lake", DEFAULT_FIELDS)
    yield lake
    lake.close()


def foreign_table(tmp_path: Path) -> Table:
    """The table as another Iceberg engine opens it: plain pyiceberg, with its own file access."""
    catalog = SqlCatalog("tailrace", uri=f"sqlite:///{tmp_path}/lake/catalog.db")
    return catalog.load_table("tailrace.logs")


def test_another_engine_reads_the_same_rows(tmp_path: Path, lake: IcebergLake) -> None:
    blocks = [sample_block(A, epoch, epoch * 40 - 40, 40) for epoch in range(1, 5)]
    for block in blocks:
        append_blocks(lake, [block])
    rows = foreign_table(tmp_path).scan().to_arrow().sort_by("_offset").drop_columns(["_arrived_at"]).to_pylist()
    assert rows == expected_rows(blocks)
    late = foreign_table(tmp_path).scan(row_filter="_offset >= 150 and status = 201").to_arrow()
    assert late["_offset"].to_pylist() == [
        o for r in expected_rows(blocks) if (o := r["_offset"]) >= 150 and r["status"] == 201
    ]


def test_a_commit_of_another_engine_is_a_conflict_and_the_next_try_builds_on_it(
    tmp_path: Path, lake: IcebergLake
) -> None:
    append_blocks(lake, [sample_block(A, 1, 0, 10)])
    staged = stage_blocks(lake, [sample_block(A, 2, 10, 10)])
    marks = {MARKS: encode_marks({A: LakeMark(1, 9)})}
    with foreign_table(tmp_path).transaction() as other:
        other.update_snapshot(snapshot_properties=marks).fast_append().commit()
    with pytest.raises(Conflict) as raised:
        lake.append([staged], {A: LakeMark(2, 19)})
    assert not isinstance(raised.value, Fenced)
    assert lake.position() == {A: LakeMark(1, 9)}
    lake.append([staged], {A: LakeMark(2, 19)})
    assert len(read_rows(lake.files())) == 18


def test_a_writer_that_another_has_overtaken_is_fenced(tmp_path: Path, lake: IcebergLake) -> None:
    staged = stage_blocks(lake, [sample_block(A, 1, 0, 10)])
    marks = {MARKS: encode_marks({A: LakeMark(1, 9)})}
    with foreign_table(tmp_path).transaction() as other:
        other.update_snapshot(snapshot_properties=marks).fast_append().commit()
    with pytest.raises(Fenced):
        lake.append([staged], {A: LakeMark(1, 9)})
    assert lake.files() == []


def test_a_commit_without_marks_is_found_and_not_guessed_at(tmp_path: Path, lake: IcebergLake) -> None:
    append_blocks(lake, [sample_block(A, 1, 0, 10)])
    with foreign_table(tmp_path).transaction() as other:
        other.update_snapshot().fast_append().commit()
    with pytest.raises(Corrupt, match="how far the stream has been read"):
        lake.position()


def test_history_does_not_make_metadata_grow(tmp_path: Path, lake: IcebergLake) -> None:
    reader = IcebergReader(tmp_path / "lake")
    metadata = tmp_path / "lake/warehouse/logs/metadata"
    first = append_blocks(lake, [sample_block(A, 1, 0, 10)])
    counts = []
    for epoch in range(2, 53):
        append_blocks(lake, [sample_block(A, epoch, epoch * 10 - 10, 10)])
        listed = os.listdir(metadata)
        counts.append(len(listed) // 2)
        assert {f".{name}.crc" for name in listed if not name.endswith(".crc")} == {
            name for name in listed if name.endswith(".crc")
        }
        assert len(lake._table.metadata.snapshots) <= 2 * SNAPSHOTS_KEPT
    assert max(counts[-16:]) <= 2 * 2 * SNAPSHOTS_KEPT + 32 + 10
    assert [f.epoch_first for f in reader.files()] == list(range(1, 53))
    assert reader.current() == lake.current()
    with pytest.raises(NotFound):
        reader.files(first)
    assert len(read_rows(reader.files())) == 468
    assert len(foreign_table(tmp_path).scan().to_arrow()) == 468


def test_a_moved_data_folder_is_read_and_written_on(tmp_path: Path) -> None:
    first = IcebergLake(tmp_path / "lake", DEFAULT_FIELDS)
    append_blocks(first, [sample_block(A, 1, 0, 10)])
    first.close()
    elsewhere = tmp_path / "with space" / "warehouse" / "lake"
    elsewhere.parent.mkdir(parents=True)
    (tmp_path / "lake").rename(elsewhere)
    lake = IcebergLake(elsewhere, DEFAULT_FIELDS)
    append_blocks(lake, [sample_block(A, 2, 10, 10)])
    files = IcebergReader(elsewhere).files()
    assert [f.epoch_first for f in files] == [1, 2]
    assert all(f.path.is_relative_to(elsewhere) for f in files)
    assert len(read_rows(files)) == 18
    lake.close()


def with_field(field: Field) -> Fields:
    return Fields((*DEFAULT_FIELDS.all, field))


def test_a_field_that_is_new_in_the_configuration_becomes_a_column(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    old = IcebergLake(folder, DEFAULT_FIELDS)
    append_blocks(old, [sample_block(A, 1, 0, 10)])
    old.close()
    lake = IcebergLake(folder, with_field(Field("region", FieldKind.TEXT)))
    append_blocks(lake, [sample_block(A, 2, 10, 10)])
    assert pq.read_schema(lake.files()[1].path).field("region").type == pa.string()
    assert ["region" in f.columns for f in lake.files()] == [False, True]
    scanned = foreign_table(tmp_path).scan().to_arrow()
    assert (scanned.num_rows, scanned["region"].null_count) == (18, 18)
    lake.close()


def test_a_field_of_another_type_becomes_another_column(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    old = IcebergLake(folder, DEFAULT_FIELDS)
    append_blocks(old, [sample_block(A, 1, 0, 10)])
    old.close()
    fields = Fields(tuple(replace(f, kind=FieldKind.TEXT) if f.name == "status" else f for f in DEFAULT_FIELDS.all))
    lake = IcebergLake(folder, fields)
    block = sample_block(A, 2, 10, 10)
    append_blocks(lake, [replace(block, columns=arranged(block.columns, fields))])
    assert [f.schema.field("status").type for f in lake.files()] == [pa.int32(), pa.string()]
    scanned = foreign_table(tmp_path).scan().to_arrow()
    assert (scanned["status"].cast(pa.string()).null_count, scanned.num_rows) == (9, 18)
    lake.close()
    again = IcebergLake(folder, DEFAULT_FIELDS)
    assert [f.schema.field("status").type for f in again.files()] == [pa.int32(), pa.string()]
    again.close()


def test_a_field_that_left_the_configuration_is_not_written(tmp_path: Path) -> None:
    wider = with_field(Field("region", FieldKind.TEXT))
    IcebergLake(tmp_path / "lake", wider).close()
    lake = IcebergLake(tmp_path / "lake", DEFAULT_FIELDS)
    append_blocks(lake, [sample_block(A, 1, 0, 10)])
    assert "region" not in lake.files()[0].schema.names
    assert len(read_rows(lake.files())) == 9
    lake.close()


def test_a_missing_metadata_file_is_named(tmp_path: Path, lake: IcebergLake) -> None:
    append_blocks(lake, [sample_block(A, 1, 0, 10)])
    for path in (tmp_path / "lake/warehouse/logs/metadata").glob("*.json"):
        path.unlink()
    with pytest.raises(Corrupt, match="it is gone"):
        IcebergReader(tmp_path / "lake").files()


class TestRowGroups:
    schema = parquet_schema(table_schema(DEFAULT_FIELDS))

    def rows(self, first: int, count: int, *, dictionary: bool) -> pa.Table:
        text = pa.array([f"v{i % 3}" for i in range(first, first + count)])
        return pa.table(
            {
                "timestamp": pa.array(range(first, first + count), pa.timestamp("us", "UTC")),
                "service": text.dictionary_encode() if dictionary else text,
                "_offset": pa.array(range(first, first + count), pa.int64()),
            }
        )

    def test_groups_are_full_and_nothing_is_lost_between_them(self, tmp_path: Path) -> None:
        stage = ParquetStage(tmp_path / "a.parquet", self.schema)
        sizes = [100_000, 40_000, 300_000, 1]
        first = 0
        for size in sizes:
            stage.write(self.rows(first, size, dictionary=size != 40_000))
            assert stage._held_rows < ROWS_PER_GROUP
            first += size
        stage.finish()
        metadata = pq.read_metadata(stage.path)
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        assert groups == [ROWS_PER_GROUP] * 3 + [sum(sizes) - 3 * ROWS_PER_GROUP]
        table = pq.read_table(stage.path)
        assert table["_offset"].to_pylist() == list(range(sum(sizes)))
        assert table["service"].to_pylist() == [f"v{i % 3}" for i in range(sum(sizes))]
        assert table["extra"].null_count == sum(sizes)

    def test_columns_carry_their_field_ids(self, tmp_path: Path) -> None:
        stage = ParquetStage(tmp_path / "a.parquet", self.schema)
        stage.write(self.rows(0, 10, dictionary=True))
        stage.finish()
        held = pq.read_schema(stage.path)
        assert [f.metadata[b"PARQUET:field_id"] for f in held] == [b"%d" % i for i in range(1, len(held) + 1)]
