"""Splits and merges of embedded shards that die between any two of their writes, and what other processes see of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.errors import Corrupt, Invalid, NotFound, ShardClosed, Trimmed, Unavailable
from tailrace.model.shard import HASH_KEYS, Shard
from tailrace.runtime import files
from tailrace.stream.backends.embedded import EmbeddedStream, layout, layout_file, resharding
from tailrace.stream.backends.embedded.turn import OpenFile
from tailrace.stream.base import ProducerStamp, ReadRequest
from tailrace.stream.resharding import uncovered
from tailrace.testing.contracts.stream_harness import HOUR_S, durable
from tailrace.testing.contracts.stream_samples import read_lines, sample_batch, sample_raw
from tests.oracle.faults import Faults, Killed
from tests.stream.harness import EmbeddedHarness

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
STAMP = ProducerStamp("p", 1, 1)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Every durable write of a split or merge passes through these."""
    found = Faults()
    monkeypatch.setattr(layout_file, "write_atomic", found.around(files.write_atomic))
    monkeypatch.setattr(layout, "create_generation", found.around(layout.create_generation))
    monkeypatch.setattr(resharding, "create_shard", found.around(resharding.create_shard))
    monkeypatch.setattr(OpenFile, "end_locked", found.around(OpenFile.end_locked))
    return found


@pytest.fixture
def harness(tmp_path: Path) -> EmbeddedHarness:
    return EmbeddedHarness(tmp_path)


@pytest.fixture
def stream(harness: EmbeddedHarness) -> Iterator[EmbeddedStream]:
    stream = harness.open()
    yield stream
    stream.close()


def split(stream: EmbeddedStream) -> object:
    return stream.split(FIRST)


def merge(stream: EmbeddedStream) -> object:
    return stream.merge(SECOND, FIRST)


def open_shards(stream: EmbeddedStream) -> list[Shard]:
    return [s for s in stream.shards() if not s.closed]


def by_an_append(harness: EmbeddedHarness, survivor: EmbeddedStream) -> EmbeddedStream:
    for shard in survivor.shards():
        try:
            durable(survivor.append(sample_batch(shard.id, [])))
        except ShardClosed:
            continue
    return survivor


def by_the_sealer(harness: EmbeddedHarness, survivor: EmbeddedStream) -> EmbeddedStream:
    for shard in survivor.shards():
        survivor.seal(shard.id)
    return survivor


def by_opening(harness: EmbeddedHarness, survivor: EmbeddedStream) -> EmbeddedStream:
    return harness.open()


def by_another_split(harness: EmbeddedHarness, survivor: EmbeddedStream) -> EmbeddedStream:
    with pytest.raises(NotFound):
        survivor.split("shardId-000000000099")
    return survivor


@pytest.mark.parametrize(
    ("change", "finish"),
    [(split, by_an_append), (split, by_the_sealer), (merge, by_opening), (merge, by_another_split)],
)
def test_death_at_any_write_is_finished_by_whoever_comes_next(
    tmp_path: Path,
    faults: Faults,
    change: Callable[[EmbeddedStream], object],
    finish: Callable[[EmbeddedHarness, EmbeddedStream], EmbeddedStream],
) -> None:
    moment = 0
    died = True
    while died:
        moment += 1
        harness = EmbeddedHarness(tmp_path / str(moment))
        died = _one_life(harness, faults, moment, change, finish)
    assert moment > 10


def _one_life(
    harness: EmbeddedHarness,
    faults: Faults,
    moment: int,
    change: Callable[[EmbeddedStream], object],
    finish: Callable[[EmbeddedHarness, EmbeddedStream], EmbeddedStream],
) -> bool:
    """Die at that moment; whatever it was, either nothing has happened or all of it, and every line is there once."""
    dying, survivor = harness.open(), harness.open()
    for n, shard in enumerate((FIRST, SECOND)):
        lines = range(10 * n, 10 * n + 4)
        durable(survivor.append(sample_batch(shard, lines, producer=STAMP, lines=lines)))
        survivor.seal(shard)
    durable(survivor.append(sample_batch(FIRST, [4])))
    died = False
    try:
        with faults.dying_at(moment):
            change(dying)
    except Killed:
        died = True
    after = finish(harness, survivor)
    _check_whole(after)
    handles = [after, survivor, *([] if died else [dying])]
    assert all(handle.shards() == after.shards() for handle in handles)
    if finish is not by_an_append or not died:
        pending = json.loads((harness.folder / "shards.json").read_bytes()).get("pending")
        assert pending is None
    # Go on: retries are known, new lines are stored.
    child = open_shards(after)[0]
    again = durable(after.append(sample_batch(child.id, range(5), producer=STAMP, lines=range(5))))
    if child.parents:
        assert (set(again.duplicate_lines), again.stored) == ({0, 1, 2, 3}, 1)
    for handle in (dying, survivor, after):
        handle.close()
    return died


