"""Contract of a stream: epochs, deduplication and the ledger."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import wait
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa

from tailrace.stream.base import (
    Appended,
    LedgerCounts,
    ProducerStamp,
    StreamBackend,
)
from tailrace.testing.contracts.stream_harness import HOUR_S, StreamCase, StreamHarness, append_from_threads, durable
from tailrace.testing.contracts.stream_samples import (
    read_blocks,
    read_lines,
    sample_batch,
    sample_raw,
)


class EpochCases(StreamCase):
    """Seals cover all records, each block lies in its epoch."""

    def test_seal_closes_what_is_there(self, harness: StreamHarness, stream: StreamBackend, shard_id: str) -> None:
        durable(stream.append(sample_batch(shard_id, range(6), dead={2})))
        sealed = stream.seal(shard_id)
        assert sealed is not None
        assert (sealed.epoch, sealed.first_offset, sealed.last_offset) == (1, 0, 5)
        assert sealed.sealed_at_us == harness.clock.now_us()
        assert sealed.counts == LedgerCounts(stored=5, dead_lettered=1)
        assert stream.seals(shard_id) == [sealed]
        assert stream.end(shard_id).open_epoch == 2
        assert durable(stream.append(sample_batch(shard_id, [6]))).epoch == 2

    def test_empty_epochs_are_not_sealed(self, stream: StreamBackend, shard_id: str) -> None:
        assert stream.seal(shard_id) is None
        durable(stream.append(sample_batch(shard_id, range(2))))
        assert stream.seal(shard_id) is not None
        assert stream.seal(shard_id) is None
        assert stream.end(shard_id).open_epoch == 2

    def test_epoch_of_duplicates_only_is_empty_but_counted(self, stream: StreamBackend, shard_id: str) -> None:
        stamp = ProducerStamp("p", 1, 1)
        durable(stream.append(sample_batch(shard_id, range(4), producer=stamp)))
        stream.seal(shard_id)
        durable(stream.append(sample_batch(shard_id, range(4), producer=stamp)))
        assert stream.seal(shard_id) is None
        assert stream.end(shard_id).open_counts == LedgerCounts(deduplicated=4)
        durable(stream.append(sample_batch(shard_id, [4])))
        sealed = stream.seal(shard_id)
        assert sealed is not None
        assert sealed.counts == LedgerCounts(stored=1, deduplicated=4)

    def test_every_block_lies_in_the_seal_of_its_epoch(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        total = 0
        for turn in range(30):
            for size in (1, 3, turn % 4):
                futures = [stream.append(sample_batch(shard_id, range(total, total + size)))]
                total += size
                wait(futures)
            harness.clock.advance(700)
            stream.seal(shard_id)
        seals = stream.seals(shard_id)
        assert [s.epoch for s in seals] == list(range(1, 31))
        assert seals[0].first_offset == 0
        assert seals[-1].last_offset == total - 1
        assert all(a.last_offset + 1 == b.first_offset for a, b in pairwise(seals))
        ranges = {s.epoch: (s.first_offset, s.last_offset) for s in seals}
        for block in read_blocks(stream, shard_id):
            first, last = ranges[block.epoch]
            assert first <= block.first_offset <= block.last_offset <= last
        assert stream.seals(shard_id, 12) == seals[12:]
        assert stream.seals(shard_id, 30) == []
        assert stream.seals(shard_id, 99) == []

    def test_epochs_under_concurrent_appends_and_seals(self, stream: StreamBackend, shard_id: str) -> None:
        done = threading.Event()
        sealing = threading.Thread(target=lambda: _seal_until(done, stream, shard_id))
        sealing.start()
        appended = append_from_threads(stream, shard_id, threads=4, each=40)
        done.set()
        sealing.join()
        stream.seal(shard_id)
        seals = {s.epoch: s for s in stream.seals(shard_id)}
        assert sorted(seals) == list(range(1, len(seals) + 1))
        for a in appended:
            assert seals[a.epoch].first_offset <= a.first_offset <= a.last_offset <= seals[a.epoch].last_offset
        assert sum(s.counts.stored for s in seals.values()) == stream.end(shard_id).next_offset

    def test_wall_clock_that_steps_harms_nothing(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        stamp = ProducerStamp("p", 1, 1)
        durable(stream.append(sample_batch(shard_id, range(2), producer=stamp)))
        total = 2
        for step in (-HOUR_S, HOUR_S, -30 * HOUR_S, 30 * HOUR_S, HOUR_S, -HOUR_S):
            harness.clock.step(step)
            harness.clock.advance(5)
            durable(stream.append(sample_batch(shard_id, [total])))
            total += 1
            stream.seal(shard_id)
        assert [line.raw for line in read_lines(stream, shard_id)] == [sample_raw(n) for n in range(total)]
        seals = stream.seals(shard_id)
        assert [s.epoch for s in seals] == list(range(1, len(seals) + 1))
        assert all(a.last_offset + 1 == b.first_offset for a, b in pairwise(seals))
        assert durable(stream.append(sample_batch(shard_id, range(2), producer=stamp))).deduplicated == 2

    def test_wall_clock_that_jumps_ahead_forgets_no_post(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        stamp = ProducerStamp("p", 1, 1)
        durable(stream.append(sample_batch(shard_id, range(2), producer=stamp)))
        harness.clock.step(50 * HOUR_S)
        stream.seal(shard_id)
        harness.clock.step(50 * HOUR_S)
        assert durable(stream.append(sample_batch(shard_id, range(2), producer=stamp))).deduplicated == 2


class DedupeCases(StreamCase):
    """A retry with the same stamp stores only what is missing."""

    def test_retry_of_a_whole_post_stores_nothing(self, stream: StreamBackend, shard_id: str) -> None:
        batch = sample_batch(shard_id, range(2000), producer=ProducerStamp("p", 1, 7), lines=range(2000))
        durable(stream.append(batch))
        again = durable(stream.append(batch))
        assert (again.stored, again.dead_lettered, again.deduplicated) == (0, 0, 2000)
        assert again.last_offset < again.first_offset
        assert again.duplicate_lines == frozenset(range(2000))
        assert stream.end(shard_id).next_offset == 2000

    def test_retry_that_overlaps_in_part_stores_the_rest(self, stream: StreamBackend, shard_id: str) -> None:
        stamp = ProducerStamp("p", 1, 7)
        durable(stream.append(sample_batch(shard_id, [0, 2, 4], producer=stamp, lines=[0, 2, 4])))
        again = durable(stream.append(sample_batch(shard_id, range(6), dead={3, 4}, producer=stamp, lines=range(6))))
        assert again.duplicate_lines == {0, 2, 4}
        assert (again.first_offset, again.last_offset) == (3, 5)
        assert (again.stored, again.dead_lettered, again.deduplicated) == (2, 1, 3)
        assert [line.raw for line in read_lines(stream, shard_id)] == [sample_raw(n) for n in (0, 2, 4, 1, 3, 5)]

    def test_same_stamp_many_times_in_one_commit(self, stream: StreamBackend, shard_id: str) -> None:
        stamp = ProducerStamp("p", 1, 7)
        futures = [stream.append(sample_batch(shard_id, range(5), producer=stamp, lines=range(5))) for _ in range(20)]
        appended = [durable(f) for f in futures]
        assert sum(a.stored for a in appended) == 5
        assert sum(a.deduplicated for a in appended) == 95
        assert [line.raw for line in read_lines(stream, shard_id)] == [sample_raw(n) for n in range(5)]

    def test_other_stamps_are_other_posts(self, stream: StreamBackend, shard_id: str) -> None:
        stamps = [
            ProducerStamp("p", 1, 7),
            ProducerStamp("p", 1, 8),
            ProducerStamp("p", 2, 7),
            ProducerStamp("q", 1, 7),
        ]
        for stamp in stamps:
            assert durable(stream.append(sample_batch(shard_id, range(3), producer=stamp))).stored == 3

    def test_posts_without_a_stamp_are_never_duplicates(self, stream: StreamBackend, shard_id: str) -> None:
        for _ in range(3):
            assert durable(stream.append(sample_batch(shard_id, range(3)))).stored == 3

    def test_lines_of_one_post_in_other_shards_are_not_duplicates(self, stream: StreamBackend) -> None:
        first, second = (s.id for s in stream.shards())
        stamp = ProducerStamp("p", 1, 7)
        durable(stream.append(sample_batch(first, [0, 1], producer=stamp, lines=[0, 1])))
        assert durable(stream.append(sample_batch(second, [0, 1], producer=stamp, lines=[0, 1]))).stored == 2

    def test_retry_long_after_and_over_file_turns(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        stamp = ProducerStamp("p", 1, 7)
        durable(stream.append(sample_batch(shard_id, range(3), producer=stamp, lines=range(3))))
        for hour in range(1, 24):
            durable(stream.append(sample_batch(shard_id, [100 + hour], producer=ProducerStamp("p", 1, 7 + hour))))
            harness.clock.advance(HOUR_S)
            stream.seal(shard_id)
        again = durable(stream.append(sample_batch(shard_id, range(4), producer=stamp, lines=range(4))))
        assert (again.stored, again.deduplicated) == (1, 3)
        more = durable(stream.append(sample_batch(shard_id, range(4), producer=stamp, lines=range(4))))
        assert (more.stored, more.deduplicated) == (0, 4)

    def test_many_stamps_in_one_commit(self, stream: StreamBackend, shard_id: str) -> None:
        def send() -> list[Appended]:
            stamps = [ProducerStamp(f"p{n % 7}", 1, n) for n in range(500)]
            return [
                durable(f)
                for f in [stream.append(sample_batch(shard_id, [n], producer=s)) for n, s in enumerate(stamps)]
            ]

        assert sum(a.stored for a in send()) == 500
        assert sum(a.deduplicated for a in send()) == 500

    def test_records_of_one_identity_are_one(
        self, harness: StreamHarness, stream: StreamBackend, shard_id: str
    ) -> None:
        def send(numbers: range, ids: list[bytes | None]) -> Appended:
            batch = replace(sample_batch(shard_id, numbers), ids=pa.array(ids, pa.binary()), lines=numbers)
            return durable(stream.append(batch))

        first = send(range(5), [b"a", None, b"b", b"a", None])
        assert (first.stored, first.deduplicated, first.last_offset) == (4, 1, 3)
        assert first.repeats == {3: (shard_id, 0)}
        harness.clock.advance(2 * HOUR_S)
        stream.seal(shard_id)
        again = send(range(5, 9), [b"b", b"c", None, b"a"])
        assert (again.stored, again.first_offset, again.last_offset) == (2, 4, 5)
        assert again.repeats == {5: (shard_id, 2), 8: (shard_id, 0)}
        assert again.duplicate_lines == {5, 8}
        assert [line.raw for line in read_lines(stream, shard_id)] == [sample_raw(n) for n in (0, 1, 2, 4, 6, 7)]
        child = stream.split(shard_id).children[0].id
        batch = replace(sample_batch(child, [9, 10]), ids=pa.array([b"c", b"d"], pa.binary()))
        assert durable(stream.append(batch)).repeats == {0: (shard_id, 4)}

    def test_received_is_stored_and_dead_and_deduplicated(self, stream: StreamBackend, shard_id: str) -> None:
        sent = Counter[str]()
        for n in range(12):
            batch = sample_batch(shard_id, range(10), dead=set(range(n % 4)), producer=ProducerStamp("p", 1, n // 2))
            appended = durable(stream.append(batch))
            assert appended.stored + appended.dead_lettered + appended.deduplicated == 10
            sent.update(stored=appended.stored, dead=appended.dead_lettered, duplicate=appended.deduplicated)
            if n % 3 == 2:
                stream.seal(shard_id)
        counts = sum((s.counts for s in stream.seals(shard_id)), stream.end(shard_id).open_counts)
        assert counts == LedgerCounts(sent["stored"], sent["dead"], sent["duplicate"])
        assert counts.received == 120
        assert counts.stored + counts.dead_lettered == stream.end(shard_id).next_offset


def _seal_until(done: threading.Event, stream: StreamBackend, shard_id: str) -> None:
    while not done.wait(0.002):
        stream.seal(shard_id)
