"""SQL from people: views, streams, filters, and statements of `/v1/query`.

Oracles: an error stands at a place of the text; what compiles is taken by the engine, on an empty table and on a small one.
"""

from __future__ import annotations

import atexit
from decimal import Decimal
from functools import cache
from typing import Any

from tailrace.errors import ViewError
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.serving import catalog
from tailrace.serving.sql.statement import StatementCheck
from tailrace.views import CompiledView, compile_stream, compile_view
from tailrace.views.bind_filter import bind_filter
from tailrace.views.dialects.duckdb.expression import print_expression
from tailrace.views.record_filter import bind_record_filter
from tests.fuzz.target import Target, attempted, text_of
from tests.views.rig import Engine, Record, empty_states, table

_RECORDS = (
    Record(at_us=0),
    Record(1_795_341_600_000_000, "shop", "/a", "GET", 200, Decimal("41.400"), "10.0.0.1", "info", "t", "m"),
    Record(-1, "", "/\u00e9'\"", "x" * 40, -(2**31), Decimal("999999999999999.999"), "::1", "-1", "1e400", "NaN"),
)


@cache
def engine() -> Engine:
    return Engine()


@cache
def records() -> Any:
    return table(_RECORDS)


@cache
def shipped() -> CompiledView:
    return compile_view(dict(catalog.shipped_views())["endpoint_health"], DEFAULT_FIELDS)


def placed(text: str, run: Any) -> Any:
    """What `run` gives; an error of a view must stand inside the text."""
    found, error = attempted(run, ViewError)
    if error is None:
        return found
    lines = text.split("\n")
    assert 1 <= error.line <= len(lines), (error.line, text)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1, (error.column, text)
    raise error


def run_view(data: bytes) -> None:
    text = text_of(data)
    view: CompiledView = placed(text, lambda: compile_view(text, DEFAULT_FIELDS))
    assert compile_view(view.sql, DEFAULT_FIELDS).version == view.version
    states = engine().partial(view, records())
    merged = engine().merge(view, states, empty_states(view))
    answer = engine().finalize(view, merged)
    assert answer.column_names == [column.name for column in (*view.keys, *view.outputs)] or answer.num_columns


def run_stream(data: bytes) -> None:
    text = text_of(data)
    stream = placed(text, lambda: compile_stream(text, DEFAULT_FIELDS))
    runs_on_records(stream.condition)
    again = compile_stream(stream.definition, DEFAULT_FIELDS)
    assert again.condition == stream.condition


def runs_on_records(condition: Any) -> None:
    found = engine().run(f"SELECT * FROM source AS r WHERE {print_expression(condition)}", source=records())
    assert found.num_rows <= len(_RECORDS)


def run_record_filter(data: bytes) -> None:
    text = text_of(data)
    runs_on_records(placed(text, lambda: bind_record_filter(text, DEFAULT_FIELDS)))


def run_view_filter(data: bytes) -> None:
    text = text_of(data)
    placed(text, lambda: bind_filter(shipped(), text))
    engine().finalize(shipped(), empty_states(shipped()), where=text)


@cache
def check() -> StatementCheck:
    return StatementCheck()


def run_statement(data: bytes) -> None:
    statement = check().check(text_of(data))
    assert statement.query
    assert all(name == name.lower() for name in statement.names)


_FUNCTIONS = (
    b"count(*)", b"sum(response_ms)", b"quantile(response_ms, 0.99)", b"approx_count_distinct(ip)", b"max(status, 3)",
    b"first(message)", b"stddev(status)", b"count(*) FILTER (WHERE status >= 500)", b"CASE WHEN ", b" THEN ",
    b" ELSE ", b" END", b"CAST(", b" AS ", b"TRY_CAST(", b"time_bucket(INTERVAL '1 minute', timestamp)",
    b"network(ip)", b"extra->>'$.a'", b" IN (", b" LIKE ", b" IS NULL", b" BETWEEN ", b" AND ", b" NOT ", b"'", b'"',
    b"--", b"/*", b"*/", b"::", b"$$", b"\\", b"[", b"{", b"coalesce(", b"lower(", b"substr(", b"DATE '2026-01-01'",
    b"1e400", b"99999999999999999999", b"||", b" % ", b" / ", b"regexp_matches(", b";", b"?", b"$1", b"@", b"#",
    b"\x00",
)  # fmt: skip
for _kept in (engine, check):
    atexit.register(_kept.cache_clear)  # DuckDB's binding wants to be let go before the interpreter ends
_VIEW = (
    b"CREATE VIEW v AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, endpoint, status // 100 AS class,\n"
    b"  count(*) AS n, avg(response_ms) AS a, quantile(response_ms, 0.99) AS q, approx_count_distinct(ip) AS d\n"
    b"FROM logs WHERE endpoint IS NOT NULL AND status BETWEEN 200 AND 599 GROUP BY ALL"
)
_CONDITIONS = (
    b"endpoint = '/a' AND status >= 500", b"(method IN ('GET', 'POST') OR endpoint LIKE '/a%') AND NOT status < 3",
    b"CASE WHEN status > 1 THEN endpoint ELSE method END = lower('A') -- x",
)  # fmt: skip
TARGETS = (
    Target(
        "view",
        "CREATE VIEW: what compiles runs, and compiles to the same again",
        run_view,
        (
            _VIEW,
            b"CREATE OR REPLACE VIEW x AS SELECT time_bucket(INTERVAL '1 hour', timestamp) w, max(status, 3) m, first(message) f, "
            b"stddev(response_ms) s FROM logs GROUP BY 1",
        ),
        _FUNCTIONS,
    ),
    Target(
        "stream",
        "CREATE STREAM",
        run_stream,
        tuple(b"CREATE STREAM s AS SELECT * FROM logs WHERE " + c for c in _CONDITIONS),
        _FUNCTIONS,
    ),
    Target(
        "record_filter",
        "where= of the tail",
        run_record_filter,
        (*_CONDITIONS, b"response_ms * 2 + status > 5.5", b"timestamp > TIMESTAMP '2026-01-01'"),
        _FUNCTIONS,
    ),
    Target(
        "view_filter",
        "where= of a view",
        run_view_filter,
        (b"endpoint = '/login'", b"endpoint IN ('a', 'b') OR endpoint IS NULL"),
        _FUNCTIONS,
    ),
    Target(
        "statement",
        "statements of /v1/query",
        run_statement,
        (
            b"SELECT count(*) FROM logs WHERE status = 200 GROUP BY ALL",
            b"WITH a AS (SELECT 1 x) SELECT * FROM a JOIN logs USING (x)",
            b"EXPLAIN ANALYZE SELECT 1",
            b"SHOW TABLES",
            b"DESCRIBE logs",
            b"FROM range(3) SELECT [x for x in [1]], {'a': 1}",
            b"PIVOT logs ON status USING count(*)",
            b"COPY logs TO 'x'",
            b"SELECT * FROM read_csv('x')",
        ),
        (
            *_FUNCTIONS,
            b"read_text(",
            b"ATTACH ",
            b"PRAGMA ",
            b"UNION ALL ",
            b"(SELECT ",
            b"RECURSIVE ",
            b"LATERAL ",
            b"SUMMARIZE ",
            b"UNPIVOT ",
            b"SET ",
        ),
    ),
)
