"""Variances at the limits of fixed point, first and last where times meet, and lists that are cut: exact, whatever the size."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView, compile_view, shipped_views
from tailrace.views.dialects.duckdb import schemas
from tests.views.plain import agrees, spread
from tests.views.rig import Engine, Record, rows
from tests.views.samples import HUGE

KINDS = {"var_samp": "variance", "var_pop": "var_pop", "stddev_samp": "stddev", "stddev_pop": "stddev_pop"}


def view_of(columns: str) -> CompiledView:
    window = "time_bucket(INTERVAL '1 day', timestamp) AS w"
    return compile_view(f"CREATE VIEW v AS SELECT {window}, {columns} FROM logs GROUP BY ALL", DEFAULT_FIELDS)


def one_row(engine: Engine, view: CompiledView, records: list[Record]) -> tuple[Any, ...]:
    ((_, *got),) = rows(engine.finalize(view, engine.partial(view, records)))
    return tuple(got)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "units",
    [
        [0],
        [5, 5],
        [10**18 - 1] * 300,
        [10**18 - 1, -(10**18) + 1] * 300,
        [10**18 - 1, 10**18 - 2, 10**18 - 3],
        [2**30 - 1, 2**30, 2**30 + 1, 2**59, -(2**59)],
        list(range(-1000, 1000, 7)),
    ],
    ids=lambda units: f"{units[0]}x{len(units)}",
)
def test_no_digit_is_lost(engine: Engine, kind: str, units: list[int]) -> None:
    """A computation in doubles finds 0 or noise for numbers that differ in the eighteenth digit."""
    view = view_of(f"{KINDS[kind]}(response_ms) AS x")
    (got,) = one_row(engine, view, [Record(response_ms=Decimal(u).scaleb(-3)) for u in units])
    assert agrees(got, spread(kind, [Fraction(u, 1000) for u in units])), got


@pytest.mark.parametrize("count", [1, 2, 3, 10**6 + 1, 2**40 + 7, 2**62 - 1])
@pytest.mark.parametrize("kind", ["var_samp", "var_pop"])
def test_states_of_very_many_records_are_finalized_exactly(engine: Engine, kind: str, count: int) -> None:
    """States as no test can fill them: `count` values of which half are the largest there is and half one less, or so."""
    view = view_of(f"{KINDS[kind]}(response_ms) AS x")
    top = 10**18 - 1
    for low in (top - 1, -top, 0):
        half = count // 2
        total = top * (count - half) + low * half
        squares = [(top**2, count - half), (low**2, half)]
        state = {
            "s0": count,
            "s1": total,
            "s2": sum((square & (2**60 - 1)) * n for square, n in squares),
            "s3": sum((square >> 60) * n for square, n in squares),
        }
        scalars = schemas(view)["scalars"]
        row = {"w": 0, **{name: Decimal(value) if name != "s0" else value for name, value in state.items()}}
        states = {"scalars": pa.Table.from_pylist([{"window_start": 0, **row}], schema=scalars)}
        ((_, got),) = rows(engine.finalize(view, states))
        degrees = count - (kind == "var_samp")
        exact = count * sum(square * n for square, n in squares) - total**2
        assert agrees(got, Fraction(exact, count * degrees * 10**6) if degrees else None), (low, got)


def test_as_the_engine_computes_it(engine: Engine) -> None:
    """DuckDB's own aggregates over the same values, as near as its doubles are."""
    chance = random.Random(7)
    records = [
        Record(response_ms=Decimal(chance.randrange(10**6)).scaleb(-3), status=200 + i % 300) for i in range(999)
    ]
    columns = [f"{name}({x}) AS {name}_{x}" for name in KINDS.values() for x in ("response_ms", "status")]
    lists = [
        "max(response_ms, 7) AS a",
        "min(status, 3) AS b",
        "bool_and(status < 499) AS c",
        "bool_or(status < 0) AS d",
    ]
    view = view_of(", ".join([*columns, *lists]))
    values = pa.table({"x": pa.array([r.response_ms for r in records]), "s": pa.array([r.status for r in records])})
    listed = [c.rsplit(" AS ", 1)[0].replace("response_ms", "x").replace("status", "s") for c in (*columns, *lists)]
    (wanted,) = rows(engine.run(f"SELECT {', '.join(listed)} FROM t", t=values))
    got = one_row(engine, view, records)
    assert got[:8] == pytest.approx(wanted[:8], rel=1e-12)
    assert got[8:] == wanted[8:]


def test_ties_go_by_value_whatever_came_first(engine: Engine) -> None:
    view = view_of("first(ip) AS a, last(ip) AS b, first(response_ms) AS c, last(timestamp) AS d, first(service) AS e")
    tied = [Record(at_us=5, ip=ip, response_ms=Decimal(ms)) for ip, ms in (("b", 2), ("a", 3), ("c", 1))]
    records = [*tied, Record(at_us=5), Record(at_us=4, service="s"), Record(at_us=6)]
    for order in (records, records[::-1], [records[i] for i in (4, 1, 5, 0, 3, 2)]):
        assert one_row(engine, view, order) == ("a", "c", Decimal("1.000"), 6, "s")
        split = [engine.partial(view, [record]) for record in order]
        ((_, *got),) = rows(engine.finalize(view, engine.merge(view, *split)))
        assert tuple(got) == ("a", "c", Decimal("1.000"), 6, "s")


def test_nothing_counted_is_null(engine: Engine) -> None:
    columns = "stddev(status) AS a, bool_or(status > 1) AS b, first(ip) AS c, max(status, 3) AS d, var_pop(status) AS e"
    assert one_row(engine, view_of(columns), [Record()]) == (None,) * 5


def test_a_list_is_bounded_however_many_are_merged(engine: Engine) -> None:
    view = view_of("max(status, 4) AS a")
    parts = [engine.partial(view, [Record(status=i), Record(status=i)]) for i in range(40)]
    merged = engine.merge(view, *parts)
    assert rows(merged["scalars"]) == [(0, [39, 39, 38, 38])]


def test_equal_states_are_shared() -> None:
    columns = (
        "stddev(response_ms) AS a, var_pop(response_ms) AS b, avg(response_ms) AS c, "
        "first(ip) AS d, arg_min(ip, timestamp) AS e, max(status, 3) AS f, max(status, 4) AS g"
    )
    functions = [(s.function, s.n) for s in view_of(columns).scalars]
    assert functions == [
        ("count", 0), ("sum", 0), ("squares_low", 0), ("squares_high", 0), ("min", 0), ("max", 3), ("max", 4),
    ]  # fmt: skip


def test_the_shipped_views_keep_their_versions() -> None:
    """States on disk are found by them: another version would build all of history anew."""
    versions = {name: compile_view(sql, DEFAULT_FIELDS).version for name, sql in shipped_views()}
    assert versions == {
        "endpoint_health": "c416ba8ee403122f",
        "overall_health": "670c9cddc7f312f9",
        "records_by_service": "f4c6c7810beadc63",
        "status_by_endpoint": "93b18c7e53ca47f7",
        "traffic_by_network": "bc307a93f2496c00",
    }


def test_the_largest_sum_of_squares_fits(engine: Engine) -> None:
    """The states of the most extreme values merge as long as a sum of them would."""
    view = view_of("stddev(response_ms) AS a")
    states = engine.partial(view, [Record(response_ms=HUGE)] * 3)
    merged = engine.merge(view, *[states] * 50)
    ((_, count, total, low, high),) = rows(merged["scalars"])
    assert (count, total) == (150, 150 * (10**18 - 1))
    assert int(high) * 2**60 + int(low) == 150 * (10**18 - 1) ** 2
