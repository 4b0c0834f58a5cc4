"""Contract of a stream: splits and merges."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from tailrace.errors import Invalid, NotFound, ShardClosed
from tailrace.model.sequence import sequence_number
from tailrace.model.shard import HASH_KEYS, Shard, hash_key
from tailrace.stream.base import Appended, LedgerCounts, ProducerStamp, Resharded, ShardBatch, StreamBackend
from tailrace.stream.partitioning import split
from tailrace.stream.resharding import OPEN_SHARDS_MAX, children_of, uncovered
from tailrace.testing.contracts.stream_harness import StreamCase, StreamHarness, durable
from tailrace.testing.contracts.stream_samples import read_blocks, read_lines, sample_batch, sample_raw

KEYS = [f"key-{n}" for n in range(40)]


class ShardCases(StreamCase):
    """What a split and a merge do, and what they refuse."""

    def test_split_closes_one_and_opens_two(self, harness: StreamHarness, stream: StreamBackend, shard_id: str) -> None:
        before = stream.shards()
        for epoch in range(3):
            durable(stream.append(sample_batch(shard_id, [epoch])))
            stream.seal(shard_id)
        durable(stream.append(sample_batch(shard_id, [3])))
        done = stream.split(shard_id)
        (parent,), (low, high) = done.closed, done.children
        assert (parent.id, parent.closed, parent.last_epoch) == (shard_id, True, 4)
        assert (low.hash_first, high.hash_last) == (parent.hash_first, parent.hash_last)
        assert low.hash_last + 1 == high.hash_first
        assert abs(low.hash_keys - high.hash_keys) <= 1
        assert [c.index for c in done.children] == [len(before), len(before) + 1]
        assert {c.parents for c in done.children} == {(shard_id,)}
        assert {c.first_epoch for c in done.children} == {5}
        assert stream.shards() == (parent, *before[1:], low, high)
        assert uncovered(stream.shards()) is None
        assert [s.epoch for s in stream.seals(shard_id)] == [1, 2, 3, 4]
        assert stream.end(shard_id).open_counts == LedgerCounts()
        for child in done.children:
            end = stream.end(child.id)
            assert (end.next_offset, end.open_epoch, end.earliest_offset) == (0, 5, 0)
            appended = durable(stream.append(sample_batch(child.id, [9])))
            assert (appended.first_offset, appended.epoch) == (0, 5)
            sealed = stream.seal(child.id)
            assert sealed is not None
            assert (sealed.epoch, sealed.first_offset) == (5, 0)

    def test_split_at_a_hash_key(self, stream: StreamBackend, shard_id: str) -> None:
        parent = stream.shards()[0]
        low, high = stream.split(shard_id, parent.hash_first + 1).children
        assert (low.hash_first, low.hash_last) == (parent.hash_first, parent.hash_first)
        assert high.hash_last == parent.hash_last
        with pytest.raises(Invalid, match="single hash key"):
            stream.split(low.id)

    def test_merge_closes_two_and_opens_one(self, stream: StreamBackend) -> None:
        first, second = (s.id for s in stream.shards())
        for n in range(5):
            durable(stream.append(sample_batch(first, [n])))
            stream.seal(first)
        durable(stream.append(sample_batch(second, [9])))
        done = stream.merge(second, first)
        (child,) = done.children
        assert (child.parents, child.first_epoch) == ((second, first), 6)
        assert (child.hash_first, child.hash_last) == (0, HASH_KEYS - 1)
        assert {s.id: s.last_epoch for s in done.closed} == {first: 5, second: 1}
        assert [s.id for s in stream.shards() if not s.closed] == [child.id]

    def test_closed_shard_takes_nothing_and_keeps_all(self, stream: StreamBackend, shard_id: str) -> None:
        durable(stream.append(sample_batch(shard_id, range(7), dead={3})))
        done = stream.split(shard_id)
        lines, end, seals = read_lines(stream, shard_id), stream.end(shard_id), stream.seals(shard_id)
        assert [line.raw for line in lines] == [sample_raw(n) for n in range(7)]
        with pytest.raises(ShardClosed, match=done.children[0].id):
            durable(stream.append(sample_batch(shard_id, [7])))
        with pytest.raises(ShardClosed):
            stream.split(shard_id)
        with pytest.raises(ShardClosed):
            stream.merge(stream.shards()[1].id, shard_id)
        assert stream.seal(shard_id) is None
        assert (read_lines(stream, shard_id), stream.end(shard_id), stream.seals(shard_id)) == (lines, end, seals)

    def test_refusals_change_nothing(self, stream: StreamBackend, shard_id: str) -> None:
        parts = stream.split(shard_id).children
        before = stream.shards()
        last = before[1]
        refused: list[tuple[type[Exception], Callable[[], Resharded]]] = [
            (NotFound, lambda: stream.split("shardId-000000000099")),
            (NotFound, lambda: stream.split("no-shard")),
            (NotFound, lambda: stream.merge(last.id, "shardId-000000000099")),
            (Invalid, lambda: stream.split(last.id, last.hash_first)),
            (Invalid, lambda: stream.split(last.id, last.hash_last + 1)),
            (Invalid, lambda: stream.split(last.id, -1)),
            (Invalid, lambda: stream.merge(last.id, last.id)),
            (Invalid, lambda: stream.merge(last.id, parts[0].id)),
        ]
        for error, call in refused:
            with pytest.raises(error):
                call()
            assert stream.shards() == before

    def test_two_splits_of_one_shard_at_once(self, stream: StreamBackend, shard_id: str) -> None:
        barrier = threading.Barrier(2)

        def attempt() -> Resharded | ShardClosed:
            barrier.wait()
            try:
                return stream.split(shard_id)
            except ShardClosed as error:
                return error

        with ThreadPoolExecutor(2) as pool:
            outcomes = [future.result() for future in [pool.submit(attempt), pool.submit(attempt)]]
        assert sorted(isinstance(outcome, ShardClosed) for outcome in outcomes) == [False, True]
        assert len(stream.shards()) == 4

    def test_open_shards_are_bounded(self, stream: StreamBackend) -> None:
        shards = [s for s in stream.shards() if not s.closed]
        while len(shards) < 32:
            shards = [child for shard in shards for child in stream.split(shard.id).children]
        assert uncovered(stream.shards()) is None
        assert len(stream.shards()) < OPEN_SHARDS_MAX


class LineageCases(StreamCase):
    """What holds over splits and merges: the order of a key, and that a retry is known."""

    def test_sequence_numbers_of_a_key_never_step_back(self, harness: StreamHarness, stream: StreamBackend) -> None:
        numbers: list[str] = []
        for turn in range(8):
            shard = _owner(stream, b"a")
            # Fewer lines each time, so that the offset alone would say the contrary.
            appended = durable(stream.append(sample_batch(shard.id, range(9 - turn))))
            numbers.append(sequence_number(shard, appended.last_offset))
            if turn == 4:
                harness.clock.step(-3600)
            if turn % 2:
                neighbour = next(s for s in stream.shards() if _touch(s, shard))
                stream.merge(shard.id, neighbour.id)
            else:
                stream.split(shard.id)
        assert numbers == sorted(numbers, key=int)

    def test_retry_across_splits_and_merges_is_known(self, stream: StreamBackend) -> None:
        stamps = [ProducerStamp("p", 1, n) for n in range(6)]
        for stamp in stamps:
            assert sum(a.stored for a in _post(stream, stamp)) == len(KEYS)
            assert sum(a.deduplicated for a in _post(stream, stamp)) == len(KEYS)
            if stamp.n % 3 == 2:
                low, high = sorted((s for s in stream.shards() if not s.closed), key=lambda s: s.hash_first)[:2]
                stream.merge(high.id, low.id)
            else:
                stream.split(max((s for s in stream.shards() if not s.closed), key=lambda s: s.hash_keys).id)
            for earlier in stamps[: stamp.n + 1]:
                appended = _post(stream, earlier)
                assert sum(a.deduplicated for a in appended) == len(KEYS)
                assert sum(a.stored + a.dead_lettered for a in appended) == 0

    def test_what_a_retry_brings_anew_is_stored_once(self, stream: StreamBackend, shard_id: str) -> None:
        stamp = ProducerStamp("p", 1, 1)
        durable(stream.append(sample_batch(shard_id, [0, 2], producer=stamp, lines=[0, 2])))
        low, high = stream.split(shard_id).children
        again = durable(stream.append(sample_batch(low.id, range(4), producer=stamp, lines=range(4))))
        assert again.duplicate_lines == {0, 2}
        merged = stream.merge(low.id, high.id).children[0]
        more = durable(stream.append(sample_batch(merged.id, range(5), producer=stamp, lines=range(5))))
        assert (set(more.duplicate_lines), more.stored) == ({0, 1, 2, 3}, 1)

    def test_order_of_each_key_under_load(self, stream: StreamBackend) -> None:
        """Every thread sends its own keys' numbers in order; shards are split and merged meanwhile."""
        done = threading.Event()
        resharding = threading.Thread(target=lambda: _reshard_until(done, stream))
        resharding.start()
        with ThreadPoolExecutor(4) as pool:
            counts = list(pool.map(lambda thread: _send_in_order(stream, thread, 60), range(4)))
        done.set()
        resharding.join()
        assert any(s.parents for s in stream.shards())
        self.check_order(stream, counts)
        self.check_lineage(stream)

    def check_order(self, stream: StreamBackend, counts: list[int]) -> None:
        """Read shard by shard, parents before children: each key's numbers are there once and ascend."""
        found: dict[str, list[int]] = {}
        for shard in stream.shards():
            for line in read_lines(stream, shard.id):
                number = int(line.raw.rsplit(b"-", 1)[1])
                found.setdefault(line.raw.rsplit(b"-", 1)[0].decode(), []).append(number)
        assert found == {f"thread-{t}-{k}": list(range(count)) for t, count in enumerate(counts) for k in range(2)}

    def check_lineage(self, stream: StreamBackend) -> None:
        """Epochs and times of children follow those of their parents; nothing of a closed shard is open."""
        shards = {s.id: s for s in stream.shards()}
        assert {p for s in shards.values() for p in s.parents} == {s.id for s in shards.values() if s.closed}
        assert children_of(shards.values()).keys() == {s.id for s in shards.values() if s.closed}
        for shard in shards.values():
            parents = [shards[p] for p in shard.parents]
            assert all(p.index < shard.index and p.created_s < shard.created_s for p in parents)
            if parents:
                assert shard.first_epoch == 1 + max(p.last_epoch or 0 for p in parents)
            seals, blocks = stream.seals(shard.id), read_blocks(stream, shard.id)
            assert [s.epoch for s in seals] == list(range(shard.first_epoch, shard.first_epoch + len(seals)))
            if shard.closed:
                assert shard.last_epoch == shard.first_epoch + len(seals) - 1
                assert sum(s.counts.stored for s in seals) == sum(b.count for b in blocks)


