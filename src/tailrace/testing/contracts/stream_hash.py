"""Contract of a stream: the hash of the good records of each epoch, at the offsets that they were given."""

from __future__ import annotations

import numpy as np

from tailrace.model.fields import VERDICT
from tailrace.model.record_hash import NO_RECORDS, RecordHash, columns_id, total, values
from tailrace.stream.base import ProducerStamp, ReadRequest, StreamBackend
from tailrace.stream.codec import concat
from tailrace.testing.contracts.stream_harness import StreamCase, durable
from tailrace.testing.contracts.stream_samples import FIELDS, sample_batch


def hash_read(stream: StreamBackend, shard_id: str, epoch: int) -> RecordHash:
    """Of what the stream gives back of an epoch: row by row, without what the backend uses to work it out."""
    found, offset, end = NO_RECORDS, stream.end(shard_id).earliest_offset, stream.end(shard_id).next_offset
    while offset < end:
        for block in stream.read(ReadRequest(shard_id, offset)):
            assert block.columns is not None
            columns = concat([block.columns], FIELDS.block_schema())
            good = [n for n, verdict in enumerate(columns.column(VERDICT).to_pylist()) if verdict == 0]
            for n in good if block.epoch == epoch else []:
                row = columns.slice(n, 1).drop_columns([VERDICT])
                offsets = np.array([block.first_offset + n])
                found += RecordHash(total(values(row), offsets), columns_id(row.schema))
            offset = block.last_offset + 1
    return found


class HashCases(StreamCase):
    """Equal records at equal offsets have equal hashes, however they came in."""

    def test_seals_and_ends_have_the_hash_of_their_good_records(self, stream: StreamBackend, shard_id: str) -> None:
        assert stream.end(shard_id).open_hash == NO_RECORDS
        durable(stream.append(sample_batch(shard_id, range(6), dead={2})))
        durable(stream.append(sample_batch(shard_id, range(6, 9), dictionary=True)))
        assert stream.end(shard_id).open_hash == hash_read(stream, shard_id, 1) != NO_RECORDS
        first = stream.seal(shard_id)
        assert stream.end(shard_id).open_hash == NO_RECORDS
        durable(stream.append(sample_batch(shard_id, range(9, 2000), dead={9, 1999})))
        second = stream.seal(shard_id)
        assert first is not None
        assert second is not None
        assert [first.hash, second.hash] == [hash_read(stream, shard_id, epoch) for epoch in (1, 2)]
        assert [seal.hash for seal in stream.seals(shard_id)] == [first.hash, second.hash]

    def test_duplicates_are_not_hashed(self, stream: StreamBackend, shard_id: str) -> None:
        numbers = list(range(12))
        for lines in (numbers[2:5], numbers, numbers[4:9]):
            stamp = ProducerStamp("p", 1, 1)
            durable(stream.append(sample_batch(shard_id, lines, dead={3, 7}, producer=stamp, lines=lines)))
        large, stamp = list(range(3000)), ProducerStamp("p", 1, 2)
        for lines in (large[::7], large):
            durable(stream.append(sample_batch(shard_id, lines, producer=stamp, lines=lines)))
        assert stream.end(shard_id).open_hash == hash_read(stream, shard_id, 1)

    def test_many_appends_hash_as_one_does(self, stream: StreamBackend, shard_id: str) -> None:
        other = next(shard.id for shard in stream.shards() if shard.id != shard_id)
        durable(stream.append(sample_batch(other, range(40), dead={8})))
        futures = [
            stream.append(sample_batch(shard_id, range(n, n + 5), dead={8}, dictionary=n % 2 == 0))
            for n in range(0, 40, 5)
        ]
        for future in futures:
            durable(future)
        assert stream.end(shard_id).open_hash == stream.end(other).open_hash

    def test_dead_letters_alone_have_no_hash(self, stream: StreamBackend, shard_id: str) -> None:
        durable(stream.append(sample_batch(shard_id, range(3), dead={0, 1, 2})))
        sealed = stream.seal(shard_id)
        assert sealed is not None
        assert sealed.hash == NO_RECORDS
