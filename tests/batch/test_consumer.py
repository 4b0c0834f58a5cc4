"""Sealed epochs reach the lake once, whole and in order; anything missing or miscounted stops the run before it commits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.batch.base import LakeMark
from tailrace.batch.consumer import consume, plan
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.errors import Corrupt, GapFound, Unavailable
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import ManualClock
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import Block, EpochSeal, LedgerCounts, ReadRequest
from tailrace.testing.contracts.lake_harness import A, B, read_rows
from tailrace.testing.contracts.stream_samples import sample_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tailrace.batch.base import Lake


def seal(shard: str, epoch: int, first: int, last: int, at_us: int = 0) -> EpochSeal:
    return EpochSeal(shard, epoch, first, last, at_us, LedgerCounts(stored=last - first + 1))


class TestPlan:
    def test_nothing_sealed_is_nothing_to_do(self) -> None:
        assert plan({A: [], B: []}, {}).work == ()

    def test_it_begins_after_the_marks(self) -> None:
        seals = {A: [seal(A, 1, 0, 9), seal(A, 2, 10, 19), seal(A, 3, 20, 39)]}
        todo = plan(seals, {A: LakeMark(1, 9)})
        assert [(w.shard_id, [s.epoch for s in w.seals], w.mark) for w in todo.work] == [(A, [2, 3], LakeMark(3, 39))]
        assert (todo.lines, todo.waiting) == (30, 0)

    def test_the_oldest_epochs_of_all_shards_come_first(self) -> None:
        seals = {
            A: [seal(A, e, e * 10 - 10, e * 10 - 1, at_us=e * 100) for e in range(1, 6)],
            B: [seal(B, e, e * 10 - 10, e * 10 - 1, at_us=e * 100 + 50) for e in range(1, 6)],
        }
        todo = plan(seals, {}, lines_max=50)
        assert {w.shard_id: [s.epoch for s in w.seals] for w in todo.work} == {A: [1, 2, 3], B: [1, 2]}
        assert (todo.lines, todo.waiting) == (50, 50)

    def test_a_clock_that_stepped_back_does_not_reorder_a_shard(self) -> None:
        seals = {A: [seal(A, 1, 0, 9, at_us=900), seal(A, 2, 10, 19, at_us=100)], B: [seal(B, 1, 0, 9, at_us=500)]}
        todo = plan(seals, {}, lines_max=20)
        assert {w.shard_id: [s.epoch for s in w.seals] for w in todo.work} == {A: [1], B: [1]}

    def test_an_epoch_larger_than_the_bound_is_taken_alone(self) -> None:
        todo = plan({A: [seal(A, 1, 0, 99), seal(A, 2, 100, 109)]}, {}, lines_max=10)
        assert [s.epoch for w in todo.work for s in w.seals] == [1]

    def test_a_hole_after_the_mark_is_named(self) -> None:
        with pytest.raises(GapFound, match=r"offsets `10` to `14` are missing") as raised:
            plan({A: [seal(A, 2, 15, 19)]}, {A: LakeMark(1, 9)})
        assert (raised.value.shard, raised.value.first, raised.value.last) == (A, 10, 14)

    def test_a_hole_between_epochs_is_named(self) -> None:
        with pytest.raises(GapFound, match="offsets `10` to `10` are missing"):
            plan({A: [seal(A, 1, 0, 9), seal(A, 2, 11, 19)]}, {})

    def test_epochs_that_overlap_are_corrupt(self) -> None:
        with pytest.raises(Corrupt, match="begins at offset `9`"):
            plan({A: [seal(A, 1, 0, 9), seal(A, 2, 9, 19)]}, {})

    @given(st.lists(st.lists(st.integers(1, 30), max_size=8), min_size=1, max_size=3), st.integers(1, 60))
    def test_repeated_it_takes_every_epoch_once_in_order(self, sizes: list[list[int]], lines_max: int) -> None:
        seals = {f"s{i}": _seals(f"s{i}", counts) for i, counts in enumerate(sizes)}
        marks: dict[str, LakeMark] = {}
        taken: list[EpochSeal] = []
        while (todo := plan(seals, marks, lines_max)).work:
            assert todo.lines <= max(lines_max, max(s.last_offset - s.first_offset + 1 for s in taken_now(todo)))
            taken += taken_now(todo)
            marks |= {w.shard_id: w.mark for w in todo.work}
        assert sorted(taken, key=lambda s: (s.shard_id, s.epoch)) == [s for listed in seals.values() for s in listed]


def taken_now(todo) -> list[EpochSeal]:
    return [s for work in todo.work for s in work.seals]


def _seals(shard: str, counts: Sequence[int]) -> list[EpochSeal]:
    seals, first = [], 0
    for epoch, count in enumerate(counts, 1):
        seals.append(seal(shard, epoch, first, first + count - 1, at_us=epoch))
        first += count
    return seals


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[IcebergLake]:
    lake = IcebergLake(tmp_path / "lake", DEFAULT_FIELDS)
    yield lake
    lake.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stream(clock: ManualClock) -> MemoryStream:
    return MemoryStream(DEFAULT_FIELDS, 2, clock)


def put(stream: MemoryStream, shard: str, count: int, dead: Sequence[int] = ()) -> None:
    first = stream.end(shard).next_offset
    stream.append(sample_batch(shard, range(first, first + count), dead=[first + d for d in dead])).result()


def held(lake: Lake) -> dict[str, list[int]]:
    """Offsets in the lake by shard, in the order of its files."""
    offsets: dict[str, list[int]] = {}
    for row in read_rows(lake.files()):
        offsets.setdefault(str(row["_shard"]), []).append(int(str(row["_offset"])))
    return offsets


def test_only_sealed_epochs_are_moved_and_dead_letters_are_left(stream: MemoryStream, lake: IcebergLake) -> None:
    put(stream, A, 10, dead=[0, 4])
    assert consume(stream, lake) is None
    stream.seal(A)
    put(stream, A, 5)
    done = consume(stream, lake)
    assert done is not None
    assert (done.lines, done.rows, done.waiting, done.snapshot.marks) == (10, 8, 0, {A: LakeMark(1, 9)})
    assert held(lake) == {A: [1, 2, 3, 5, 6, 7, 8, 9]}
    assert consume(stream, lake) is None


def test_an_epoch_of_dead_letters_only(stream: MemoryStream, lake: IcebergLake) -> None:
    put(stream, A, 3, dead=[0, 1, 2])
    stream.seal(A)
    done = consume(stream, lake)
    assert done is not None
    assert (done.lines, done.rows, done.snapshot.marks, lake.files()) == (3, 0, {A: LakeMark(1, 2)}, [])


def test_catching_up_goes_in_bounded_steps(clock: ManualClock, stream: MemoryStream, lake: IcebergLake) -> None:
    for _ in range(6):
        clock.advance(5)
        for shard in (A, B):
            put(stream, shard, 10)
            stream.seal(shard)
    waiting = []
    while (done := consume(stream, lake, lines_max=40)) is not None:
        waiting.append(done.waiting)
    assert waiting == [80, 40, 0]
    assert held(lake) == {A: list(range(60)), B: list(range(60))}
    assert [(f.epoch_first, f.epoch_last) for f in lake.files()] == [(1, 2), (3, 4), (5, 6)] * 2


def test_a_shard_that_was_never_in_the_lake_starts_at_its_first_epoch(stream: MemoryStream, lake: IcebergLake) -> None:
    put(stream, A, 5)
    stream.seal(A)
    consume(stream, lake)
    put(stream, B, 7)
    stream.seal(B)
    consume(stream, lake)
    assert lake.position() == {A: LakeMark(1, 4), B: LakeMark(1, 6)}


class Tampered:
    """A stream that lies: `blocks` and `seals` change what the real one says."""

    def __init__(self, stream: MemoryStream, *, blocks=lambda listed: listed, seals=lambda listed: listed) -> None:
        self._stream, self._blocks, self._seals = stream, blocks, seals
        self.shards, self.end = stream.shards, stream.end

    def read(self, request: ReadRequest) -> list[Block]:
        return self._blocks(self._stream.read(request))

    def seals(self, shard_id: str, after_epoch: int = 0) -> list[EpochSeal]:
        return self._seals(self._stream.seals(shard_id, after_epoch))


def three_blocks(stream: MemoryStream) -> None:
    for _ in range(3):
        put(stream, A, 5, dead=[1])
    stream.seal(A)


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        ({"blocks": lambda b: [x for x in b if x.first_offset != 5]}, "offsets `5` to `9` are missing"),
        ({"blocks": lambda b: [x for x in b if x.first_offset < 10]}, "offsets `10` to `14` are missing"),
        ({"blocks": lambda b: b[:1] + b}, "a block begins at offset `0`, expected `5`"),
        ({"blocks": lambda b: [replace(x, epoch=2) for x in b]}, "say epoch `2`, and epoch `1` is sealed at `14`"),
        (
            {"seals": lambda s: [replace(x, counts=LedgerCounts(stored=13, dead_lettered=2)) for x in s]},
            "holds `12` records and `3` dead letters, and was sealed with `13` and `2`",
        ),
        (
            {"seals": lambda s: [replace(x, counts=LedgerCounts(stored=12, dead_lettered=4)) for x in s]},
            "sealed with `12` and `4`",
        ),
        ({"seals": lambda s: [replace(x, last_offset=12) for x in s]}, "epoch `1` is sealed at `12`"),
    ],
)
def test_what_does_not_add_up_stops_the_run(
    stream: MemoryStream, lake: IcebergLake, tmp_path: Path, tamper: dict, message: str
) -> None:
    three_blocks(stream)
    with pytest.raises(Corrupt, match=message):
        consume(Tampered(stream, **tamper), lake)
    assert (lake.position(), lake.files()) == ({}, [])
    assert [p for p in (tmp_path / "lake/warehouse/logs/data").rglob("*") if p.is_file()] == []
    assert consume(stream, lake) is not None


def test_a_lake_that_cannot_be_written_leaves_the_run_to_the_next(
    stream: MemoryStream, lake: IcebergLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_blocks(stream)

    def refuse(*_: object, **__: object) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as patched:
        patched.setattr(IcebergLake, "append", refuse)
        with pytest.raises(Unavailable):
            consume(stream, lake)
    consume(stream, lake)
    assert held(lake) == {A: [o for o in range(15) if o % 5 != 1]}


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "seal", "consume", "reopen"]), st.integers(0, 1), st.integers(1, 25)),
    min_size=1,
    max_size=25,
)


@given(ACTIONS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interleaving_ends_with_every_record_once(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    stream = MemoryStream(DEFAULT_FIELDS, 2, ManualClock())
    lake = IcebergLake(folder, DEFAULT_FIELDS)
    for action, which, amount in actions:
        shard = (A, B)[which]
        match action:
            case "put":
                put(stream, shard, amount, dead=range(0, amount, 4))
            case "seal":
                stream.seal(shard)
            case "consume":
                consume(stream, lake, lines_max=amount)
            case "reopen":
                lake.close()
                lake = IcebergLake(folder, DEFAULT_FIELDS)
    for shard in (A, B):
        stream.seal(shard)
    while consume(stream, lake) is not None:
        pass
    wanted = {s: _good_offsets(stream, s) for s in (A, B)}
    assert held(lake) == {s: offsets for s, offsets in wanted.items() if offsets}
    lake.close()


def _good_offsets(stream: MemoryStream, shard: str) -> list[int]:
    good = []
    for block in stream.read(ReadRequest(shard, 0, max_blocks=10_000)) if stream.end(shard).next_offset else []:
        verdicts = block.columns["verdict"].to_pylist()
        good += [block.first_offset + i for i, verdict in enumerate(verdicts) if verdict == 0]
    return good