def _touch(one: Shard, other: Shard) -> bool:
    return not one.closed and (one.hash_last + 1 == other.hash_first or other.hash_last + 1 == one.hash_first)


def _owner(stream: StreamBackend, key: bytes) -> Shard:
    at = hash_key(key)
    return next(s for s in stream.shards() if not s.closed and s.hash_first <= at <= s.hash_last)


def _post(stream: StreamBackend, stamp: ProducerStamp) -> list[Appended]:
    """A post with a line for each of KEYS, as ingest divides it."""
    whole = sample_batch("", range(len(KEYS)))
    batches = split(whole.columns, whole.raw, pa.array(KEYS), stream.shards(), range(len(KEYS)), stamp)
    return [durable(f) for f in [stream.append(batch) for batch in batches]]


def _send_in_order(stream: StreamBackend, thread: int, count: int) -> int:
    """Lines `thread-T-K-N` of the keys `thread-T-K`, N ascending, each sent once the one before is acknowledged."""
    for number in range(count):
        for key in range(2):
            text = f"thread-{thread}-{key}"
            whole = sample_batch("", [number])
            raw = whole.raw.set_column(0, whole.raw.schema.field(0), pa.array([f"{text}-{number}".encode()]))
            stamp = ProducerStamp(text, 1, number)
            while True:
                (batch,) = split(whole.columns, raw, pa.array([text]), stream.shards(), [0], stamp)
                try:
                    assert (
                        durable(stream.append(ShardBatch(batch.shard_id, batch.columns, raw, [0], stamp))).stored == 1
                    )
                except ShardClosed:
                    continue
                break
    return count


def _reshard_until(done: threading.Event, stream: StreamBackend) -> None:
    """Split up to six open shards, then merge down to one, again and again."""
    growing = True
    while not done.wait(0.01):
        ordered = sorted((s for s in stream.shards() if not s.closed), key=lambda s: s.hash_first)
        growing = len(ordered) < 6 if growing else len(ordered) == 1
        if growing:
            stream.split(max(ordered, key=lambda s: s.hash_keys).id)
        else:
            stream.merge(ordered[0].id, ordered[1].id)
