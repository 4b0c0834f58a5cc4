"""Contract of a stream: several writers, several handles, closing and opening again, a full queue."""

from __future__ import annotations

import pytest

from tailrace.errors import Backpressure, Trimmed, Unavailable
from tailrace.stream.base import (
    Appended,
    LedgerCounts,
    ProducerStamp,
    ReadRequest,
    StreamBackend,
)
from tailrace.testing.contracts.stream_harness import (
    HOUR_S,
    QueueingHarness,
    StreamCase,
    StreamHarness,
    append_from_threads,
    durable,
)
from tailrace.testing.contracts.stream_samples import (
    StoredLine,
    read_lines,
    sample_batch,
    sample_raw,
)


class ConcurrencyCases(StreamCase):
    """Threads that share a handle, and its end."""

    def test_close_writes_what_is_queued(self, harness: StreamHarness, stream: StreamBackend, shard_id: str) -> None:
        futures = [stream.append(sample_batch(shard_id, [n])) for n in range(50)]
        stream.close()
        assert sorted(f.result(timeout=0).first_offset for f in futures) == list(range(50))
        with pytest.raises(Unavailable):
            stream.append(sample_batch(shard_id, [50]))
        with pytest.raises(Unavailable):
            stream.end(shard_id)

    def test_threads_append_side_by_side(self, stream: StreamBackend, shard_id: str) -> None:
        appended = append_from_threads(stream, shard_id, threads=8, each=30)
        _check_side_by_side(appended, read_lines(stream, shard_id))


class DurableCases(StreamCase):
    """For backends whose data outlive a handle: several handles at once, and opening again."""

    def test_handles_append_side_by_side(self, harness: StreamHarness, stream: StreamBackend, shard_id: str) -> None:
        other = harness.open()
        futures = [handle.append(sample_batch(shard_id, [n])) for n in range(50) for handle in (stream, other)]
        appended = [durable(f) for f in futures]
        assert sorted(a.first_offset for a in appended) == list(range(100))
        assert read_lines(stream, shard_id) == read_lines(other, shard_id)
        other.close()

    def test_handles_see_seals_and_turns_of_each_other(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        other = harness.open()
        for n in range(6):
            durable(stream.append(sample_batch(shard_id, [2 * n])))
            durable(other.append(sample_batch(shard_id, [2 * n + 1])))
            harness.clock.advance(HOUR_S)
            (other if n % 2 else stream).seal(shard_id)
        assert stream.seals(shard_id) == other.seals(shard_id)
        assert [s.epoch for s in stream.seals(shard_id)] == [1, 2, 3, 4, 5, 6]
        assert [line.raw for line in read_lines(other, shard_id)] == [sample_raw(n) for n in range(12)]
        other.close()

    def test_other_handles_see_the_trim(self, harness: StreamHarness, stream: StreamBackend, shard_id: str) -> None:
        durable(stream.append(sample_batch(shard_id, range(10))))
        other = harness.open()
        assert len(read_lines(other, shard_id)) == 10
        harness.clock.advance(HOUR_S)
        stream.seal(shard_id)
        harness.clock.advance(1)
        stream.trim(shard_id, 1, harness.clock.now_us())
        durable(stream.append(sample_batch(shard_id, [10])))
        assert len(read_lines(other, shard_id, 10)) == 1
        with pytest.raises(Trimmed):
            other.read(ReadRequest(shard_id, 0))
        other.close()

    def test_reopened_stream_goes_on(self, harness: StreamHarness, stream: StreamBackend, shard_id: str) -> None:
        stamp = ProducerStamp("p", 1, 1)
        durable(stream.append(sample_batch(shard_id, range(5), producer=stamp)))
        stream.seal(shard_id)
        durable(stream.append(sample_batch(shard_id, range(5, 8), dead={6})))
        before = (stream.shards(), stream.seals(shard_id), stream.end(shard_id), read_lines(stream, shard_id))
        stream.close()
        again = harness.open()
        after = (again.shards(), again.seals(shard_id), again.end(shard_id), read_lines(again, shard_id))
        assert after[:2] == before[:2]
        assert after[2].next_offset == before[2].next_offset
        assert after[2].open_counts == before[2].open_counts == LedgerCounts(stored=2, dead_lettered=1)
        assert after[3] == before[3]
        assert durable(again.append(sample_batch(shard_id, range(5), producer=stamp))).deduplicated == 5
        assert durable(again.append(sample_batch(shard_id, [8]))).first_offset == 8
        again.close()


class QueueCases(StreamCase):
    """For backends that queue what is not yet durable."""

    def test_full_queue_refuses_and_recovers(
        self, harness: QueueingHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        batch = sample_batch(shard_id, range(500))
        with harness.stalled(shard_id):
            futures = [stream.append(batch) for _ in range(harness.queue_bytes_max // batch.bytes)]
            with pytest.raises(Backpressure) as refused:
                stream.append(batch)
            assert refused.value.retry_after_s >= 1
            assert not any(f.done() for f in futures)
        assert [durable(f).stored for f in futures] == [500] * len(futures)
        assert durable(stream.append(batch)).stored == 500

    def test_batch_larger_than_the_queue_passes_alone(
        self, harness: QueueingHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        count = 1 + harness.queue_bytes_max // 50
        batch = sample_batch(shard_id, range(count))
        assert batch.bytes > harness.queue_bytes_max
        assert durable(stream.append(batch)).stored == count


def _check_side_by_side(appended: list[Appended], lines: list[StoredLine]) -> None:
    """Every post stands whole and in its order at the offsets it was told, and nothing else is there."""
    assert [line.offset for line in lines] == list(range(len(lines)))
    assert sum(a.last_offset - a.first_offset + 1 for a in appended) == len(lines)
    for post, a in enumerate(appended):
        count = a.last_offset - a.first_offset + 1
        stored = [line.raw for line in lines[a.first_offset : a.last_offset + 1]]
        assert stored == [sample_raw(n) for n in range(post * 4, post * 4 + count)]
