"""The hash of what the lake gives back is that of what the stream was given, however files, row groups and encodings lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tailrace.batch.compaction import CompactionPolicy, compact
from tailrace.batch.consumer import consume
from tailrace.batch.lake import parquet
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.rehash import rehash
from tailrace.errors import Corrupt
from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields
from tailrace.runtime.clock import ManualClock
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.testing.contracts.lake_harness import A, B
from tailrace.testing.contracts.stream_samples import sample_batch

EPOCHS = 6
GROUP = 64


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> MemoryStream:
    """Two shards, 150 lines an epoch, half of them as dictionaries; lake files have row groups of 64."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", GROUP)
    stream = MemoryStream(DEFAULT_FIELDS, 2, ManualClock())
    for epoch in range(EPOCHS):
        for shard in (A, B):
            for first in (epoch * 150, epoch * 150 + 75):
                numbers = range(first, first + 75)
                stream.append(sample_batch(shard, numbers, dead={first + 3}, dictionary=first % 2 == 0)).result()
            stream.seal(shard)
    return stream


def filled(folder: Path, stream: MemoryStream, fields: Fields = DEFAULT_FIELDS, lines_max: int = 600) -> IcebergLake:
    lake = IcebergLake(folder, fields)
    while consume(stream, lake, lines_max=lines_max) is not None:
        continue
    return lake


def test_any_range_of_epochs_hashes_as_its_seals_say(stream: MemoryStream, tmp_path: Path) -> None:
    lake = filled(tmp_path, stream)
    separate = lake.files()
    assert len(separate) > 2
    while compact(lake, CompactionPolicy(files_min=2, growth=1)) is not None:
        continue
    merged = lake.files()
    assert len(merged) < len(separate)
    for shard in (A, B):
        seals = {seal.epoch: seal.hash for seal in stream.seals(shard)}
        for first in range(1, EPOCHS + 1):
            for last in range(first, EPOCHS + 1):
                expected = {epoch: seals[epoch] for epoch in range(first, last + 1)}
                assert rehash(separate, shard, first, last) == rehash(merged, shard, first, last) == expected
    assert rehash(merged, A, EPOCHS + 1, EPOCHS + 9) == {}
    lake.close()


def test_row_groups_of_other_epochs_are_not_read(
    stream: MemoryStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = filled(tmp_path, stream, lines_max=10_000)
    [file] = [file for file in lake.files() if file.shard_id == A]
    groups = pq.ParquetFile(file.path).metadata.num_row_groups
    read: list[int] = []
    real = pq.ParquetFile.read_row_group

    def noted(self: pq.ParquetFile, group: int, **options: object) -> object:
        read.append(group)
        return real(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    rehash([file], A, 2, 2)
    assert 148 // GROUP <= len(read) <= 148 // GROUP + 2 < groups
    lake.close()


def test_records_that_were_stored_under_other_fields_do_not_compare(stream: MemoryStream, tmp_path: Path) -> None:
    lake = filled(tmp_path, stream, Fields((*DEFAULT_FIELDS.all, Field("n", FieldKind.INTEGER))))
    held = rehash(lake.files(), A, 1, EPOCHS)
    assert [seal.hash.comparable(held[seal.epoch]) for seal in stream.seals(A)] == [False] * EPOCHS
    lake.close()


def test_a_file_that_does_not_read_is_named(stream: MemoryStream, tmp_path: Path) -> None:
    lake = filled(tmp_path, stream)
    file = lake.files()[0]
    lake.close()
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:200] + bytes(200) + whole[400:])
    with pytest.raises(Corrupt, match="checksum"):
        rehash([file], file.shard_id, 1, EPOCHS)
    file.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Corrupt, match=file.path.name):
        rehash([replace(file, checksum=None)], file.shard_id, 1, EPOCHS)
