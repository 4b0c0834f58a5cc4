"""A reader in one process while another commits, expires snapshots and removes old metadata: every answer is that of one snapshot."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import pytest

from tailrace.batch.base import LakeMark
from tailrace.batch.lake.iceberg import SNAPSHOTS_KEPT, IcebergLake
from tailrace.batch.lake.reader import IcebergReader
from tailrace.errors import Conflict
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.testing.contracts.lake_harness import A, append_blocks, read_rows, sample_block

if TYPE_CHECKING:
    from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.batch.test_lake_processes", "tests.batch.test_lake_crash"])
COMMITS = 2 * SNAPSHOTS_KEPT + 4
LINES = 10


def commit_many(folder: Path) -> None:
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    for epoch in range(1, COMMITS + 1):
        append_blocks(lake, [sample_block(A, epoch, (epoch - 1) * LINES, LINES)])
    lake.close()


def test_a_reader_sees_whole_snapshots_only(tmp_path: Path) -> None:
    writer = FORKS.Process(target=commit_many, args=(tmp_path / "lake",))
    writer.start()
    reader = IcebergReader(tmp_path / "lake")
    seen = [0]
    while writer.is_alive() or seen[-1] < COMMITS:
        snapshot = reader.current()
        epoch = snapshot.mark(A).epoch
        assert [f.epoch_first for f in snapshot.files] == list(range(1, epoch + 1))
        assert (snapshot.totals.rows, snapshot.totals.files) == (epoch * 9, epoch)
        if epoch:
            assert snapshot.mark(A) == LakeMark(epoch, epoch * LINES - 1)
            assert len(read_rows(snapshot.files[-1:])) == 9
        seen.append(epoch)
        if not writer.is_alive():
            assert epoch == COMMITS
    writer.join()
    assert writer.exitcode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 5


def hold(folder: Path, ready: object, done: object) -> None:
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    ready.set()
    done.wait(60)
    lake.close()


@pytest.mark.kill
def test_the_writers_lock_is_the_processs_and_goes_with_it(tmp_path: Path) -> None:
    ready, done = FORKS.Event(), FORKS.Event()
    holder = FORKS.Process(target=hold, args=(tmp_path, ready, done))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(Conflict, match="another process writes the lake"):
        IcebergLake(tmp_path, DEFAULT_FIELDS)
    holder.kill()
    holder.join()
    IcebergLake(tmp_path, DEFAULT_FIELDS).close()
