"""`logs` is every record once, wherever the lake ends and the stream goes on, while batch commits under the reader."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.batch.consumer import consume
from tailrace.errors import GapFound, Trimmed
from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields
from tailrace.serving.sql.blocks import BlockCache
from tailrace.serving.sql.engine import SqlEngine
from tailrace.serving.sql.logs import logs_schema, take_moment
from tailrace.stream.base import ReadRequest
from tests.query.conftest import FIRST_US, LINES, World, engine_of, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tailrace.stream.base import Block


def good(count: int) -> list[int]:
    return [n for n in range(count) if n % 10 != 9]


def offsets(engine: SqlEngine) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for shard, offset in rows(engine, "SELECT _shard, _offset FROM logs ORDER BY ALL"):
        found.setdefault(str(shard), []).append(int(str(offset)))
    return found


def test_lake_and_stream_together_are_all_records(engine: SqlEngine, world: World) -> None:
    assert world.lake.totals().rows == 2 * len(good(120))
    assert offsets(engine) == {shard: good(LINES) for shard in world.shards}


def test_values_are_the_same_from_either_side(engine: SqlEngine, world: World) -> None:
    """Both halves of `logs` against the rows that were put in."""
    fields = [f.name for f in DEFAULT_FIELDS.all]
    listed = rows(
        engine,
        f"SELECT {', '.join(fields)}, extra, _offset FROM logs WHERE _shard = '{world.shards[0]}' ORDER BY _offset",
    )
    wanted = []
    for block in world.stream.read(ReadRequest(world.shards[0], 0, max_blocks=1000)):
        for offset, row in enumerate(block.columns.to_pylist(), block.first_offset):
            if row.pop("verdict") == 0:
                wanted.append((*row.values(), offset))
    assert listed == wanted


def test_columns_are_those_of_the_record_and_where_it_stood(engine: SqlEngine) -> None:
    described = [(name, kind) for name, kind, *_ in rows(engine, "DESCRIBE logs")]
    assert described == [
        ("timestamp", "TIMESTAMP WITH TIME ZONE"),
        ("service", "VARCHAR"),
        ("endpoint", "VARCHAR"),
        ("method", "VARCHAR"),
        ("status", "INTEGER"),
        ("response_ms", "DECIMAL(18,3)"),
        ("ip", "VARCHAR"),
        ("level", "VARCHAR"),
        ("trace_id", "VARCHAR"),
        ("message", "VARCHAR"),
        ("extra", "VARCHAR"),
        ("_shard", "VARCHAR"),
        ("_offset", "BIGINT"),
        ("_epoch", "BIGINT"),
        ("_arrived_at", "TIMESTAMP WITH TIME ZONE"),
    ]


def test_golden_numbers(engine: SqlEngine) -> None:
    """Counted by hand from the sample's rule: status 200 + n % 4, response n / 1000 ms, endpoint n % 5, no n with n % 10 = 9."""
    numbers = good(LINES) * 2
    per_endpoint = {f"/p\u00e4th/{k}": [n for n in numbers if n % 5 == k] for k in range(5)}
    wanted = [
        (name, len(ns), sum(ns), max(ns), sum(n % 4 == 3 for n in ns)) for name, ns in sorted(per_endpoint.items())
    ]
    sql = (
        "SELECT endpoint, count(*), (sum(response_ms) * 1000)::BIGINT, (max(response_ms) * 1000)::BIGINT,"
        " count(*) FILTER (WHERE status = 203) FROM logs GROUP BY endpoint ORDER BY endpoint"
    )
    assert rows(engine, sql) == wanted


def test_a_self_join_reads_the_same_moment_twice(engine: SqlEngine) -> None:
    sql = "SELECT count(*), count(DISTINCT a._offset) FROM logs a JOIN logs b USING (_shard, _offset)"
    assert rows(engine, sql) == [(2 * len(good(LINES)), len(good(LINES)))]


def test_an_installation_without_any_record(tmp_path: Path) -> None:
    world = World(tmp_path)
    engine = engine_of(world)
    assert rows(engine, "SELECT count(*), min(timestamp) FROM logs") == [(0, None)]
    assert rows(engine, "SELECT * FROM logs WHERE timestamp > now()") == []
    world.close()