def _check_whole(stream: EmbeddedStream) -> None:
    shards = {s.id: s for s in stream.shards()}
    assert uncovered(shards.values()) is None
    closed = [s for s in shards.values() if s.closed]
    assert {p for s in shards.values() for p in s.parents} == {s.id for s in closed}
    assert [line.raw for line in read_lines(stream, FIRST)] == [sample_raw(n) for n in range(5)]
    assert [line.raw for line in read_lines(stream, SECOND)] == [sample_raw(n) for n in range(10, 14)]
    for shard in closed:
        seals = stream.seals(shard.id)
        assert seals[-1].epoch == shard.last_epoch
        assert seals[-1].last_offset == stream.end(shard.id).next_offset - 1
        with pytest.raises(ShardClosed):
            durable(stream.append(sample_batch(shard.id, [99])))
    for shard in shards.values():
        if shard.parents:
            assert shard.first_epoch == 1 + max(shards[p].last_epoch or 0 for p in shard.parents)
            assert stream.end(shard.id).open_epoch == shard.first_epoch


def test_other_processes_see_new_shards_without_a_word(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    other, reader = harness.open(), harness.open(read_only=True)
    durable(other.append(sample_batch(FIRST, [0])))
    child = stream.split(FIRST).children[0]
    with pytest.raises(ShardClosed):
        durable(other.append(sample_batch(FIRST, [1])))
    assert other.shards() == reader.shards() == stream.shards()
    durable(other.append(sample_batch(child.id, [1])))
    assert [line.raw for line in read_lines(reader, child.id)] == [sample_raw(1)]
    assert reader.end(child.id).next_offset == 1
    with pytest.raises(Invalid):
        reader.split(child.id)
    other.close()
    reader.close()


def test_reopened_stream_has_all_shards(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    stream.split(FIRST)
    stream.merge(SECOND, "shardId-000000000003")
    before = stream.shards()
    stream.close()
    again = harness.open()
    assert again.shards() == before
    assert [s.parents for s in before[4:]] == [(SECOND, "shardId-000000000003")]
    again.close()


def test_trouble_before_the_first_end_changes_nothing(
    harness: EmbeddedHarness, stream: EmbeddedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = stream.shards()
    with monkeypatch.context() as patch:
        patch.setattr(resharding, "create_shard", full)
        with pytest.raises(Unavailable, match="No space left"):
            stream.split(FIRST)
    assert stream.shards() == before
    assert "pending" not in json.loads((harness.folder / "shards.json").read_bytes())
    assert durable(stream.append(sample_batch(FIRST, [0]))).stored == 1
    assert len(stream.split(FIRST).children) == 2


def test_trouble_between_two_ends_is_finished_when_it_is_over(
    harness: EmbeddedHarness, stream: EmbeddedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = OpenFile.end_locked

    def failing(part: OpenFile) -> None:
        if part.shard_id == FIRST:
            raise OSError(5, "Input/output error")
        real(part)

    with monkeypatch.context() as patch:
        patch.setattr(OpenFile, "end_locked", failing)
        with pytest.raises(Unavailable):
            stream.merge(SECOND, FIRST)
        with pytest.raises(Unavailable):
            durable(stream.append(sample_batch(SECOND, [0])))
    with pytest.raises(ShardClosed):
        durable(stream.append(sample_batch(SECOND, [0])))
    assert [s.parents for s in open_shards(stream)] == [(SECOND, FIRST)]


def test_retry_is_known_however_far_up_its_file_is(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    """As long as the horizon lasts: by the clock, and by the number of files along each line of descent."""
    durable(stream.append(sample_batch(FIRST, range(3), producer=STAMP, lines=range(3))))
    shard = FIRST
    for _ in range(20):
        harness.clock.advance(HOUR_S)
        shard = stream.split(shard).children[0].id
    again = durable(stream.append(sample_batch(shard, range(3), producer=STAMP, lines=range(3))))
    assert again.deduplicated == 3
    harness.clock.step(1000 * HOUR_S)
    shard = stream.split(shard).children[1].id
    assert durable(stream.append(sample_batch(shard, range(3), producer=STAMP, lines=range(3)))).deduplicated == 3


def test_files_of_a_closed_shard_are_all_trimmed_but_its_end_stays(
    harness: EmbeddedHarness, stream: EmbeddedStream
) -> None:
    for n in range(3):
        durable(stream.append(sample_batch(FIRST, [n])))
        harness.clock.advance(HOUR_S)
        stream.seal(FIRST)
    durable(stream.append(sample_batch(FIRST, [3])))
    stream.split(FIRST)
    harness.clock.advance(1)
    other = harness.open()
    assert other.end(FIRST).next_offset == 4
    assert stream.trim(FIRST, 3, harness.clock.now_us()) == 3
    assert stream.trim(FIRST, 4, harness.clock.now_us()) == 1
    end = stream.end(FIRST)
    assert (end.earliest_offset, end.next_offset, end.open_epoch) == (4, 4, 5)
    assert [path.name for path in sorted((harness.folder / FIRST).glob("*.db"))] == ["00000005.db"]
    assert stream.trim(FIRST, 4, harness.clock.now_us(), 0) == 0
    late = harness.open()
    for each in (stream, other, late):
        assert each.end(FIRST) == end
        assert (each.seals(FIRST), each.read(ReadRequest(FIRST, 4))) == ([], [])
        with pytest.raises(Trimmed):
            each.read(ReadRequest(FIRST, 3))
        with pytest.raises(ShardClosed):
            durable(each.append(sample_batch(FIRST, [9])))
    child = stream.shards()[-1].id
    assert durable(other.append(sample_batch(child, [5]))).epoch == 5
    other.close()
    late.close()


def test_a_trim_that_dies_before_the_last_file_of_a_closed_shard_is_gone_is_finished_by_the_next(
    harness: EmbeddedHarness, stream: EmbeddedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came again after the last seal stays counted."""
    durable(stream.append(sample_batch(FIRST, range(3), producer=STAMP, lines=range(3))))
    stream.seal(FIRST)
    durable(stream.append(sample_batch(FIRST, range(3), producer=STAMP, lines=range(3))))
    stream.split(FIRST)
    harness.clock.advance(1)
    before = stream.end(FIRST)
    assert before.open_counts.deduplicated == 3

    unlink = Path.unlink

    def dies(path: Path, missing_ok: bool = False) -> None:
        if path.name == "00000001.db":
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as dying:
        dying.setattr(Path, "unlink", dies)
        with pytest.raises(Killed):
            stream.trim(FIRST, 1, harness.clock.now_us())
    other = harness.open()
    assert len(list((harness.folder / FIRST).glob("????????.db"))) == 2
    assert [seal.counts.stored for seal in other.seals(FIRST)] == [3]
    assert other.trim(FIRST, 1, harness.clock.now_us()) == 1
    for each in (stream, other):
        assert each.end(FIRST).open_counts == before.open_counts
        assert each.end(FIRST).next_offset == 3
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["shards"].pop(),
        lambda document: document["shards"][0].update(closed=True),
        lambda document: document["shards"][1].update(hash_first="5"),
        lambda document: document["shards"][1].update(hash_last=str(HASH_KEYS)),
        lambda document: document.update(pending={"close": [7], "open": []}),
        lambda document: document.update(version=99),
    ],
)
def test_damaged_layout_is_said_to_be(
    harness: EmbeddedHarness, stream: EmbeddedStream, change: Callable[[dict[str, object]], object]
) -> None:
    path = harness.folder / "shards.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(Corrupt):
        harness.open()


def test_layout_of_an_older_version_is_read(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    path = harness.folder / "shards.json"
    document = json.loads(path.read_bytes())
    document["version"] = 1
    del document["checksum"]
    for row in document["shards"]:
        del row["first_epoch"], row["last_epoch"]
    path.write_text(json.dumps(document))
    older = harness.open()
    assert older.shards() == stream.shards()
    assert len(older.split(FIRST).children) == 2
    older.close()


def test_what_a_dead_attempt_left_in_a_new_shards_folder_is_no_harm(
    harness: EmbeddedHarness, stream: EmbeddedStream
) -> None:
    shutil.copytree(harness.folder / SECOND, harness.folder / "shardId-000000000002")
    durable(stream.append(sample_batch(FIRST, [0])))
    child = stream.split(FIRST).children[0]
    assert child.id == "shardId-000000000002"
    assert durable(stream.append(sample_batch(child.id, [1]))).epoch == 2
