"""Several processes on one stream: side by side, killed at any moment, on a disk that is full."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tailrace.runtime.clock import SystemClock
from tailrace.stream.base import LedgerCounts, StreamBackend
from tailrace.testing.contracts.stream_harness import TIMEOUT_S
from tailrace.testing.contracts.stream_samples import read_blocks, read_lines, sample_raw
from tests.stream.embedded.processes import (
    NUMBERS_PER_PRODUCER,
    POST_ROWS_MAX,
    SPAWN,
    append_forever,
    append_posts,
    append_with_a_full_disk,
    kill,
    open_and_append,
    open_stream,
    post_numbers,
    read_acks,
    seal_forever,
    start,
)

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path


def stored_numbers(stream: StreamBackend, shard_id: str) -> list[int]:
    """The numbers of all lines in order, each line checked to be whole."""
    numbers = []
    for line in read_lines(stream, shard_id):
        number = int(str(line.row["trace_id"]), 16)
        assert line.raw == sample_raw(number)
        assert line.row["ip"] == f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        numbers.append(number)
    return numbers


def check_epochs(stream: StreamBackend, shard_id: str) -> None:
    """Seals are complete and each block lies in the one of its epoch; the ledger balances."""
    seals, end = stream.seals(shard_id), stream.end(shard_id)
    assert [s.epoch for s in seals] == list(range(1, end.open_epoch))
    assert all(a.last_offset + 1 == b.first_offset for a, b in pairwise(seals))
    bounds = {s.epoch: (s.first_offset, s.last_offset) for s in seals}
    bounds[end.open_epoch] = (seals[-1].last_offset + 1 if seals else 0, end.next_offset - 1)
    for block in read_blocks(stream, shard_id, max_blocks=200):
        first, last = bounds[block.epoch]
        assert first <= block.first_offset <= block.last_offset <= last
    counts = sum((s.counts for s in seals), end.open_counts)
    assert counts.stored + counts.dead_lettered == end.next_offset


def wait_for_acks(files: list[Path], counts: list[int]) -> None:
    clock = SystemClock()
    deadline = clock.monotonic_s() + TIMEOUT_S
    while any(len(read_acks(f)) < c for f, c in zip(files, counts, strict=True)):
        assert clock.monotonic_s() < deadline, "appenders make no progress"
        clock.sleep(0.005)


@pytest.mark.kill
def test_killed_appenders_lose_nothing_and_store_nothing_twice(tmp_path: Path) -> None:
    folder, chance = tmp_path / "logs", random.Random(7)
    acks = [tmp_path / f"acks{p}" for p in range(2)]
    sealer = start(seal_forever, folder)
    appenders: list[BaseProcess] = [start(append_forever, folder, p, acks[p]) for p in range(2)]
    for round_ in range(4):
        wait_for_acks(acks, [len(read_acks(f)) + chance.randrange(5, 60) for f in acks])
        victims = [0, 1] if round_ == 3 else [round_ % 2]
        for p in victims:
            kill(appenders[p])
        if round_ % 2:
            kill(sealer)
            sealer = start(seal_forever, folder)
        if round_ < 3:
            for p in victims:
                appenders[p] = start(append_forever, folder, p, acks[p])
    kill(sealer)
    assert len(list(folder.glob("*/*.db"))) > 2, "files have turned meanwhile"

    stream = open_stream(folder)
    stored = [number for s in stream.shards() for number in stored_numbers(stream, s.id)]
    counted = Counter(stored)
    assert max(counted.values()) == 1
    for producer, file in enumerate(acks):
        acknowledged = read_acks(file)
        assert acknowledged == list(range(len(acknowledged)))
        for n in acknowledged:
            assert all(number in counted for number in post_numbers(producer, n))
    check_whole_posts(stored)
    for shard in stream.shards():
        check_epochs(stream, shard.id)
    stream.close()


def check_whole_posts(stored: list[int]) -> None:
    """Each post that is there at all is there whole, and its lines stand together in their order."""
    position = {number: i for i, number in enumerate(stored)}
    posts = {(number // NUMBERS_PER_PRODUCER, number % NUMBERS_PER_PRODUCER // POST_ROWS_MAX) for number in stored}
    for producer, n in posts:
        numbers = post_numbers(producer, n)
        first = position[numbers[0]]
        assert [position[number] for number in numbers] == list(range(first, first + len(numbers)))


def test_processes_append_side_by_side_while_files_turn(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    sealer = start(seal_forever, folder)
    appenders = [start(append_posts, folder, p, 120) for p in range(3)]
    for process in appenders:
        process.join(TIMEOUT_S)
        assert process.exitcode == 0
    kill(sealer)
    assert len(list(folder.glob("*/*.db"))) > 2, "files have turned meanwhile"
    stream = open_stream(folder)
    shard_id = stream.shards()[0].id
    numbers = stored_numbers(stream, shard_id)
    for p in range(3):
        own = [number for number in numbers if number // NUMBERS_PER_PRODUCER == p]
        assert own == [number for n in range(120) for number in post_numbers(p, n)]
    check_epochs(stream, shard_id)
    stream.close()


def test_processes_create_the_stream_at_once(tmp_path: Path) -> None:
    folder, barrier = tmp_path / "deep" / "logs", SPAWN.Barrier(4)
    processes = [start(open_and_append, folder, barrier, p) for p in range(4)]
    for process in processes:
        process.join(TIMEOUT_S)
        assert process.exitcode == 0
    stream = open_stream(folder)
    assert len(stream.shards()) == 2
    for shard in stream.shards():
        assert sorted(stored_numbers(stream, shard.id)) == [0, 1, 2, 3]
        assert [p.name for p in (folder / shard.id).glob("*.db")] == ["00000001.db"]
    stream.close()


def test_full_disk_is_never_acknowledged_and_heals(tmp_path: Path) -> None:
    folder, results = tmp_path / "logs", SPAWN.Queue()
    process = start(append_with_a_full_disk, folder, results)
    seen = results.get(timeout=TIMEOUT_S)
    process.join(TIMEOUT_S)
    assert process.exitcode == 0
    assert seen.refused > 0
    assert seen.stored > 0
    assert seen.retried_as_duplicates == seen.stored
    stream = open_stream(folder)
    shard_id = stream.shards()[0].id
    expected = Counter(number for n in range(60) for number in post_numbers(0, n))
    assert Counter(stored_numbers(stream, shard_id)) == expected
    assert stream.end(shard_id).open_counts.stored == expected.total()
    assert stream.end(shard_id).open_counts != LedgerCounts()
    stream.close()