# -- any cut ---------------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 1), st.integers(1, 12)),
        st.tuples(st.just("seal"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("consume"), st.integers(1, 40), st.just(0)),
    ),
    min_size=1,
    max_size=20,
)


@given(STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_record_is_missing_or_double_at_any_cut(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    world = World(tmp_path_factory.mktemp("cut"))
    engine = engine_of(world)
    put = dict.fromkeys(world.shards, 0)
    for step, amount, lines in steps:
        match step:
            case "put":
                shard = world.shards[amount]
                world.put(shard, lines)
                put[shard] += lines
            case "seal":
                world.stream.seal(world.shards[amount])
            case "consume":
                consume(world.stream, world.lake, lines_max=amount)
        assert offsets(engine) == {shard: good(n) for shard, n in put.items() if good(n)}
    engine.close()
    world.close()


class BatchInBetween:
    """A lake whose reader is overtaken: a batch run happens between its answer and what the query does with it."""

    def __init__(self, world: World, engine_lake) -> None:
        self._world = world
        self._lake = engine_lake
        self.data_dir = engine_lake.data_dir

    def current(self):
        snapshot = self._lake.current()
        self._world.put(self._world.shards[0], 7)
        self._world.stream.seal(self._world.shards[0])
        consume(self._world.stream, self._world.lake)
        return snapshot


def test_a_batch_run_between_the_two_halves_changes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    engine = engine_of(world, lake=BatchInBetween(world, world.lake))
    for run in range(1, 6):
        assert offsets(engine) == {world.shards[0]: good(7 * run)}
    world.close()


def test_what_arrives_while_a_query_runs_is_not_in_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(world.shards[0], 10)
    engine = engine_of(world)
    execution = engine.open()
    execution.prepare("SELECT count(*) AS n FROM logs")
    world.put(world.shards[0], 10)
    world.stream.seal(world.shards[0])
    consume(world.stream, world.lake)
    assert [b.to_pylist() for b in execution.batches()] == [[{"n": 9}]]
    execution.close()
    assert rows(engine, "SELECT count(*) FROM logs") == [(18,)]
    world.close()


def test_readers_never_see_a_wrong_count_while_batch_commits(tmp_path: Path) -> None:
    """A writer puts, seals and commits in a loop; every count a reader sees is that of some moment, and they only grow."""
    world = World(tmp_path)
    engine = engine_of(world)
    done = threading.Event()

    def write() -> None:
        for _ in range(25):
            world.put(world.shards[0], 10)
            world.stream.seal(world.shards[0])
            consume(world.stream, world.lake)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        ((count, distinct, last),) = rows(engine, "SELECT count(*), count(DISTINCT _offset), max(_offset) FROM logs")
        if count:
            assert count == distinct == len(good(int(str(last)) + 1)) or (int(str(last)) + 2) % 10 == 0
            assert count % 9 == 0
        seen.append(count)
    writer.join()
    assert seen == sorted(seen)
    assert rows(engine, "SELECT count(*) FROM logs") == [(225,)]
    world.close()


# -- the stream's side -------------------------------------------------------------------------------------------------------


def test_a_stream_that_has_lost_its_tail_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(world.shards[0], 10)
    world.stream.seal(world.shards[0])
    world.put(world.shards[0], 10)
    world.stream.trim(world.shards[0], through_epoch=1, before_us=1 << 62)
    with pytest.raises(Trimmed):
        rows(engine_of(world), "SELECT count(*) FROM logs")
    world.close()


class Holed:
    """A stream whose reads leave out the block at `hole`."""

    def __init__(self, world: World, hole: int) -> None:
        self._stream, self._hole = world.stream, hole
        self.shards, self.end = world.stream.shards, world.stream.end

    def read(self, request: ReadRequest) -> list[Block]:
        return [b for b in self._stream.read(request) if b.first_offset != self._hole]


@pytest.mark.parametrize("hole", [0, 10, 20])
def test_a_hole_in_the_stream_is_an_error_and_not_a_smaller_answer(tmp_path: Path, hole: int) -> None:
    world = World(tmp_path)
    for _ in range(3):
        world.put(world.shards[0], 10)
    with pytest.raises(GapFound, match=f"offsets `{hole}` to"):
        rows(engine_of(world, stream=Holed(world, hole)), "SELECT count(*) FROM logs")
    world.close()


class Counted:
    """A stream that counts the blocks it gives."""

    def __init__(self, world: World) -> None:
        self._stream = world.stream
        self.blocks = 0

    def read(self, request: ReadRequest) -> list[Block]:
        found = self._stream.read(request)
        self.blocks += len(found)
        return found


@pytest.fixture
def ten_blocks(tmp_path: Path) -> World:
    world = World(tmp_path)
    for _ in range(10):
        world.put(world.shards[0], 10)
    world.close()
    return world


def read_all(cache: BlockCache, shard: str) -> list[int]:
    return [o for table in cache.records(shard, 0, 100) for o in table["_offset"].to_pylist()]


def test_decoded_blocks_are_kept_while_they_fit(ten_blocks: World) -> None:
    stream = Counted(ten_blocks)
    cache = BlockCache(stream, logs_schema(DEFAULT_FIELDS))
    assert read_all(cache, ten_blocks.shards[0]) == read_all(cache, ten_blocks.shards[0]) == good(100)
    assert stream.blocks == 10


def test_a_tail_larger_than_the_cache_is_still_read_whole(ten_blocks: World) -> None:
    stream = Counted(ten_blocks)
    cache = BlockCache(stream, logs_schema(DEFAULT_FIELDS), bytes_max=4_000)
    for _ in range(3):
        assert read_all(cache, ten_blocks.shards[0]) == good(100)
        assert 0 < cache._bytes <= 4_000
    assert stream.blocks > 20


def test_only_the_lines_asked_for_are_given(ten_blocks: World) -> None:
    cache = BlockCache(ten_blocks.stream, logs_schema(DEFAULT_FIELDS))
    part = [o for t in cache.records(ten_blocks.shards[0], 20, 50) for o in t["_offset"].to_pylist()]
    assert part == [n for n in range(20, 50) if n % 10 != 9]


def test_a_field_younger_than_the_lake_is_null_in_its_files(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(5):
        world.put(world.shards[0], 10)
        world.stream.seal(world.shards[0])
        consume(world.stream, world.lake)
    world.put(world.shards[0], 10)
    fields = Fields((*DEFAULT_FIELDS.all, Field("region", FieldKind.TEXT), Field("cost", FieldKind.DECIMAL, scale=2)))
    newer = World.__new__(World)
    newer.__dict__.update(world.__dict__)
    newer.settings = type(world.settings)(data_dir=tmp_path, views_dir=tmp_path, fields=fields)
    engine = engine_of(newer)
    sql = "SELECT count(*), count(region), sum(cost), count(endpoint) FROM logs"
    assert rows(engine, sql) == [(54, 0, None, 54)]
    assert rows(engine, f"{sql} WHERE timestamp >= to_timestamp({FIRST_US / 1e6 + 10})") == [(0, 0, None, 0)]
    world.close()


def test_the_moment_is_the_marks_and_the_ends(world: World) -> None:
    moment = take_moment(world.stream, world.lake)
    assert [(t.first, t.end) for t in moment.tail] == [(120, LINES)] * 2
    assert moment.tail_lines == 80


def test_the_tail_has_the_lake_schema(world: World) -> None:
    cache = BlockCache(world.stream, logs_schema(DEFAULT_FIELDS))
    (first, *_) = cache.records(world.shards[0], 0, LINES)
    assert first.schema == logs_schema(DEFAULT_FIELDS)
    assert pa.types.is_string(first.schema.field("endpoint").type)


def test_a_stream_is_a_part_of_the_records(engine: SqlEngine) -> None:
    """Lake and stream's end together, by its name alone, beside `logs` and with the same columns."""
    ((every,),) = rows(engine, "SELECT count(*) FROM logs WHERE status >= 202")
    assert every
    assert rows(engine, "SELECT count(*) FROM upper") == [(every,)]
    rest = "SELECT (SELECT count(*) FROM logs) - (SELECT count(*) FROM Upper) - count(*) FROM logs WHERE status < 202"
    assert rows(engine, rest) == [(0,)]
    assert rows(engine, "DESCRIBE upper") == rows(engine, "DESCRIBE logs")
