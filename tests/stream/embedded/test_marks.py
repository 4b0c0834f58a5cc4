"""High-water marks beside files that are split and trimmed: never ahead of a sound shard, and a shard that lost something is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.errors import Corrupt
from tailrace.runtime.mark import MARK_FILE, read_mark
from tailrace.stream.backends.embedded import EmbeddedStream, layout_file, turn
from tailrace.stream.backends.embedded.layout_file import Layout, LayoutFile
from tailrace.stream.resharding import plan_split
from tailrace.testing.contracts.stream_harness import HOUR_S, durable
from tailrace.testing.contracts.stream_samples import sample_batch
from tests.oracle.faults import Killed
from tests.stream.harness import EmbeddedHarness

FIRST = "shardId-000000000000"
CHILD = "shardId-000000000002"


@pytest.fixture
def harness(tmp_path: Path) -> EmbeddedHarness:
    return EmbeddedHarness(tmp_path)


@pytest.fixture
def stream(harness: EmbeddedHarness) -> Iterator[EmbeddedStream]:
    stream = harness.open()
    yield stream
    stream.close()


def marks_at_the_end(harness: EmbeddedHarness) -> dict[str, tuple[int, int]]:
    """The marks of all shards, each of which says exactly how far its shard has got."""
    fresh = harness.open(read_only=True)
    found = {shard.id: read_mark(harness.folder / shard.id) for shard in fresh.shards()}
    for shard, mark in found.items():
        end = fresh.end(shard)
        assert mark in ((end.next_offset, end.open_epoch), (0, 0))
    fresh.close()
    return found


def test_marks_outlast_turns_trims_and_splits(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    for n in range(3):
        durable(stream.append(sample_batch(FIRST, [n])))
        harness.clock.advance(HOUR_S)
        stream.seal(FIRST)
    assert marks_at_the_end(harness)[FIRST] == (3, 4)
    assert stream.trim(FIRST, 2, 0, bytes_max=1) == 2
    assert marks_at_the_end(harness)[FIRST] == (3, 4)
    durable(stream.append(sample_batch(FIRST, [3])))
    assert stream.split(FIRST).children[0].id == CHILD
    assert marks_at_the_end(harness) == {
        FIRST: (4, 5),
        "shardId-000000000001": (0, 0),
        CHILD: (0, 0),
        "shardId-000000000003": (0, 0),
    }
    durable(stream.append(sample_batch(CHILD, [4])))
    assert marks_at_the_end(harness)[CHILD] == (1, 5)
    harness.clock.advance(1)
    assert stream.trim(FIRST, 4, harness.clock.now_us()) == 2
    assert marks_at_the_end(harness)[FIRST] == (4, 5)


def test_a_closed_shard_that_lost_its_end_is_refused(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    durable(stream.append(sample_batch(FIRST, [0])))
    stream.seal(FIRST)
    durable(stream.append(sample_batch(FIRST, [1])))
    path = harness.folder / FIRST / "00000001.db"
    before = path.with_suffix(".before"), path.with_suffix(".log")
    shutil.copy(path, before[0])
    shutil.copy(f"{path}-wal", before[1])
    stream.split(FIRST)
    stream.close()
    shutil.copy(before[0], path)
    shutil.copy(before[1], f"{path}-wal")
    with pytest.raises(Corrupt, match="had got to `2`, `3`"):
        harness.open()


def test_an_end_that_a_dead_process_wrote_is_made_sure_of(
    harness: EmbeddedHarness, stream: EmbeddedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sync may have failed: nothing may stand on it before all that the log holds has been written anew."""
    durable(stream.append(sample_batch(FIRST, [0])))
    layouts: list[Layout] = []

    def dying(file: LayoutFile, layout: Layout) -> None:
        if layouts:
            raise Killed
        layouts.append(layout)
        file.path.write_bytes(layout.encoded())

    with monkeypatch.context() as patch:
        patch.setattr(LayoutFile, "write", dying)
        with pytest.raises(Killed):
            stream.split(FIRST)
    done: list[str] = []
    settle, write = turn.settle_locked, layout_file.write_atomic
    monkeypatch.setattr(turn, "settle_locked", lambda path, clock: (done.append(path.parent.name), settle(path, clock)))
    monkeypatch.setattr(layout_file, "write_atomic", lambda path, data: (done.append(path.name), write(path, data)))
    after = harness.open()
    assert done == [FIRST, "shards.json"]
    assert [s.closed for s in after.shards()] == [True, False, False, False]
    after.close()


@pytest.mark.parametrize("member", ["shards", "pending"])
def test_a_changed_digit_in_the_list_of_shards_is_noticed(
    harness: EmbeddedHarness, stream: EmbeddedStream, member: str
) -> None:
    """The list still makes sense, and is not the one that was written."""
    path = harness.folder / "shards.json"
    shards = stream.shards()
    path.write_bytes(Layout(shards, plan_split(shards, FIRST, None, 1_800_000_001)).encoded())
    document = json.loads(path.read_bytes())
    row = document["shards"][0] if member == "shards" else document["pending"]["open"][0]
    row["created_s"] += 1
    path.write_text(json.dumps(document))
    with pytest.raises(Corrupt, match="checksum"):
        harness.open()


def test_a_damaged_file_of_a_shard_in_use_is_not_made_anew(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    """A power cut took back the list that named the new shard; what it had acknowledged by then stays, damaged or not."""
    layout = harness.folder / "shards.json"
    before = stream.shards()
    began = Layout(before, plan_split(before, FIRST, None, harness.clock.now_us() // 1_000_000)).encoded()
    stream.split(FIRST)
    durable(stream.append(sample_batch(CHILD, [0])))
    stream.close()
    layout.write_bytes(began)
    path = harness.folder / CHILD / "00000001.db"
    data = bytearray(path.read_bytes())
    data[:16] = bytes(16)
    path.write_bytes(data)
    with pytest.raises(Corrupt, match=path.name):
        harness.open()
    assert path.read_bytes() == data
    (path.parent / MARK_FILE).unlink()
    harness.open().close()
    assert path.read_bytes() != data
