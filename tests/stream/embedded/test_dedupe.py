"""What deduplication stores of a post, and that it is found again in closed files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import Corrupt, Unavailable
from tailrace.stream.backends.embedded import dedupe, layout, retention
from tailrace.stream.backends.embedded.dedupe import decode_lines, encode_lines
from tailrace.stream.backends.embedded.files import ShardFiles
from tailrace.stream.backends.embedded.rows import checksum
from tailrace.stream.base import ProducerStamp
from tailrace.testing.contracts.stream_harness import HOUR_S, durable
from tailrace.testing.contracts.stream_samples import sample_batch
from tests.stream.harness import EmbeddedHarness

if TYPE_CHECKING:
    from pathlib import Path

    from tailrace.stream.backends.embedded import EmbeddedStream


@given(st.sets(st.integers(0, 70_000), min_size=1, max_size=300))
def test_lines_come_back(lines: set[int]) -> None:
    numbers = np.array(sorted(lines), dtype=np.uint32)
    assert decode_lines(encode_lines(numbers)).tolist() == sorted(lines)


@given(st.integers(0, 1 << 31), st.integers(1, 5000))
def test_a_range_takes_nine_bytes(first: int, count: int) -> None:
    numbers = np.arange(first, first + count, dtype=np.uint32)
    blob = encode_lines(numbers)
    assert len(blob) == 9
    assert decode_lines(blob).tolist() == numbers.tolist()


def test_closed_files_of_many_producers_are_asked_without_a_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedupe, "_SUMMARY_PRODUCERS_MAX", 3)
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    stamps = [ProducerStamp(f"p{n}", epoch, n) for n in range(5) for epoch in (1, 2)]
    for stamp in stamps:
        durable(stream.append(sample_batch(shard_id, range(2), producer=stamp)))
    harness.clock.advance(HOUR_S)
    stream.seal(shard_id)
    assert [durable(stream.append(sample_batch(shard_id, range(2), producer=s))).deduplicated for s in stamps] == [
        2
    ] * 10
    others = [ProducerStamp(s.id, s.epoch, s.n + 1) for s in stamps]
    assert [durable(stream.append(sample_batch(shard_id, range(2), producer=s))).stored for s in others] == [2] * 10
    stream.close()


def test_summary_of_a_closed_file_spans_epochs_of_a_producer(tmp_path: Path) -> None:
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    stamps = [ProducerStamp("p", epoch, n) for epoch in (3, 5, 9) for n in (1, 1000)]
    for stamp in stamps:
        durable(stream.append(sample_batch(shard_id, [stamp.n], producer=stamp)))
    harness.clock.advance(HOUR_S)
    stream.seal(shard_id)
    assert all(durable(stream.append(sample_batch(shard_id, [s.n], producer=s))).deduplicated == 1 for s in stamps)
    between = [
        ProducerStamp("p", 4, 7),
        ProducerStamp("p", 5, 2),
        ProducerStamp("p", 2, 5),
        ProducerStamp("p", 9, 1001),
    ]
    assert all(durable(stream.append(sample_batch(shard_id, [1], producer=s))).stored == 1 for s in between)
    stream.close()


def test_duplicates_older_than_the_horizon_are_stored_again(tmp_path: Path) -> None:
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    stamp = ProducerStamp("p", 1, 1)
    durable(stream.append(sample_batch(shard_id, [0], producer=stamp)))
    for hour in range(30):
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
        durable(stream.append(sample_batch(shard_id, [100 + hour])))
    assert durable(stream.append(sample_batch(shard_id, [0], producer=stamp))).stored == 1
    stream.close()


def test_lines_of_a_post_over_two_files_are_both_known(tmp_path: Path) -> None:
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    stamp = ProducerStamp("p", 1, 1)
    for lines in ([0, 1], [2, 3], [4, 5]):
        durable(stream.append(sample_batch(shard_id, lines, producer=stamp, lines=lines)))
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
    again = durable(stream.append(sample_batch(shard_id, range(7), producer=stamp, lines=range(7))))
    assert again.duplicate_lines == frozenset(range(6))
    assert again.stored == 1
    stream.close()


def test_a_file_that_another_process_lets_go_is_still_remembered(tmp_path: Path) -> None:
    harness = EmbeddedHarness(tmp_path)
    stream, other = harness.open(), harness.open()
    shard_id = stream.shards()[0].id
    stamp = ProducerStamp("p", 1, 1)
    durable(stream.append(sample_batch(shard_id, range(3), producer=stamp)))
    harness.clock.advance(HOUR_S)
    stream.seal(shard_id)
    assert durable(stream.append(sample_batch(shard_id, range(3), producer=stamp))).deduplicated == 3
    harness.clock.advance(1)
    assert other.trim(shard_id, 1, harness.clock.now_us()) == 1
    assert durable(stream.append(sample_batch(shard_id, range(3), producer=stamp))).deduplicated == 3
    stream.close()
    other.close()


def test_what_is_remembered_goes_with_its_horizon(tmp_path: Path) -> None:
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    for n in range(3):
        durable(stream.append(sample_batch(shard_id, range(3), producer=ProducerStamp("p", 1, n))))
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
    assert stream.trim(shard_id, 9, 0, 0) == 3
    kept = sorted(path.name for path in tmp_path.rglob("*.stamps.db"))
    assert kept == ["00000001.stamps.db", "00000002.stamps.db", "00000003.stamps.db"]
    harness.clock.advance(22 * HOUR_S + 1)
    assert stream.trim(shard_id, 9, 0, 0) == 0
    assert sorted(path.name for path in tmp_path.rglob("*.stamps.db")) == kept[1:]
    assert not list((tmp_path / "logs" / shard_id).glob("00000001.*"))
    stream.close()


def test_a_file_that_remembers_nothing_leaves_nothing(tmp_path: Path) -> None:
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    durable(stream.append(sample_batch(shard_id, range(3))))
    harness.clock.advance(HOUR_S)
    stream.seal(shard_id)
    assert stream.trim(shard_id, 9, 0, 0) == 1
    assert not list(tmp_path.rglob("*.stamps.db*"))
    assert not list(tmp_path.rglob(".*.tmp*"))
    stream.close()


def closed_post(harness: EmbeddedHarness, stream: EmbeddedStream, n: int = 1) -> Path:
    """Post `n` of three lines in a file of its own, closed. Its path."""
    shard_id = stream.shards()[0].id
    durable(stream.append(sample_batch(shard_id, range(3), producer=ProducerStamp("p", 1, n))))
    harness.clock.advance(HOUR_S)
    stream.seal(shard_id)
    return sorted((harness.folder / shard_id).glob("0*[0-9].db"))[-2]


def stored_again(stream: EmbeddedStream, n: int = 1) -> int:
    shard_id = stream.shards()[0].id
    return durable(stream.append(sample_batch(shard_id, range(3), producer=ProducerStamp("p", 1, n)))).stored


def made_older(path: Path, version: int) -> None:
    """As a file of this schema version is: none has a hash of records, the first no checksums either."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("state", "epochs"):
            for column in ("record_hash", "hash_columns"):
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("UPDATE about SET schema_version = ?", (version,))
        for table in ("about", "state", "epochs"):
            if version == 1:
                connection.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
                continue
            (row,) = connection.execute(f"SELECT * FROM {table}").fetchall()
            connection.execute(f"UPDATE {table} SET checksum = ?", (checksum(row[table != "epochs" : -1]),))


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_earlier_versions_are_remembered_too(tmp_path: Path, version: int) -> None:
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    path = closed_post(harness, stream)
    stream.close()
    made_older(path, version)
    stream = harness.open()
    assert stream.trim(stream.shards()[0].id, 9, 0, 0) == 1
    stream.close()
    stream = harness.open()
    assert stored_again(stream) == 0
    stream.close()


