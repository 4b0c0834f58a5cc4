"""The laws of mergeable states: how the records are cut up, and in which order states meet, cannot change a bit."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView, compile_view, shipped_views
from tailrace.views.dialects.duckdb import schemas
from tests.oracle.sketches import register_of
from tests.views.rig import Engine, Record, by_key, empty_states
from tests.views.samples import ALL, HUGE, batches

SHIPPED = dict(shipped_views())
VIEWS = [compile_view(sql, DEFAULT_FIELDS) for sql in (*(p.sql for p in ALL), SHIPPED["endpoint_health"])]
law = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
every_view = pytest.mark.parametrize("view", VIEWS, ids=lambda v: v.name)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@every_view
@law
@given(first=batches(10), second=batches(10))
def test_merge_is_commutative(engine: Engine, view: CompiledView, first: list[Record], second: list[Record]) -> None:
    a, b = engine.partial(view, first), engine.partial(view, second)
    assert by_key(engine.merge(view, a, b)) == by_key(engine.merge(view, b, a))


@every_view
@law
@given(parts=st.tuples(batches(8), batches(8), batches(8)))
def test_merge_is_associative(
    engine: Engine, view: CompiledView, parts: tuple[list[Record], list[Record], list[Record]]
) -> None:
    a, b, c = (engine.partial(view, part) for part in parts)
    left = engine.merge(view, engine.merge(view, a, b), c)
    right = engine.merge(view, a, engine.merge(view, b, c))
    assert by_key(left) == by_key(right) == by_key(engine.merge(view, a, b, c))


@every_view
@law
@given(records=batches())
def test_nothing_is_the_identity(engine: Engine, view: CompiledView, records: list[Record]) -> None:
    states = engine.partial(view, records)
    assert by_key(engine.merge(view, states, empty_states(view))) == by_key(states)
    assert by_key(engine.merge(view)) == by_key(empty_states(view))


@every_view
@law
@given(records=batches(7))
def test_adding_is_merging_singles(engine: Engine, view: CompiledView, records: list[Record]) -> None:
    singles = [engine.partial(view, [record]) for record in records]
    assert by_key(engine.merge(view, *singles)) == by_key(engine.partial(view, records))


@every_view
@law
@given(data=st.data(), records=batches())
def test_any_partition_gives_the_same_states(
    engine: Engine, view: CompiledView, data: st.DataObject, records: list[Record]
) -> None:
    parts = data.draw(st.lists(st.integers(0, 3), min_size=len(records), max_size=len(records)))
    cut = [[r for r, p in zip(records, parts, strict=True) if p == part] for part in range(4)]
    merged = engine.merge(view, *(engine.partial(view, part) for part in cut))
    assert by_key(merged) == by_key(engine.partial(view, records))


@every_view
@law
@given(records=batches())
def test_a_state_read_from_merged_or_unmerged_rows_is_the_same(
    engine: Engine, view: CompiledView, records: list[Record]
) -> None:
    """Serving concatenates the states of both layers and lets finalize merge them."""
    halves = [engine.partial(view, records[0::2]), engine.partial(view, records[1::2])]
    loose = {name: pa.concat_tables([half[name] for half in halves]) for name in schemas(view)}
    assert engine.finalize(view, loose).equals(engine.finalize(view, engine.partial(view, records)))


def test_states_come_back_from_parquet_unchanged(engine: Engine, tmp_path: object) -> None:
    """Sums are DECIMAL(38, 0), as Parquet has no 128-bit integer; the largest must survive."""
    view = VIEWS[0]
    states = engine.partial(view, [Record(response_ms=sign * HUGE) for sign in (1, 1, 1, -1)])
    scalars = states["scalars"]
    largest = pa.array([10**38 - 1], pa.decimal128(38, 0))
    sums = [f.name for f in scalars.schema if f.type == pa.decimal128(38, 0)]
    for name in sums:
        scalars = scalars.set_column(scalars.column_names.index(name), name, largest)
    for name, table in {**states, "scalars": scalars}.items():
        path = f"{tmp_path}/{name}.parquet"
        pq.write_table(table, path)
        back = pq.read_table(path)
        assert back.equals(table)
        assert back.schema.equals(schemas(view)[name])
    assert sums
    read = f"SELECT CAST(max({sums[0]}) AS VARCHAR) AS v FROM read_parquet('{tmp_path}/scalars.parquet')"
    (got,) = engine.run(read)["v"].to_pylist()
    assert got == str(10**38 - 1)


def test_of_two_values_in_one_register_the_larger_rank_stays(engine: Engine) -> None:
    view = next(view for view in VIEWS if view.register_aggs and any(k.name == "endpoint" for k in view.keys))
    same: dict[int, dict[int, str]] = {}
    for number in range(100_000):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        register, rank = register_of(address)
        ranks = same.setdefault(register, {})
        ranks[rank] = address
        if len(ranks) == 2:
            break
    low, high = (engine.partial(view, [Record(endpoint="/a", ip=ranks[rank])]) for rank in sorted(ranks))
    merged = engine.merge(view, low, high)["registers"].to_pylist()
    assert [row["rank"] for row in merged] == [max(ranks)]
    assert by_key(engine.merge(view, high, low)) == by_key(engine.merge(view, low, high))
