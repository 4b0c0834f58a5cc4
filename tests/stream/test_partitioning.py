"""A post is divided among shards exactly as Kinesis would, however its keys are stored."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.model.shard import Shard, even_shards, route
from tailrace.stream.base import ProducerStamp, ShardBatch
from tailrace.stream.partitioning import split
from tailrace.testing.contracts.stream_samples import sample_batch, sample_raw

STAMP = ProducerStamp("p", 1, 2)


def post(count: int) -> tuple[pa.Table, pa.Table]:
    batch = sample_batch("", range(count))
    return batch.columns, batch.raw


def as_lines(batches: list[ShardBatch]) -> dict[str, list[tuple[int, bytes, object]]]:
    """For each shard: (line number, raw bytes, trace id) of its lines."""
    return {
        b.shard_id: list(
            zip(
                [int(n) for n in b.lines],
                b.raw["raw"].to_pylist(),
                b.columns["trace_id"].to_pylist(),
                strict=True,
            )
        )
        for b in batches
    }


def routed(keys: list[str | None], shards: tuple[Shard, ...]) -> dict[str, list[tuple[int, bytes, object]]]:
    """What `split` must give, a line at a time."""
    found: dict[str, list[tuple[int, bytes, object]]] = {}
    for line, key in enumerate(keys):
        hashed = sample_raw(line) if key is None else key.encode()
        found.setdefault(shards[route(shards, hashed)].id, []).append((line, sample_raw(line), f"{line:016x}"))
    return found


@given(st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=50), st.integers(1, 9))
@settings(deadline=None)
def test_every_line_goes_where_its_key_belongs(keys: list[str | None], count: int) -> None:
    shards = even_shards(count, 0)
    columns, raw = post(len(keys))
    expected = routed(keys, shards)
    plain = pa.array(keys, pa.string())
    half = len(keys) // 2
    for stored in (
        plain,
        plain.cast(pa.binary()),
        plain.dictionary_encode(),
        pa.chunked_array([plain[:half], plain[half:]]),
        pa.chunked_array([plain[:half].dictionary_encode(), plain[half:].dictionary_encode()]),
        plain.dictionary_encode("encode"),
    ):
        batches = split(columns, raw, stored, shards, range(len(keys)), STAMP)
        assert as_lines(batches) == expected
        assert {b.producer for b in batches} == {STAMP}
        assert [b.shard_id for b in batches] == sorted(expected)


def test_all_lines_of_one_key_are_not_copied() -> None:
    columns, raw = post(2000)
    (batch,) = split(columns, raw, pa.array(["login"] * 2000), even_shards(8, 0), range(2000))
    assert batch.columns is columns
    assert batch.raw.column("raw").chunk(0).buffers() == raw.column("raw").chunk(0).buffers()


def test_one_shard_hashes_nothing() -> None:
    columns, raw = post(5)
    (batch,) = split(columns, raw, pa.nulls(5, pa.string()), even_shards(1, 0), range(5))
    assert batch.columns is columns


def test_closed_shards_get_nothing() -> None:
    parent = Shard(0, 0, (1 << 128) - 1, 0, closed=True)
    first = Shard(1, 0, (1 << 127) - 1, 0, (parent.id,))
    second = Shard(2, 1 << 127, (1 << 128) - 1, 0, (parent.id,))
    columns, raw = post(300)
    batches = split(columns, raw, pa.array([str(n) for n in range(300)]), [parent, second, first], range(300))
    assert [b.shard_id for b in batches] == [first.id, second.id]


def test_more_keys_than_are_remembered() -> None:
    count = 6000
    keys = [f"key {n}" for n in range(count)]
    shards = even_shards(4, 0)
    columns, raw = post(count)
    assert as_lines(split(columns, raw, pa.array(keys), shards, range(count))) == routed(list(keys), shards)


def test_line_numbers_are_those_given() -> None:
    columns, raw = post(4)
    keys = pa.array(["a", "b", "c", "d"])
    batches = split(columns, raw, keys, even_shards(2, 0), [3, 5, 8, 13])
    numbers = sorted(int(n) for b in batches for n in b.lines)
    assert numbers == [3, 5, 8, 13]


def test_no_lines_no_batches() -> None:
    columns, raw = post(0)
    assert split(columns, raw, pa.array([], pa.string()), even_shards(2, 0), []) == []


@pytest.mark.parametrize("count", [2, 3, 300])
def test_bounds_of_shards_are_inclusive(count: int) -> None:
    shards = even_shards(count, 0)
    assert shards[0].hash_first == 0
    assert all(shards[i].hash_last + 1 == shards[i + 1].hash_first for i in range(count - 1))
    columns, raw = post(1500)
    keys: list[str | None] = [f"{n}" for n in range(1500)]
    assert as_lines(split(columns, raw, pa.array(keys), shards, range(1500))) == routed(keys, shards)