def test_a_damaged_memory_is_named_and_its_file_stays(tmp_path: Path) -> None:
    """Copied, the rows would be in order again, and nobody would notice."""
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    for n in range(3):
        durable(stream.append(sample_batch(shard_id, [n], producer=ProducerStamp(f"producer-{n}", 1, 1))))
    path = closed_post(harness, stream)
    stream.close()
    content = path.read_bytes()
    assert content.count(b"producer-1") == 1
    path.write_bytes(content.replace(b"producer-1", b"producer-9"))
    stream = harness.open()
    with pytest.raises(Corrupt, match=r"00000001\.db"):
        stream.trim(shard_id, 9, 0, 0)
    assert path.exists()
    assert not list(tmp_path.rglob("*.stamps.db*"))
    stream.close()


def test_a_file_whose_memory_cannot_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: what is too old to be remembered goes all the same, and the rest once there is room."""
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    closed_post(harness, stream, 1)
    assert stream.trim(shard_id, 9, 0, 0) == 1
    harness.clock.advance(24 * HOUR_S)
    path = closed_post(harness, stream, 2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(layout, "update_state", full)
        with pytest.raises(Unavailable, match="No space left"):
            stream.trim(shard_id, 9, 0, 0)
    assert path.exists()
    assert not list(tmp_path.rglob("*.stamps.db*"))
    assert stream.trim(shard_id, 9, 0, 0) == 1
    assert stored_again(stream, 2) == 0
    stream.close()


def test_a_trim_that_dies_between_its_steps_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered stands beside the file that it was made of."""
    harness = EmbeddedHarness(tmp_path)
    stream = harness.open()
    shard_id = stream.shards()[0].id
    path = closed_post(harness, stream)

    def die(file: object) -> None:
        layout.remember_generation(file)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retention, "remember_generation", die)
        with pytest.raises(KeyboardInterrupt):
            stream.trim(shard_id, 9, 0, 0)
    stream.close()
    left = path.with_name(f".{path.stem}.stamps.db.tmp")
    left.write_bytes(b"of a maker that died")
    stream = harness.open()
    assert path.exists()
    assert path.with_name(f"{path.stem}.stamps.db").exists()
    assert stored_again(stream) == 0
    assert stream.trim(shard_id, 9, 0, 0) == 1
    assert not left.exists()
    assert stored_again(stream) == 0
    stream.close()


def test_a_parent_that_is_trimmed_meanwhile_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process lets a file of the parent go between the two questions that the child's writer asks."""
    harness = EmbeddedHarness(tmp_path)
    stream, other = harness.open(), harness.open()
    parent = stream.shards()[0].id
    closed_post(harness, stream)
    durable(stream.append(sample_batch(parent, range(3, 6), producer=ProducerStamp("p", 1, 2))))
    child = stream.split(parent).children[0].id
    asked: list[str] = []

    def trim_between(question: str) -> None:
        original = getattr(ShardFiles, question)

        def answer(files: ShardFiles) -> object:
            found = original(files)
            if files.shard_id == parent and not asked:
                asked.append(question)
                assert other.trim(parent, 99, 0, 0) == 2
            return found

        monkeypatch.setattr(ShardFiles, question, answer)

    other.shards()
    trim_between("closed")
    trim_between("remembered")
    for n, lines in ((1, range(3)), (2, range(3, 6))):
        again = sample_batch(child, lines, producer=ProducerStamp("p", 1, n))
        assert durable(stream.append(again)).deduplicated == 3
    assert asked
    stream.close()
    other.close()
