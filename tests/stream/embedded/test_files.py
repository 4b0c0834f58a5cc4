"""Files of a shard: turning, healing, trimming, checkpoints, and what other processes see of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tailrace.config.settings import StreamSettings
from tailrace.errors import Corrupt, GapFound, Invalid, NotFound
from tailrace.model.fields import Field, FieldKind, Fields
from tailrace.stream.backends.embedded import checkpoint, open_embedded
from tailrace.stream.backends.embedded.schema import CLOSED, connect_writer
from tailrace.stream.backends.embedded.turn import seal_transaction
from tailrace.stream.base import LedgerCounts, ProducerStamp, ReadRequest, Start, StartKind
from tailrace.testing.contracts.stream_harness import HOUR_S, durable
from tailrace.testing.contracts.stream_samples import FIELDS, read_lines, sample_batch, sample_raw
from tests.e2e.waiting import until
from tests.stream.harness import EmbeddedHarness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tailrace.stream.backends.embedded import EmbeddedStream


@pytest.fixture
def harness(tmp_path: Path) -> EmbeddedHarness:
    return EmbeddedHarness(tmp_path)


@pytest.fixture
def stream(harness: EmbeddedHarness) -> Iterator[EmbeddedStream]:
    stream = harness.open()
    yield stream
    stream.close()


@pytest.fixture
def shard_id(stream: EmbeddedStream) -> str:
    return stream.shards()[0].id


def names(harness: EmbeddedHarness, shard_id: str) -> list[str]:
    return sorted(p.name for p in (harness.folder / shard_id).glob("*.db"))


def close_file_and_die(harness: EmbeddedHarness, shard_id: str, generation: int = 1) -> None:
    """What is on disk when a sealer dies after it closed a file and before it made the next."""
    with closing(connect_writer(harness.folder / shard_id / f"{generation:08d}.db")) as connection:
        seal_transaction(connection, shard_id, harness.clock.now_us(), close=CLOSED)


# ---- Turning ---------------------------------------------------------------------------------------------------------


def test_a_new_file_each_hour(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    for hour in range(3):
        durable(stream.append(sample_batch(shard_id, [2 * hour])))
        harness.clock.advance(HOUR_S - 1)
        stream.seal(shard_id)
        durable(stream.append(sample_batch(shard_id, [2 * hour + 1])))
        harness.clock.advance(1)
        stream.seal(shard_id)
    assert names(harness, shard_id) == [f"{n:08d}.db" for n in (1, 2, 3, 4)]
    assert [line.raw for line in read_lines(stream, shard_id)] == [sample_raw(n) for n in range(6)]
    assert [s.epoch for s in stream.seals(shard_id)] == [1, 2, 3, 4, 5, 6]
    assert [s.epoch for s in stream.seals(shard_id, 3)] == [4, 5, 6]
    assert {line.epoch for line in read_lines(stream, shard_id)} == {1, 2, 3, 4, 5, 6}


def test_empty_files_do_not_turn(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    for _ in range(5):
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
    assert names(harness, shard_id) == ["00000001.db"]


def test_file_turns_although_the_wall_clock_steps_back(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    durable(stream.append(sample_batch(shard_id, [0])))
    stream.seal(shard_id)
    harness.clock.step(-5 * HOUR_S)
    harness.clock.advance(HOUR_S)
    stream.seal(shard_id)
    assert len(names(harness, shard_id)) == 2


def test_file_turns_although_its_sealer_has_just_begun(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    durable(stream.append(sample_batch(shard_id, [0])))
    harness.clock.advance(HOUR_S)
    fresh = harness.open()
    fresh.seal(shard_id)
    assert len(names(harness, shard_id)) == 2
    fresh.close()


def test_duplicates_counted_before_a_turn_are_in_the_next_seal(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    stamp = ProducerStamp("p", 1, 1)
    durable(stream.append(sample_batch(shard_id, range(3), producer=stamp)))
    stream.seal(shard_id)
    durable(stream.append(sample_batch(shard_id, range(3), producer=stamp)))
    harness.clock.advance(HOUR_S)
    assert stream.seal(shard_id) is None
    assert len(names(harness, shard_id)) == 2
    assert stream.end(shard_id).open_counts == LedgerCounts(deduplicated=3)
    durable(stream.append(sample_batch(shard_id, [3])))
    sealed = stream.seal(shard_id)
    assert sealed is not None
    assert sealed.counts == LedgerCounts(stored=1, deduplicated=3)


# ---- A crash between closing a file and making the next ---------------------------------------------------------------


def test_appender_makes_the_file_that_a_dead_sealer_did_not(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    close_file_and_die(harness, shard_id)
    assert stream.end(shard_id).next_offset == 3
    assert len(read_lines(stream, shard_id)) == 3
    appended = durable(stream.append(sample_batch(shard_id, range(3, 5))))
    assert (appended.first_offset, appended.epoch) == (3, 2)
    assert names(harness, shard_id) == ["00000001.db", "00000002.db"]
    assert [s.epoch for s in stream.seals(shard_id)] == [1]


def test_sealer_makes_the_file_that_a_dead_sealer_did_not(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    close_file_and_die(harness, shard_id)
    fresh = harness.open()
    assert fresh.seal(shard_id) is None
    assert names(harness, shard_id) == ["00000001.db", "00000002.db"]
    assert durable(fresh.append(sample_batch(shard_id, [3]))).first_offset == 3
    assert [line.raw for line in read_lines(stream, shard_id)] == [sample_raw(n) for n in range(4)]
    fresh.close()


def test_half_made_file_is_made_again(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    close_file_and_die(harness, shard_id)
    folder = harness.folder / shard_id
    for name in (".00000002.db.tmp", ".00000002.db.tmp-wal", ".00000002.db.tmp-shm"):
        (folder / name).write_bytes(b"half a file")
    assert durable(stream.append(sample_batch(shard_id, [3]))).first_offset == 3
    assert list(folder.glob(".*tmp*")) == []


# ---- What is missing or wrong on disk --------------------------------------------------------------------------------


def test_missing_file_in_the_middle_is_a_gap(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    for hour in range(3):
        durable(stream.append(sample_batch(shard_id, range(hour * 10, hour * 10 + 10))))
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
    stream.close()
    (harness.folder / shard_id / "00000002.db").unlink()
    with pytest.raises(GapFound) as found:
        harness.open()
    assert (found.value.first, found.value.last) == (10, 19)


def test_missing_block_is_a_gap(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    for n in range(3):
        durable(stream.append(sample_batch(shard_id, [2 * n, 2 * n + 1])))
    with closing(connect_writer(harness.folder / shard_id / "00000001.db")) as connection:
        connection.execute("DELETE FROM blocks WHERE first_offset = 2")
    for start in (0, 2, 3):
        with pytest.raises(GapFound) as found:
            stream.read(ReadRequest(shard_id, start))
        assert (found.value.first, found.value.last) == (2, 3)
    with pytest.raises(GapFound):
        stream.read(ReadRequest(shard_id, 2, max_blocks=1))
    with closing(connect_writer(harness.folder / shard_id / "00000001.db")) as connection:
        connection.execute("DELETE FROM blocks")
    with pytest.raises(GapFound) as found:
        stream.read(ReadRequest(shard_id, 0))
    assert (found.value.first, found.value.last) == (0, 5)


@pytest.mark.parametrize("column", ["columns", "raw"])
def test_flipped_bit_in_a_block_is_corrupt(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str, column: str
) -> None:
    durable(stream.append(sample_batch(shard_id, range(100))))
    with closing(connect_writer(harness.folder / shard_id / "00000001.db")) as connection:
        blob = bytearray(connection.execute(f"SELECT {column} FROM blocks").fetchone()[0])
        blob[len(blob) // 2] ^= 4
        connection.execute(f"UPDATE blocks SET {column} = ?", (bytes(blob),))
    with pytest.raises(Corrupt, match=r"00000001\.db"):
        stream.read(ReadRequest(shard_id, 0, with_columns=column == "columns", with_raw=column == "raw"))
    # Whoever does not need the damaged half is not hindered.
    assert (
        stream.read(ReadRequest(shard_id, 0, with_columns=column == "raw", with_raw=column == "columns"))[0].count
        == 100
    )


@pytest.mark.parametrize("column", ["count", "epoch", "arrived_at_us", "bytes"])
def test_changed_coordinate_is_corrupt(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str, column: str
) -> None:
    durable(stream.append(sample_batch(shard_id, range(100))))
    with closing(connect_writer(harness.folder / shard_id / "00000001.db")) as connection:
        connection.execute(f"UPDATE blocks SET {column} = {column} + 1")
    with pytest.raises(Corrupt):
        stream.read(ReadRequest(shard_id, 0))


def test_bit_flipped_on_the_medium_is_corrupt(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    durable(stream.append(sample_batch(shard_id, range(5000))))
    stream.close()
    path = harness.folder / shard_id / "00000001.db"
    with closing(connect_writer(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        blob = connection.execute("SELECT raw FROM blocks").fetchone()[0]
    data = bytearray(path.read_bytes())
    data[data.index(blob[-500:]) + 250] ^= 1
    path.write_bytes(data)
    again = harness.open()
    with pytest.raises(Corrupt):
        again.read(ReadRequest(shard_id, 0, with_raw=True))
    again.close()


def test_file_that_is_no_database_is_corrupt(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    stream.close()
    (harness.folder / shard_id / "00000001.db").write_bytes(b"not a database, but long enough to be read as one" * 500)
    with pytest.raises(Corrupt, match=r"00000001\.db"):
        harness.open()


def test_file_of_another_shard_is_corrupt(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    first, second = (s.id for s in stream.shards())
    stream.close()
    (harness.folder / first / "00000001.db").replace(harness.folder / second / "00000001.db")
    with pytest.raises(Corrupt):
        harness.open()


def test_shard_list_that_cannot_be_read_is_corrupt(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    stream.close()
    for text in ("", "[]", '{"version": 1}', '{"version": 99, "shards": []}'):
        (harness.folder / "shards.json").write_text(text)
        with pytest.raises(Corrupt, match=r"shards\.json"):
            harness.open()


# ---- Opening ---------------------------------------------------------------------------------------------------------


def test_reader_needs_a_stream(harness: EmbeddedHarness) -> None:
    with pytest.raises(NotFound):
        harness.open(read_only=True)
    assert not harness.folder.exists()


def test_reader_cannot_write(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    reader = harness.open(read_only=True)
    assert len(read_lines(reader, shard_id)) == 3
    with pytest.raises(Invalid):
        reader.append(sample_batch(shard_id, [3]))
    with pytest.raises(Invalid):
        reader.seal(shard_id)
    with pytest.raises(Invalid):
        reader.trim(shard_id, 9, 9)
    reader.close()


def test_reader_of_a_closed_stream_whose_wal_is_gone(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    stream.close()
    reader = harness.open(read_only=True)
    assert len(read_lines(reader, shard_id)) == 3
    reader.close()


def test_existing_stream_keeps_its_shards(harness: EmbeddedHarness, stream: EmbeddedStream) -> None:
    other = open_embedded(harness.folder, StreamSettings(shards=7), FIELDS, harness.clock)
    assert other.shards() == stream.shards()
    other.close()


def test_field_added_later_reads_as_null_in_old_blocks(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    stream.close()
    more = Fields((*FIELDS.all, Field("region", FieldKind.TEXT)))
    again = open_embedded(harness.folder, harness.settings, more, harness.clock)
    durable(again.append(sample_batch(shard_id, range(3, 5), fields=more)))
    blocks = again.read(ReadRequest(shard_id, 0))
    assert [b.columns.schema.names for b in blocks if b.columns is not None] == [more.block_schema().names] * 2
    rows = [line.row for line in read_lines(again, shard_id)]
    assert [row["region"] for row in rows] == [None] * 5
    assert [row["trace_id"] for row in rows] == [f"{n:016x}" for n in range(5)]
    again.close()


def test_a_field_that_changed_its_type_is_read_anew(
    harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str
) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    stream.close()
    changed = Fields(tuple(replace(f, kind=FieldKind.TEXT) if f.name == "status" else f for f in FIELDS.all))
    again = open_embedded(harness.folder, harness.settings, changed, harness.clock)
    before = sample_batch(shard_id, range(3)).columns["status"].to_pylist()
    assert [line.row["status"] for line in read_lines(again, shard_id)] == [str(status) for status in before]
    again.close()


# ---- Beside each other -----------------------------------------------------------------------------------------------


def test_reading_leaves_no_transaction_open(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    for n in range(20):
        durable(stream.append(sample_batch(shard_id, [n])))
    stream.read(ReadRequest(shard_id, 0, max_blocks=2))
    stream.read(ReadRequest(shard_id, 0, max_bytes=1))
    stream.end(shard_id)
    stream.seals(shard_id)
    stream.offset_at(shard_id, Start(StartKind.AT_TIMESTAMP, 0))
    with closing(connect_writer(harness.folder / shard_id / "00000001.db")) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        # It would be refused if any reader still held on to the WAL.
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def test_quiet_stream_gives_the_room_of_its_wal_back(harness: EmbeddedHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "QUIET_S", 0.05)
    stream = harness.open()
    shard_ids = [shard.id for shard in stream.shards()]
    for shard_id in shard_ids * 2:
        durable(stream.append(sample_batch(shard_id, range(300))))

    def sizes() -> list[int]:
        return [(harness.folder / shard_id / "00000001.db-wal").stat().st_size for shard_id in shard_ids]

    until(lambda: sum(sizes()) == 0, sizes)
    for shard_id in shard_ids:
        durable(stream.append(sample_batch(shard_id, [7])))
        assert len(read_lines(stream, shard_id)) == 601
    until(lambda: sum(sizes()) == 0, sizes)
    stream.close()


def test_writers_are_not_held_up_by_a_reader(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    durable(stream.append(sample_batch(shard_id, [0])))
    with closing(sqlite3.connect(harness.folder / shard_id / "00000001.db", isolation_level=None)) as outsider:
        outsider.execute("BEGIN")
        assert outsider.execute("SELECT count(*) FROM blocks").fetchone() == (1,)
        for n in range(1, 10):
            durable(stream.append(sample_batch(shard_id, [n])))
        stream.seal(shard_id)
        assert outsider.execute("SELECT count(*) FROM blocks").fetchone() == (1,)
        outsider.execute("COMMIT")
    assert len(read_lines(stream, shard_id)) == 10


def test_wal_stays_bounded(harness: EmbeddedHarness, shard_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_BYTES", 1 << 18)
    monkeypatch.setattr(checkpoint, "WAL_BYTES_MAX", 1 << 19)
    stream = harness.open()
    batch = sample_batch(shard_id, range(2000))
    for _ in range(200):
        durable(stream.append(batch))
        stream.read(ReadRequest(shard_id, stream.end(shard_id).next_offset - 1))
    path = harness.folder / shard_id / "00000001.db"
    # Never begun anew, the WAL would be longer than the file.
    assert path.with_name(f"{path.name}-wal").stat().st_size < path.stat().st_size / 2
    stream.close()


def test_trim_removes_every_trace_of_a_file(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    harness.clock.advance(HOUR_S)
    stream.seal(shard_id)
    harness.clock.advance(1)
    folder = harness.folder / shard_id
    (folder / "00000000.db-wal").write_bytes(b"left by a trim that died")
    assert stream.trim(shard_id, 1, harness.clock.now_us()) == 1
    assert sorted({p.name.split("-")[0] for p in folder.glob("*.db*")}) == ["00000002.db"]


def test_closed_newest_file_is_kept(harness: EmbeddedHarness, stream: EmbeddedStream, shard_id: str) -> None:
    durable(stream.append(sample_batch(shard_id, range(3))))
    close_file_and_die(harness, shard_id)
    harness.clock.advance(1)
    assert stream.trim(shard_id, 1, harness.clock.now_us()) == 0
    assert durable(stream.append(sample_batch(shard_id, [3]))).first_offset == 3
