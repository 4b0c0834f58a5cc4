"""Every number of a view equals a plain Python computation over the same records, whatever the records are."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView, compile_view
from tailrace.views.dialects.duckdb.schema import arrow_type
from tests.oracle.sketches import estimate, registers
from tests.views.plain import PlainView, bin_rows, differences, register_rows
from tests.views.rig import SECOND_US, Engine, Record, Row, by_key, empty_states, rows
from tests.views.samples import ALL, EVERYTHING, HUGE, KEYLESS, NETWORKS, batches

PLANS = {plain.sql: compile_view(plain.sql, DEFAULT_FIELDS) for plain in ALL}
EDGES = [
    Record(at_us=-1, response_ms=HUGE),
    Record(at_us=0, response_ms=-HUGE, status=503, ip="::1"),
    Record(at_us=0, response_ms=HUGE, status=503, ip="::1"),
    Record(at_us=1, response_ms=Decimal("-0.000"), endpoint="/a"),
]
given_records = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answer(table: pa.Table, keys: int) -> dict[Row, Row]:
    """(window, keys...) -> numbers; a key must not come twice."""
    found = rows(table)
    split = {row[: keys + 1]: row[keys + 1 :] for row in found}
    assert len(split) == len(found)
    return split


@pytest.mark.parametrize("plain", ALL, ids=lambda p: PLANS[p.sql].name)
@given_records
@given(
    records=batches(),
    steps=st.sampled_from([2, 6, 360]),
    bounds=st.tuples(st.integers(-2, 8), st.integers(-2, 8)),
)
@example(records=EDGES, steps=6, bounds=(0, 1))
@example(records=[], steps=2, bounds=(0, 0))
def test_against_plain_python(
    engine: Engine, plain: PlainView, records: list[Record], steps: int, bounds: tuple[int, int]
) -> None:
    """By window, by coarser steps, in one, and in a range of time."""
    view = PLANS[plain.sql]
    states = engine.partial(view, records)
    keys = len(plain.keys)
    assert differences(answer(engine.finalize(view, states), keys), plain.answer(records)) == []
    step_us = plain.window_us * steps
    stepped = answer(engine.finalize(view, states, step_us=step_us), keys)
    assert differences(stepped, plain.answer(records, step_us)) == []
    total = answer(engine.finalize(view, states, total=True), keys)
    assert differences(total, plain.answer(records, 0)) == []
    begin, end = (bound * 10 * SECOND_US for bound in bounds)
    within = [r for r in records if begin <= r.at_us // plain.window_us * plain.window_us < end]
    ranged = answer(engine.finalize(view, states, time_from=begin, time_to=end), keys)
    assert differences(ranged, plain.answer(within)) == []


@pytest.mark.parametrize("plain", ALL, ids=lambda p: PLANS[p.sql].name)
@given_records
@given(records=batches())
@example(records=EDGES)
def test_buckets_and_registers(engine: Engine, plain: PlainView, records: list[Record]) -> None:
    """The states themselves, bit for bit."""
    view = PLANS[plain.sql]
    states = by_key(engine.partial(view, records))
    outputs = [o for o in view.outputs if o.kind not in ("window", "key")]
    assert [o.name for o in outputs] == [a.name for a in plain.aggregates]
    for table, kind, wanted_rows in (("bins", "quantile", bin_rows), ("registers", "distinct", register_rows)):
        aggs = {o.agg: a for o, a in zip(outputs, plain.aggregates, strict=True) if o.kind == kind}
        wanted = [row for agg, a in aggs.items() for row in wanted_rows(plain, a, agg or 0, records)]
        assert len(states.get(table, [])) == len(wanted)
        assert set(states.get(table, [])) == set(wanted)


def test_rows_come_ordered_by_window_and_keys_with_null_last(engine: Engine) -> None:
    view = compile_view(
        "CREATE VIEW v AS SELECT count(*) AS n, status, endpoint AS e, time_bucket(INTERVAL '1 second', timestamp) AS w "
        "FROM logs GROUP BY ALL",
        DEFAULT_FIELDS,
    )
    records = [
        Record(at_us=at * SECOND_US, status=s, endpoint=e)
        for at in (1, 0)
        for s in (2, None, 1)
        for e in ("b", None, "a")
    ]
    table = engine.finalize(view, engine.partial(view, records))
    assert table.column_names == ["n", "status", "e", "w"]
    assert rows(table) == [(1, s, e, at * SECOND_US) for at in (0, 1) for s in (1, 2, None) for e in ("a", "b", None)]


def test_limit_keeps_the_first_rows(engine: Engine) -> None:
    view = PLANS[NETWORKS.sql]
    states = engine.partial(view, [Record(ip=f"10.0.{i}.1") for i in range(5)])
    assert [r[1] for r in rows(engine.finalize(view, states, limit=2))] == ["10.0.0.0/24", "10.0.1.0/24"]


def test_nothing_gives_no_rows(engine: Engine) -> None:
    for view in PLANS.values():
        for asked in ({}, {"total": True}, {"step_us": 86_400 * SECOND_US}):
            assert engine.finalize(view, empty_states(view), **asked).num_rows == 0


def test_result_types_are_those_of_the_plan(engine: Engine) -> None:
    for view in PLANS.values():
        table = engine.finalize(view, empty_states(view))
        assert [(f.name, f.type) for f in table.schema] == [(o.name, arrow_type(o.sql_type)) for o in view.outputs]


def view_of(columns: str) -> CompiledView:
    window = "time_bucket(INTERVAL '1 day', timestamp) AS w"
    return compile_view(f"CREATE VIEW v AS SELECT {window}, {columns} FROM logs GROUP BY ALL", DEFAULT_FIELDS)


@pytest.mark.parametrize("distinct", [0, 1, 5, 100, 3_000, 12_000, 40_000])
def test_distinct_counts_are_near_the_truth(engine: Engine, distinct: int) -> None:
    """Five times the standard error of 1.6 %, over fixed data: a wrong formula or register is far outside."""
    view = view_of("approx_count_distinct(ip) AS n")
    records = [Record(ip=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}") for i in range(distinct)] or [Record(ip=None)]
    ((_, got),) = rows(engine.finalize(view, engine.partial(view, records)))
    assert abs(got - distinct) <= 0.08 * distinct
    assert got == estimate(registers(r.ip for r in records if r.ip is not None))
    if distinct <= 100:
        assert got == distinct


def test_registers_of_many_values(engine: Engine) -> None:
    """Enough values that some have more than twelve leading zero bits, which are found in another way."""
    view = view_of("approx_count_distinct(message) AS n")
    texts = [f"é{i}" for i in range(30_000)]
    states = engine.partial(view, [Record(message=text) for text in texts])
    wanted = registers(texts)
    assert max(wanted.values()) > 13
    assert {row[2]: row[3] for row in rows(states["registers"])} == wanted


def test_registers_merge_to_the_highest_rank(engine: Engine) -> None:
    view = view_of("approx_count_distinct(message) AS n")
    texts = [f"{i}" for i in range(20_000)]
    parts = [engine.partial(view, [Record(message=text) for text in texts[cut::2]]) for cut in (0, 1)]
    assert {row[2]: row[3] for row in rows(engine.merge(view, *parts)["registers"])} == registers(texts)


def test_any_key_of_extra_can_be_read(engine: Engine) -> None:
    keys = ["a", "a.b", "a/b", "a~b", "~1", "~0", "$.a", "/a", "it's", "*", "0", "ünï", "a b", 'say "x"', "[0]"]
    quoted = [key.replace("'", "''") for key in keys]
    columns = ", ".join(f"max(extra['{key}']) AS c{i}" for i, key in enumerate(quoted))
    record = Record(extra={key: f"value of {key}" for key in keys})
    view = view_of(columns)
    ((_, *got),) = rows(engine.finalize(view, engine.partial(view, [record])))
    assert got == [f"value of {key}" for key in keys]


def test_values_of_extra_are_text(engine: Engine) -> None:
    """Of an object that is not one, and of a field that is not there: NULL."""
    view = view_of("extra['x'] AS x, extra['x']['y'] AS y, count(*) AS n")
    values = ["a", 5, 2.5, True, None, {"y": [1, "z"]}, ["y"]]
    records = [Record(extra={"x": value}) for value in values] + [Record(extra={}), Record(extra=None)]
    got = {row[1:3] for row in rows(engine.finalize(view, engine.partial(view, records)))}
    assert got == {
        ("a", None), ("5", None), ("2.5", None), ("true", None), (None, None), ('{"y":[1,"z"]}', '[1,"z"]'), ('["y"]', None),
    }  # fmt: skip


def test_casts_give_null_where_they_cannot(engine: Engine) -> None:
    view = view_of(
        "extra['x'] AS x, CAST(extra['x'] AS INTEGER) AS i, extra['x']::DECIMAL(6,2) AS d, "
        "CAST(TRY_CAST(extra['x'] AS BIGINT) AS VARCHAR) AS t, count(*) AS n"
    )
    wanted = {
        "5": (5, Decimal("5.00"), "5"),
        "-7": (-7, Decimal("-7.00"), "-7"),
        "2.6": (None, Decimal("2.60"), None),
        "1e2": (None, Decimal("100.00"), None),
        ".5": (None, Decimal("0.50"), None),
        "99999": (99999, None, "99999"),
        "123456789012345678": (123456789012345678, None, "123456789012345678"),
        "1234567890123456789": (None, None, None),
        "": (None, None, None),
        "x": (None, None, None),
        "nan": (None, None, None),
        "1e400": (None, None, None),
        "1_000": (None, None, None),
        " 5": (None, None, None),
    }
    records = [Record(extra={"x": text}) for text in wanted]
    got = {row[1]: row[2:5] for row in rows(engine.finalize(view, engine.partial(view, records)))}
    assert got == wanted


@pytest.mark.parametrize("q", ["0.01", "0.5", "0.9", "0.99", "0.999"])
def test_quantiles_are_within_one_percent(engine: Engine, q: str) -> None:
    view = view_of(f"quantile(response_ms, {q}) AS p")
    values = sorted(Decimal(i * i * 37 % 1_000_003 + 1000).scaleb(-3) for i in range(2_000))
    ((_, got),) = rows(engine.finalize(view, engine.partial(view, [Record(response_ms=v) for v in values])))
    rank = -int(-(Decimal(q) * len(values)) // 1)
    true = values[rank - 1]
    assert abs(Decimal(got) - true) <= true / 100


def test_sums_pass_sixty_four_bits(engine: Engine) -> None:
    view = PLANS[KEYLESS.sql]
    assert view.scalars[0].sql_type == "DECIMAL(38,0)"
    everything = PLANS[EVERYTHING.sql]
    records = [Record(response_ms=HUGE) for _ in range(30)]
    (row,) = rows(engine.finalize(everything, engine.partial(everything, records)))
    assert row[[o.name for o in everything.outputs].index("total")] == HUGE * 30


def test_only_the_columns_asked_for_are_computed(engine: Engine) -> None:
    view = PLANS[EVERYTHING.sql]
    states = engine.partial(view, EDGES)
    whole = engine.finalize(view, states)
    for wanted in (["N", "p99"], ["visitors"], ["mean"], []):
        names = [o.name for o in view.outputs if o.kind in ("window", "key") or o.name in {w.lower() for w in wanted}]
        assert engine.finalize(view, states, columns=wanted).equals(whole.select(names))
    scalars_alone = {"scalars": states["scalars"]}
    assert engine.finalize(view, scalars_alone, columns=["mean"]).num_rows == whole.num_rows
    with pytest.raises(Invalid, match="has no column `nope`") as raised:
        engine.finalize(view, states, columns=["n", "nope"])
    assert "window_start, endpoint" in raised.value.hint
