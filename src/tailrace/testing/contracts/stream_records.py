"""Contract of a stream: what is appended, and from where it is read."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest

from tailrace.errors import Invalid, NotFound, Trimmed
from tailrace.model.shard import HASH_KEYS
from tailrace.stream.base import (
    LedgerCounts,
    ProducerStamp,
    ReadRequest,
    ShardBatch,
    Start,
    StartKind,
    StreamBackend,
)
from tailrace.stream.codec import plain
from tailrace.testing.contracts.stream_harness import HOUR_S, StreamCase, StreamHarness, durable
from tailrace.testing.contracts.stream_samples import (
    FIELDS,
    expected_rows,
    read_blocks,
    read_lines,
    sample_batch,
    sample_raw,
)


class RecordCases(StreamCase):
    """Shards, batches of all kinds, their order."""

    def test_open_shards_cover_the_hash_space(self, stream: StreamBackend) -> None:
        shards = sorted(stream.shards(), key=lambda s: s.hash_first)
        assert [s.id for s in shards] == ["shardId-000000000000", "shardId-000000000001"]
        assert shards[0].hash_first == 0
        assert shards[-1].hash_last == HASH_KEYS - 1
        assert all(a.hash_last + 1 == b.hash_first for a, b in pairwise(shards))

    def test_created_s_is_the_clocks(self, harness: StreamHarness) -> None:
        now_s = harness.clock.now_us() // 1_000_000
        stream = harness.open()
        assert {s.created_s for s in stream.shards()} == {now_s}
        stream.close()

    def test_unknown_shard_is_not_found(self, stream: StreamBackend) -> None:
        unknown = "shardId-000000000099"
        for call in (
            lambda: stream.append(sample_batch(unknown, [1])),
            lambda: stream.read(ReadRequest(unknown, 0)),
            lambda: stream.end(unknown),
            lambda: stream.seals(unknown),
            lambda: stream.seal(unknown),
            lambda: stream.offset_at(unknown, Start(StartKind.LATEST)),
            lambda: stream.trim(unknown, 1, 1),
        ):
            with pytest.raises(NotFound):
                call()

    def test_new_stream_is_empty(self, stream: StreamBackend, shard_id: str) -> None:
        end = stream.end(shard_id)
        assert (end.next_offset, end.open_epoch, end.open_counts, end.earliest_offset) == (0, 1, LedgerCounts(), 0)
        assert stream.read(ReadRequest(shard_id, 0)) == []
        assert stream.seals(shard_id) == []

    def test_lines_come_back_as_they_went_in(self, stream: StreamBackend, shard_id: str) -> None:
        batch = sample_batch(shard_id, range(40), dead={5, 6})
        durable(stream.append(batch))
        lines = read_lines(stream, shard_id)
        assert [line.row for line in lines] == expected_rows(batch)
        assert [line.raw for line in lines] == [sample_raw(n) for n in range(40)]
        assert [line.offset for line in lines if line.reason is not None] == [5, 6]

    def test_raw_bytes_are_kept_whatever_they_are(self, stream: StreamBackend, shard_id: str) -> None:
        raws = [
            b"",
            b"\x00",
            b"\xff\xfe\x00\x80",
            bytes(range(256)),
            "\u4e16\u754c \U0001f600".encode(),
            b"\r",
            b"x" * 100_000,
        ]
        template = sample_batch(shard_id, range(len(raws)), dead=set(range(len(raws))))
        raw = template.raw.set_column(0, "raw", pa.array(raws, pa.binary()))
        durable(stream.append(ShardBatch(shard_id, template.columns, raw)))
        assert [line.raw for line in read_lines(stream, shard_id)] == raws

    def test_text_of_all_kinds_is_kept(self, stream: StreamBackend, shard_id: str) -> None:
        texts = ["", "a\x00b", "\u00fc\u4e16\U0001f600", "line\nbreak", "x" * 70_000, None]
        template = sample_batch(shard_id, range(len(texts)))
        index = template.columns.schema.get_field_index("message")
        columns = template.columns.set_column(index, "message", pa.array(texts, pa.string()))
        durable(stream.append(ShardBatch(shard_id, columns, template.raw)))
        assert [line.row["message"] for line in read_lines(stream, shard_id)] == texts

    def test_dictionary_encoded_text_is_the_same_text(self, stream: StreamBackend, shard_id: str) -> None:
        numbers = range(3000)
        for start, dictionary in ((0, True), (3000, False)):
            durable(stream.append(sample_batch(shard_id, [start + n for n in numbers], dictionary=dictionary)))
        blocks = read_blocks(stream, shard_id)
        tables = [plain(b.columns, FIELDS.block_schema()) for b in blocks]
        expected = [expected_rows(sample_batch(shard_id, [start + n for n in numbers])) for start in (0, 3000)]
        assert pa.concat_tables(tables).to_pylist() == expected[0] + expected[1]

    def test_slices_of_a_larger_table_are_stored_as_such(self, stream: StreamBackend, shard_id: str) -> None:
        whole = sample_batch(shard_id, range(3000), dictionary=True)
        part = ShardBatch(shard_id, whole.columns.slice(1000, 1500), whole.raw.slice(1000, 1500))
        durable(stream.append(part))
        lines = read_lines(stream, shard_id)
        assert [line.row for line in lines] == expected_rows(whole)[1000:2500]
        assert [line.raw for line in lines] == [sample_raw(n) for n in range(1000, 2500)]

    def test_offsets_are_gapless_in_the_order_of_appends(self, stream: StreamBackend, shard_id: str) -> None:
        sizes = [1, 1, 700, 2, 3000, 1, 1, 1, 5]
        futures, start = [], 0
        for size in sizes:
            futures.append(stream.append(sample_batch(shard_id, range(start, start + size))))
            start += size
        appended = [durable(f) for f in futures]
        assert [a.first_offset for a in appended] == [sum(sizes[:i]) for i in range(len(sizes))]
        assert [a.last_offset - a.first_offset + 1 for a in appended] == sizes
        lines = read_lines(stream, shard_id)
        assert [line.offset for line in lines] == list(range(sum(sizes)))
        assert [line.raw for line in lines] == [sample_raw(n) for n in range(sum(sizes))]

    def test_acknowledged_lines_can_be_read_at_once(self, stream: StreamBackend, shard_id: str) -> None:
        for n in range(20):
            appended = durable(stream.append(sample_batch(shard_id, [n])))
            assert stream.end(shard_id).next_offset == appended.last_offset + 1 == n + 1
            assert read_lines(stream, shard_id, n)[-1].raw == sample_raw(n)

    def test_shards_are_apart(self, stream: StreamBackend) -> None:
        first, second = (s.id for s in stream.shards())
        durable(stream.append(sample_batch(first, range(3))))
        durable(stream.append(sample_batch(second, range(10, 14))))
        assert [line.raw for line in read_lines(stream, first)] == [sample_raw(n) for n in range(3)]
        assert [line.raw for line in read_lines(stream, second)] == [sample_raw(n) for n in range(10, 14)]

    def test_batch_of_no_rows(self, stream: StreamBackend, shard_id: str) -> None:
        durable(stream.append(sample_batch(shard_id, range(4))))
        appended = durable(stream.append(sample_batch(shard_id, [], producer=ProducerStamp("p", 1, 1))))
        assert (appended.first_offset, appended.last_offset) == (4, 3)
        assert (appended.stored, appended.dead_lettered, appended.deduplicated) == (0, 0, 0)
        assert stream.end(shard_id).next_offset == 4

    def test_large_batch(self, stream: StreamBackend, shard_id: str) -> None:
        batch = sample_batch(shard_id, range(50_000))
        assert durable(stream.append(batch)).stored == 50_000
        assert [line.raw for line in read_lines(stream, shard_id)] == batch.raw.column("raw").to_pylist()

    def test_batch_that_does_not_fit_is_refused(self, stream: StreamBackend, shard_id: str) -> None:
        good = sample_batch(shard_id, range(3))
        for bad in (
            ShardBatch(shard_id, good.columns, good.raw.slice(1)),
            ShardBatch(shard_id, good.columns, good.raw, [1]),
            ShardBatch(shard_id, good.columns.drop_columns(["ip"]), good.raw),
            ShardBatch(shard_id, good.columns, good.raw.drop_columns(["reason"])),
            ShardBatch(shard_id, good.columns.set_column(5, "status", good.columns["verdict"]), good.raw),
            ShardBatch(shard_id, good.columns, good.raw.set_column(0, "raw", good.raw["reason"])),
            ShardBatch(shard_id, good.columns, good.raw, range(3), ProducerStamp("p", 1, 1 << 63)),
            ShardBatch(shard_id, good.columns, good.raw, range(3), ProducerStamp("\ud800", 1, 1)),
        ):
            with pytest.raises(Invalid):
                durable(stream.append(bad))
        assert stream.end(shard_id).next_offset == 0
        assert durable(stream.append(good)).stored == 3


class PositionCases(StreamCase):
    """Where readers begin, what a read returns, what is trimmed."""

    def test_read_starts_with_the_block_that_holds_the_offset(self, stream: StreamBackend, shard_id: str) -> None:
        for start in (0, 2000, 4000):
            durable(stream.append(sample_batch(shard_id, range(start, start + 2000))))
        for start in (0, 1, 1999, 2000, 2500, 5999):
            blocks = stream.read(ReadRequest(shard_id, start, max_blocks=1))
            assert len(blocks) == 1
            assert blocks[0].first_offset <= start <= blocks[0].last_offset
        assert stream.read(ReadRequest(shard_id, 6000)) == []

    def test_read_keeps_to_its_limits(self, stream: StreamBackend, shard_id: str) -> None:
        for start in range(0, 10_000, 2000):
            durable(stream.append(sample_batch(shard_id, range(start, start + 2000))))
        assert len(stream.read(ReadRequest(shard_id, 0, max_blocks=3))) == 3
        assert len(stream.read(ReadRequest(shard_id, 0, max_bytes=1))) == 1
        assert len(stream.read(ReadRequest(shard_id, 0))) == 5

    def test_read_gives_the_halves_asked_for(self, stream: StreamBackend, shard_id: str) -> None:
        durable(stream.append(sample_batch(shard_id, range(9))))
        for columns in (True, False):
            for raw in (True, False):
                (block,) = stream.read(ReadRequest(shard_id, 0, with_columns=columns, with_raw=raw))
                assert (block.columns is not None, block.raw is not None) == (columns, raw)
                assert block.count == 9

    def test_all_starts(self, harness: StreamHarness, stream: StreamBackend, shard_id: str) -> None:
        arrivals = []
        for start in (0, 10, 20):
            harness.clock.advance(10)
            arrivals.append(harness.clock.now_us())
            durable(stream.append(sample_batch(shard_id, range(start, start + 10))))
            stream.seal(shard_id)
        at = [
            (Start(StartKind.TRIM_HORIZON), 0),
            (Start(StartKind.LATEST), 30),
            (Start(StartKind.AT_OFFSET, 0), 0),
            (Start(StartKind.AT_OFFSET, 17), 17),
            (Start(StartKind.AT_OFFSET, 30), 30),
            (Start(StartKind.AFTER_OFFSET, 17), 18),
            (Start(StartKind.AFTER_OFFSET, 29), 30),
            (Start(StartKind.AT_TIMESTAMP, 0), 0),
            (Start(StartKind.AT_TIMESTAMP, arrivals[1]), 10),
            (Start(StartKind.AT_TIMESTAMP, arrivals[1] + 1), 20),
            (Start(StartKind.AT_TIMESTAMP, arrivals[2] + 1), 30),
        ]
        assert [stream.offset_at(shard_id, start) for start, _ in at] == [offset for _, offset in at]

    def test_start_at_a_time_in_the_open_epoch(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        durable(stream.append(sample_batch(shard_id, range(3))))
        harness.clock.advance(1)
        between = harness.clock.now_us()
        harness.clock.advance(1)
        durable(stream.append(sample_batch(shard_id, range(3, 5))))
        assert stream.offset_at(shard_id, Start(StartKind.AT_TIMESTAMP, between)) == 3

    def test_offset_that_was_never_given_is_refused(self, stream: StreamBackend, shard_id: str) -> None:
        durable(stream.append(sample_batch(shard_id, range(3))))
        for start in (
            Start(StartKind.AT_OFFSET, 4),
            Start(StartKind.AT_OFFSET, -1),
            Start(StartKind.AFTER_OFFSET, 3),
            Start(StartKind.AFTER_OFFSET, -2),
        ):
            with pytest.raises(Invalid):
                stream.offset_at(shard_id, start)

    def test_trim_drops_only_what_the_caller_has_done_with(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        for start in (0, 10, 20, 30):
            durable(stream.append(sample_batch(shard_id, range(start, start + 10))))
            harness.clock.advance(HOUR_S)
            stream.seal(shard_id)
        harness.clock.advance(1)
        now_us = harness.clock.now_us()
        assert stream.trim(shard_id, 0, now_us) == 0
        assert stream.trim(shard_id, 4, 0) == 0
        assert stream.end(shard_id).earliest_offset == 0
        assert stream.trim(shard_id, 2, now_us) == 2
        assert stream.end(shard_id).earliest_offset == 20
        assert stream.offset_at(shard_id, Start(StartKind.TRIM_HORIZON)) == 20
        assert stream.offset_at(shard_id, Start(StartKind.AT_TIMESTAMP, 0)) == 20
        assert [line.raw for line in read_lines(stream, shard_id, 20)] == [sample_raw(n) for n in range(20, 40)]
        for call in (
            lambda: stream.read(ReadRequest(shard_id, 19)),
            lambda: stream.offset_at(shard_id, Start(StartKind.AT_OFFSET, 0)),
            lambda: stream.offset_at(shard_id, Start(StartKind.AFTER_OFFSET, 18)),
        ):
            with pytest.raises(Trimmed) as trimmed:
                call()
            assert trimmed.value.earliest == 20

    def test_trim_by_size_drops_the_oldest_until_the_rest_fits(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        for start in range(0, 4000, 1000):
            durable(stream.append(sample_batch(shard_id, range(start, start + 1000))))
            harness.clock.advance(HOUR_S)
            stream.seal(shard_id)
        durable(stream.append(sample_batch(shard_id, [4000])))
        size = stream.end(shard_id).bytes
        assert stream.trim(shard_id, 4, 0, size) == 0
        assert stream.trim(shard_id, 1, 0, 1) == 1
        assert stream.end(shard_id).earliest_offset == 1000
        assert stream.trim(shard_id, 4, 0, stream.end(shard_id).bytes - 1) == 1
        assert stream.end(shard_id).earliest_offset == 2000
        assert stream.trim(shard_id, 4, 0, 0) == 2
        assert [line.raw for line in read_lines(stream, shard_id, 4000)] == [sample_raw(4000)]

    def test_what_was_trimmed_by_size_is_still_recognised(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        """Also by a writer that has not known the file, and by the shards that come of a split."""
        stamp = ProducerStamp("p", 1, 7)
        durable(stream.append(sample_batch(shard_id, range(5), producer=stamp)))
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
        durable(stream.append(sample_batch(shard_id, [9])))
        assert stream.trim(shard_id, 1, 0, 0) == 1
        assert durable(stream.append(sample_batch(shard_id, range(6), producer=stamp))).duplicate_lines == set(range(5))
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
        assert stream.trim(shard_id, 9, 0, 0) == 1
        for child in stream.split(shard_id).children:
            again = durable(stream.append(sample_batch(child.id, range(6), producer=stamp)))
            assert (again.stored, again.deduplicated) == (0, 6)

    def test_stream_goes_on_after_all_was_trimmed(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        durable(stream.append(sample_batch(shard_id, range(10))))
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
        harness.clock.advance(1)
        assert stream.trim(shard_id, 1, harness.clock.now_us()) == 1
        end = stream.end(shard_id)
        assert (end.earliest_offset, end.next_offset, end.open_epoch) == (10, 10, 2)
        appended = durable(stream.append(sample_batch(shard_id, [10])))
        assert (appended.first_offset, appended.epoch) == (10, 2)
        assert [s.epoch for s in stream.seals(shard_id, 1)] == []
        assert len(read_lines(stream, shard_id, 10)) == 1
