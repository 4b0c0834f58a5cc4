"""A query's `where`: conditions on key columns, and nothing that could reach further."""

from __future__ import annotations

import pytest

from tailrace.errors import Invalid, ViewError
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import compile_view
from tailrace.views.dialects.duckdb import finalize_statement
from tests.views.rig import Engine, Record, rows

VIEW = compile_view(
    "CREATE VIEW v AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, endpoint, status AS code, "
    "response_ms > 100 AS slow, count(*) AS n, quantile(response_ms, 0.5) AS p, approx_count_distinct(ip) AS d "
    "FROM logs GROUP BY ALL",
    DEFAULT_FIELDS,
)
RECORDS = [
    Record(endpoint=endpoint, status=status, ip="10.0.0.1")
    for endpoint in ("/a", "/A", "it's", None)
    for status in (200, 503, None)
]


def endpoints(engine: Engine, where: str) -> list[tuple[str | None, int | None]]:
    table = engine.finalize(VIEW, engine.partial(VIEW, RECORDS), where=where)
    assert all(n == 1 and d == 1 for n, d in rows(table.select(["n", "d"])))
    return [(endpoint, code) for endpoint, code in rows(table.select(["endpoint", "code"]))]


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        ("endpoint = '/a'", lambda e, c: e == "/a"),
        ("ENDPOINT = '/a' AND code = 503", lambda e, c: e == "/a" and c == 503),
        ("\"endpoint\" = 'it''s'", lambda e, c: e == "it's"),
        ("endpoint IS NULL OR code IS NULL", lambda e, c: e is None or c is None),
        ("lower(endpoint) = '/a'", lambda e, c: e in ("/a", "/A")),
        ("endpoint IN ('/a', '/A') AND NOT code BETWEEN 500 AND 599", lambda e, c: e in ("/a", "/A") and c == 200),
        ("code // 100 = 5 -- a comment", lambda e, c: c == 503),
        ("slow IS NULL", lambda e, c: True),
        ("NULL", lambda e, c: False),
        ("endpoint LIKE '/%'", lambda e, c: e in ("/a", "/A")),
    ],
)
def test_keeps(engine: Engine, where: str, keeps: object) -> None:
    wanted = {(r.endpoint, r.status) for r in RECORDS if keeps(r.endpoint, r.status)}  # type: ignore[operator]
    got = endpoints(engine, where)
    assert len(got) == len(wanted)
    assert set(got) == wanted


@pytest.mark.parametrize(
    ("where", "column", "message"),
    [
        ("status = 500", 1, "view `v` cannot be filtered by `status`"),
        ("endpoint = '/a' AND n > 3", 21, "cannot be filtered by `n`"),
        ("w > 3", 1, "cannot be filtered by `w`"),
        ("extra['x'] = 'a'", 1, "cannot be filtered by `extra`"),
        ("window_start IS NULL", 1, "cannot be filtered by `window_start`"),
        ("logs.s0 > 1", 1, "cannot be filtered by `s0`"),
    ],
)
def test_what_keys_cannot_answer_is_sent_to_the_records(where: str, column: int, message: str) -> None:
    with pytest.raises(ViewError) as raised:
        finalize_statement(VIEW, scalars="s", bins="b", registers="r", where=where)
    assert (raised.value.line, raised.value.column) == (1, column)
    assert message in raised.value.message
    assert "POST /v1/query" in raised.value.hint


@pytest.mark.parametrize(
    "where",
    [
        "",
        "  ",
        "-- nothing",
        "endpoint",
        "endpoint = ",
        "endpoint = '/a'; DROP TABLE s",
        "endpoint = '/a') OR (1 = 1",
        "1 = 1 UNION SELECT 1",
        "EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))",
        "endpoint IN (SELECT file FROM glob('/*'))",
        "(SELECT 1) = 1",
        "getenv('HOME') = 'x'",
        "count(*) > 1",
        "row_number() OVER () = 1",
        "endpoint = ?",
        "endpoint = $1",
        "*",
        "code / 2 = 1",
        "now() IS NULL",
        "random() < 0.5",
        "endpoint = 'a",
        "endpoint /* = 'a'",
        "(" * 100 + "code = 1" + ")" * 100,
        "NOT " * 2_000 + "slow",
        "endpoint = '" + "x" * 60_000 + "'",
        "endpoint = '\0'",
        "regexp_matches(endpoint, '(')",
        "SELECT 1",
        "COLUMNS('x') = 1",
        "endpoint COLLATE nocase = '/a'",
    ],
)
def test_refused(where: str) -> None:
    with pytest.raises(Invalid):
        finalize_statement(VIEW, scalars="s", bins="b", registers="r", where=where)


def test_text_is_printed_anew() -> None:
    """What stands in the statement comes from the checked expression, not from the request."""
    statement = finalize_statement(
        VIEW, scalars="s", bins="b", registers="r", where="/* hi */ endpoint   =   'x'' OR 1=1 --' -- bye"
    )
    assert "hi" not in statement
    assert "bye" not in statement
    assert """(r."endpoint" = 'x'' OR 1=1 --')""" in statement


@pytest.mark.parametrize("step_us", [0, -10_000_000, 1, 15_000_000])
def test_a_step_that_is_no_multiple_is_refused(step_us: int) -> None:
    with pytest.raises(Invalid, match="not a multiple") as raised:
        finalize_statement(VIEW, scalars="s", bins="b", registers="r", step_us=step_us)
    assert raised.value.hint == "use a multiple of 10s"


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(Invalid, match="limit"):
        finalize_statement(VIEW, scalars="s", bins="b", registers="r", limit=-1)
