"""`top_key`: the n largest values of one key, all other values merged into one, the other keys kept. Exact: nothing is lost or made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import duckdb
import pytest

from tailrace.errors import Invalid
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView, compile_view, shipped_views
from tailrace.views.dialects.duckdb import finalize_statement, partial_statements

Row = tuple[str | None, int | None]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


@pytest.fixture
def view() -> CompiledView:
    return compile_view(dict(shipped_views())["status_by_endpoint"], DEFAULT_FIELDS)


def ask(
    connection: duckdb.DuckDBPyConnection, view: CompiledView, lines: list[Row], n: int, **options: object
) -> list[tuple[object, ...]]:
    """Rows of the top `n` endpoints over `lines`, one a second from the same instant on."""
    connection.execute(
        'CREATE OR REPLACE TABLE logs ("timestamp" TIMESTAMPTZ, service TEXT, endpoint TEXT, method TEXT, status INTEGER, '
        "response_ms DECIMAL(18,3), ip TEXT, level TEXT, trace_id TEXT, message TEXT, extra TEXT)"
    )
    for second, (endpoint, status) in enumerate(lines):
        connection.execute(
            'INSERT INTO logs ("timestamp", endpoint, status) VALUES (make_timestamptz($1), $2, $3)',
            [1_760_000_000_000_000 + second * 1_000_000, endpoint, status],
        )
    for table, statement in partial_statements(view, "logs").items():
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS {statement}")
    statement = finalize_statement(
        view, scalars="scalars", bins=None, registers=None, top=("requests", n), top_key="endpoint", **options
    )
    return [tuple(row.values()) for row in connection.sql(statement).to_arrow_table().to_pylist()]


LINES: list[Row] = [
    *[("/a", 200)] * 30, *[("/a", 503)] * 2, *[("/b", 200)] * 9, ("/b", None), *[("/c", 200)] * 4, *[("/c", 404)] * 3, ("/d", 503),
    *[(None, 200)] * 2,
]  # fmt: skip


def test_others_keep_their_status(connection: duckdb.DuckDBPyConnection, view: CompiledView) -> None:
    rows = ask(connection, view, LINES, 2, total=True)
    assert [row[1:] for row in rows] == [
        ("/a", 200, 30, 0), ("/a", 503, 2, 0), ("/b", 200, 9, 0), ("/b", None, 1, 0),
        (None, 200, 6, 3), (None, 404, 3, 3), (None, 503, 1, 3),
    ]  # fmt: skip


def test_lines_without_the_key_can_be_among_the_largest(
    connection: duckdb.DuckDBPyConnection, view: CompiledView
) -> None:
    rows = ask(connection, view, [*[(None, 200)] * 5, ("/a", 200), ("/b", 500)], 1, total=True)
    assert [row[1:] for row in rows] == [(None, 200, 5, 0), (None, 200, 1, 2), (None, 500, 1, 2)]


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_no_line_is_lost_at_any_n_in_any_window(
    connection: duckdb.DuckDBPyConnection, view: CompiledView, n: int
) -> None:
    rows = ask(connection, view, LINES, n)
    by_status: Counter[object] = Counter()
    for _, _, status, requests, _ in rows:
        by_status[status] += requests
    assert by_status == Counter(status for _, status in LINES)
    assert {row[0] for row in rows} == {row[0] for row in ask(connection, view, LINES, 50)}


def test_a_key_that_the_view_lacks_is_refused(connection: duckdb.DuckDBPyConnection, view: CompiledView) -> None:
    with pytest.raises(Invalid, match="has no key `service`"):
        finalize_statement(view, scalars="s", bins=None, registers=None, top=("requests", 2), top_key="service")
