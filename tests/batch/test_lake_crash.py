"""A batch process killed at any write of a run, or of a compaction: the next ends with every record in the lake once, in order, and
with nothing else on disk once it is old."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tailrace.batch.compaction import compact
from tailrace.batch.consumer import consume
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.local_io import local_path
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import ManualClock, SystemClock
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.testing.contracts.lake_harness import read_rows
from tailrace.testing.contracts.stream_samples import sample_batch

if TYPE_CHECKING:
    from collections.abc import Callable

OLD_S = 700
"""A file that no snapshot names may go when it is that old."""
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.batch.test_lake_crash", "tests.batch.test_lake_processes"])


def filled_stream(epochs: int) -> MemoryStream:
    """The same stream each time: two shards, `epochs` epochs of two blocks, some dead letters."""
    stream = MemoryStream(DEFAULT_FIELDS, 2, ManualClock())
    for epoch in range(epochs):
        for shard in stream.shards():
            for block in range(2):
                first = epoch * 20 + block * 10
                stream.append(sample_batch(shard.id, range(first, first + 10), dead=[first + 3])).result()
            stream.seal(shard.id)
    return stream


def kill_self_at(target: Any, name: str, call: int, *, after: bool) -> None:
    """SIGKILL this process at the `call`-th call of `target.name`, before or after its work."""
    original: Callable[..., Any] = getattr(target, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        mine = calls  # other threads call too
        if mine == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if mine == call and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(target, name, counted)


def run_and_die(folder: Path, epochs: int, step: str, call: int, after: bool) -> None:
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    die_at(lake, step, call, after)
    consume(filled_stream(epochs), lake)


def compact_and_die(folder: Path, _: int, step: str, call: int, after: bool) -> None:
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    die_at(lake, step, call, after)
    compact(lake)


def clean_and_die(folder: Path, _: int, step: str, call: int, after: bool) -> None:
    """Twice what a batch process does now and then: first old snapshots go, then the files that only they named."""
    clock = later(OLD_S)
    lake = IcebergLake(folder, DEFAULT_FIELDS, clock)
    lake.clean()
    clock.advance(OLD_S)
    die_at(lake, step, call, after)
    lake.clean()


def later(seconds: int) -> ManualClock:
    return ManualClock(SystemClock().now_us() + seconds * 1_000_000)


def die_at(lake: IcebergLake, step: str, call: int, after: bool) -> None:
    match step:
        case "sync":
            kill_self_at(os, "fsync", call, after=after)
        case "commit":
            kill_self_at(lake._catalog, "commit_table", call, after=after)
        case "remove":
            kill_self_at(Path, "unlink", call, after=after)


def dies(
    folder: Path, amount: int, step: str, call: int, *, after: bool, what: Callable[..., None] = run_and_die
) -> bool:
    """Whether the step was reached (and the process killed there)."""
    process = FORKS.Process(target=what, args=(folder, amount, step, call, after))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def check(folder: Path, epochs: int) -> None:
    """One more run: all records once, in order; in the end, every file in the folder is one that the table names."""
    lake = IcebergLake(folder, DEFAULT_FIELDS, later(OLD_S))
    consume(filled_stream(epochs), lake)
    check_rows(lake, epochs)
    lake.clean()
    lake.close()
    lake = IcebergLake(folder, DEFAULT_FIELDS, later(2 * OLD_S))
    assert {p for p in (folder / "warehouse/logs/data").rglob("*") if p.is_file()} == {f.path for f in lake.files()}
    lake.close()


def check_rows(lake: IcebergLake, epochs: int) -> None:
    offsets = [(row["_shard"], row["_offset"]) for row in read_rows(lake.files())]
    shards = [shard.id for shard in filled_stream(0).shards()]
    wanted = [(shard, offset) for shard in shards for offset in range(epochs * 20) if offset % 10 != 3]
    assert offsets == wanted


def appended(folder: Path, epochs: int) -> None:
    """A lake with a file a shard and epoch."""
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    stream = filled_stream(epochs)
    while consume(stream, lake, lines_max=20):
        pass
    lake.close()


@pytest.mark.kill
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_sync_of_a_compaction(tmp_path: Path, after: bool) -> None:
    folder = tmp_path / "lake"
    appended(folder, 8)
    call = 1
    while dies(folder, 0, "sync", call, after=after, what=compact_and_die):
        lake = IcebergLake(folder, DEFAULT_FIELDS)
        check_rows(lake, 8)
        files = len(lake.files())
        assert files in (2, 16)
        if files == 2:
            break
        lake.close()
        call += 1
    assert call > 5
    check(folder, 8)


@pytest.mark.kill
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_the_commit_of_a_compaction(tmp_path: Path, after: bool) -> None:
    folder = tmp_path / "lake"
    appended(folder, 8)
    assert dies(folder, 0, "commit", 1, after=after, what=compact_and_die)
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    assert len(lake.files()) == (2 if after else 16)
    check_rows(lake, 8)
    lake.close()
    check(folder, 8)


@pytest.mark.kill
def test_killed_while_replaced_files_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    appended(folder, 8)
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    compact(lake)
    lake.close()
    assert dies(folder, 0, "remove", 5, after=False, what=clean_and_die)
    check(folder, 8)


@pytest.mark.kill
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_sync_of_a_run(tmp_path: Path, after: bool) -> None:
    folder = tmp_path / "lake"
    assert not dies(folder, 1, "sync", 10_000, after=after)
    epochs, call = 2, 1
    while dies(folder, epochs, "sync", call, after=after):
        check(folder, epochs)
        epochs, call = epochs + 1, call + 1
    assert call > 8  # two data files, a manifest, its list, the table's metadata, and their folders


@pytest.mark.kill
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_the_commit(tmp_path: Path, after: bool) -> None:
    folder = tmp_path / "lake"
    assert dies(folder, 2, "commit", 1, after=after)
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    assert lake.totals().rows == (72 if after else 0)
    lake.close()
    check(folder, 2)


@pytest.mark.kill
def test_killed_while_old_metadata_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    stream = filled_stream(40)
    for _ in range(32):
        consume(stream, lake, lines_max=40)
    lake.close()
    assert dies(folder, 40, "remove", 4, after=False)
    check(folder, 40)


@pytest.mark.kill
def test_metadata_that_a_crash_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    assert dies(folder, 1, "commit", 1, after=False)
    metadata = folder / "warehouse/logs/metadata"
    left = {p.name for p in metadata.iterdir()}
    IcebergLake(folder, DEFAULT_FIELDS).close()
    assert {p.name for p in metadata.iterdir()} == left
    for path in metadata.iterdir():
        os.utime(path, (0, 0))
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    current = local_path(lake._table.metadata_location, folder / "warehouse")
    assert {p.name for p in metadata.iterdir()} == {current.name, f".{current.name}.crc"}
    lake.close()
    check(folder, 1)
