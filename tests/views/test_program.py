"""The fused statements give the states of the plain ones, row for row, for any set of views and any form of the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView, compile_view, shipped_views
from tailrace.views.dialects.duckdb import schemas
from tailrace.views.dialects.duckdb.coding import encode
from tailrace.views.dialects.duckdb.engine import open_engine
from tailrace.views.dialects.duckdb.program import PartialProgram
from tests.views.rig import SECOND_US, Engine, Record, by_key, empty_states, table
from tests.views.samples import ALL, batches

WINDOW = "time_bucket(INTERVAL '10 seconds', timestamp) AS w"

# Each reaches something that no other view here does: a key made of two columns, one of extra, one that is not text, a filter on
# text, on text and a number, on NULL; the same key twice; names that could clash with the statement's own.
MORE = [
    f"CREATE VIEW two_columns AS SELECT {WINDOW}, service || endpoint AS both, count(*) AS x FROM logs GROUP BY ALL",
    f"CREATE VIEW in_extra AS SELECT {WINDOW}, lower(extra['x']) AS k0, endpoint AS w2, max(status) AS u0 FROM logs GROUP BY ALL",
    f"CREATE VIEW boolean_key AS SELECT {WINDOW}, endpoint LIKE '/a%' AS a, status // 100 AS g, count(*) AS n FROM logs GROUP BY ALL",
    f"CREATE VIEW filtered AS SELECT {WINDOW}, endpoint, count(*) AS n, quantile(status, 0.5) AS p FROM logs "
    "WHERE lower(endpoint) = '/a' OR status > 300 GROUP BY ALL",
    f"CREATE VIEW null_is_a_value AS SELECT {WINDOW}, coalesce(upper(ip), 'none') AS ip, approx_count_distinct(coalesce(ip, '')) AS n, "
    "min(lower(endpoint)) AS e FROM logs WHERE endpoint IS NULL OR endpoint <> '/A' GROUP BY ALL",
    f"CREATE VIEW twice AS SELECT {WINDOW}, endpoint AS e1, endpoint AS e2, sum(response_ms) AS n, "
    "count(endpoint) AS c FROM logs GROUP BY ALL",
    f"CREATE VIEW all_visitors AS SELECT {WINDOW}, approx_count_distinct(ip) AS n FROM logs GROUP BY ALL",
    f"CREATE VIEW numbers AS SELECT {WINDOW}, endpoint, approx_count_distinct(response_ms) AS n FROM logs GROUP BY ALL",
    f"CREATE VIEW mixed AS SELECT {WINDOW}, status, "
    "approx_count_distinct(ip) AS a, approx_count_distinct(status) AS b FROM logs GROUP BY ALL",
]
VIEWS = [
    compile_view(sql, DEFAULT_FIELDS)
    for sql in (*(sql for _, sql in shipped_views()), *(plain.sql for plain in ALL), *MORE)
]


@pytest.fixture(scope="module")
def together() -> Iterator[PartialProgram]:
    with open_engine() as connection:
        yield PartialProgram(VIEWS, connection)


def assert_same(program: PartialProgram, engine: Engine, records: pa.Table, views: Sequence[CompiledView]) -> None:
    states = program.run(records)
    assert states.keys() == {view.version for view in views}
    for view in views:
        got = states[view.version]
        assert {name: of.schema for name, of in got.items()} == schemas(view), view.name
        assert by_key(got) == by_key(engine.partial(view, records)), view.name


def dictionary_coded(records: pa.Table) -> pa.Table:
    """All text as dictionaries, which hold a text twice, a NULL, and a text that no row has."""
    coded = {}
    for name in records.column_names:
        column = records[name].combine_chunks()
        if pa.types.is_string(column.type):
            texts = column.dictionary_encode()
            again = pa.concat_arrays([pa.array(["unused", None], pa.string()), texts.dictionary, texts.dictionary])
            second = len(texts.dictionary)
            indices = [
                None if i is None else i + 2 + second * (row % 2) for row, i in enumerate(texts.indices.to_pylist())
            ]
            column = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), again)
        coded[name] = column
    return pa.table(coded)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=batches(16), form=st.sampled_from(["plain", "coded", "in pieces", "a slice"]))
@example(records=[], form="plain")
@example(records=[], form="coded")
@example(records=[Record()], form="coded")
def test_all_views_together(together: PartialProgram, engine: Engine, records: list[Record], form: str) -> None:
    whole = table(records)
    match form:
        case "coded":
            whole = dictionary_coded(whole)
        case "in pieces":
            middle = len(records) // 2
            whole = pa.concat_tables([whole.slice(0, middle), whole.slice(middle)])
        case "a slice":
            whole = whole.slice(len(records) // 3)
    assert_same(together, engine, whole, VIEWS)


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: v.name)
def test_each_view_alone(engine: Engine, view: CompiledView) -> None:
    records = [
        Record(at_us=i * 7 * SECOND_US, endpoint=e, status=s, ip=ip, service="s", extra=None if i % 3 else {"x": "A"})
        for i, (e, s, ip) in enumerate(
            (e, s, ip)
            for e in ("/a", "/A", None)
            for s in (200, 503, None)
            for ip in ("10.0.0.1", "10.0.0.2", "::1", None)
        )
    ]
    with open_engine() as connection:
        assert_same(PartialProgram([view], connection), engine, table(records), [view])


def test_a_large_batch(together: PartialProgram, engine: Engine) -> None:
    """Groups that really meet when they are rolled up: equal buckets with other counts, equal registers with other ranks."""
    records = [
        Record(
            at_us=i % 3 * 7 * SECOND_US,
            endpoint=f"/{i % 7}",
            status=(200, 404, 503)[i % 3],
            response_ms=Decimal(i * i % 211),
            ip=f"10.{i % 5}.{i % 97}.{i % 251}",
        )
        for i in range(20_000)
    ]
    assert_same(together, engine, table(records), VIEWS)


def test_a_program_holds_nothing_between_batches(together: PartialProgram) -> None:
    first, second = table([Record(endpoint="/a")] * 3), table([Record(endpoint="/b", status=500)])
    once = together.run(second)
    together.run(first)
    again = together.run(second)
    for view in VIEWS:
        assert by_key(again[view.version]) == by_key(once[view.version])
    nothing = together.run(table([]))
    assert all(by_key(nothing[v.version]) == by_key(empty_states(v)) for v in VIEWS)


def test_shipped_views_share_their_work() -> None:
    """Nine state tables, five statements: what the cost of the speed layer rests on."""
    with open_engine() as connection:
        program = PartialProgram([compile_view(sql, DEFAULT_FIELDS) for _, sql in shipped_views()], connection)
    fused = sorted(sorted((c.part.view.name, c.part.table) for c in f.cuts) for f in program.fused)
    assert fused == [
        [("endpoint_health", "bins"), ("overall_health", "bins")],
        [("endpoint_health", "registers")],
        [(v, "scalars") for v in ("endpoint_health", "overall_health", "records_by_service", "status_by_endpoint")],
        [("traffic_by_network", "registers")],
        [("traffic_by_network", "scalars")],
    ]


def test_programs_share_a_connection_and_leave_it_clean(engine: Engine) -> None:
    records = table([Record(endpoint="/a", ip="10.0.0.1"), Record(endpoint="/b", status=500)])
    with open_engine() as connection:
        programs = [PartialProgram([view], connection) for view in VIEWS[:3]]
        for program in programs:
            assert_same(program, engine, records, program.views)
        programs[0].close()
        assert_same(programs[1], engine, records, programs[1].views)
        again = PartialProgram(programs[0].views, connection)
        assert_same(again, engine, records, again.views)
        for program in (*programs[1:], again):
            program.close()
        left = "SELECT name FROM duckdb_prepared_statements() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
        assert connection.execute(left).fetchall() == []


@pytest.mark.parametrize("texts", [[], [None], ["a"], ["b", None, "a", "b", None, ""]])
def test_coding_gives_the_texts_back(texts: list[str | None]) -> None:
    column = pa.chunked_array([pa.array(texts, pa.string())])
    odd = pa.DictionaryArray.from_arrays(
        pa.array([None if t is None else ["x", "a", "", "b", "a"].index(t) for t in texts], pa.int8()),
        pa.array(["x", "a", "", "b", "a"]),
    )
    for given_column in (column, column.dictionary_encode(), odd, pa.chunked_array([odd, odd.slice(1)])):
        coded = encode(given_column)
        wanted = given_column.cast(pa.string()).to_pylist()
        assert coded.texts.take(coded.codes).to_pylist() == wanted
        assert coded.codes.null_count == 0
        assert sorted(map(repr, coded.texts.to_pylist())) == sorted(set(map(repr, wanted)))
