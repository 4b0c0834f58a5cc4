"""Streams: what they say, what they refuse, and that a view over one is the view over `logs` with its condition."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings

from tailrace.errors import ViewError
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledStream, CompiledView, compile_stream, compile_view
from tailrace.views.stream import CHAIN_MAX, Streams, Unusable, link_streams, parse_stream_text
from tests.views.rig import Engine, Record, by_key
from tests.views.samples import batches

WINDOW = "time_bucket(INTERVAL '10 seconds', timestamp) AS w"


def linked(*texts: str) -> Streams:
    return link_streams([parse_stream_text(text, DEFAULT_FIELDS) for text in texts])


def stream(name: str, condition: str, reads: str = "logs") -> str:
    return f"CREATE STREAM {name} AS SELECT * FROM {reads} WHERE {condition}"


def over(reads: str, streams: Streams, where: str = "") -> CompiledView:
    columns = "status IS DISTINCT FROM 404 AS found, endpoint, count(*) AS n, sum(response_ms) AS t"
    sql = f"CREATE VIEW v AS SELECT {WINDOW}, {columns} FROM {reads} {where}\nGROUP BY ALL -- the end"
    return compile_view(sql, DEFAULT_FIELDS, streams)


SLOW = stream("slow", "response_ms > 100 OR status >= 500 -- or failed\n")
STREAMS = linked(
    "-- a comment /* in it\n" + SLOW,
    stream("slow_a", "lower(endpoint) = '/a' AND status <> 404", "slow") + ";",
    "CREATE OR REPLACE STREAM Slow_Service AS SELECT * FROM Slow_A WHERE extra['x'] IS NULL AND service = 'GROUP BY; WHERE'",
)
SAME = [
    ("slow", "", "WHERE response_ms > 100 OR status >= 500"),
    (
        "SLOW",
        "WHERE status > 3 OR ip IS NULL -- c\n",
        "WHERE (response_ms > 100 OR status >= 500) AND (status > 3 OR ip IS NULL)",
    ),
    ("slow_a", "", "WHERE (response_ms > 100 OR status >= 500) AND (lower(endpoint) = '/a' AND status <> 404)"),
    (
        "slow_service",
        "WHERE method = 'GET'",
        "WHERE (response_ms > 100 OR status >= 500) AND (lower(endpoint) = '/a' AND status <> 404) "
        "AND (extra['x'] IS NULL AND service = 'GROUP BY; WHERE') AND (method = 'GET')",
    ),
]


@pytest.mark.parametrize(("reads", "where", "same"), SAME)
def test_a_view_over_a_stream_is_a_view_over_logs(reads: str, where: str, same: str) -> None:
    view, plain = over(reads, STREAMS, where), over("logs", {}, same)
    assert view.version == plain.version
    assert (view.reads, plain.reads) == (reads.lower(), "logs")
    assert plain.definition == plain.sql
    assert "FROM " + reads in view.sql
    alone = compile_view(view.definition, DEFAULT_FIELDS)
    assert (alone.version, alone.reads) == (view.version, "logs")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=batches())
def test_streams_divide_the_records(engine: Engine, records: list[Record]) -> None:
    """What fulfils a condition, what does not, and what it is NULL for, together are all; none is in two."""
    parts = linked(
        stream("yes", "status >= 500"), stream("no", "NOT status >= 500"), stream("unknown", "(status >= 500) IS NULL")
    )
    states = [engine.partial(over(name, parts), records) for name in parts]
    whole = over("logs", {})
    assert by_key(engine.merge(whole, *states)) == by_key(engine.merge(whole, engine.partial(whole, records)))


def test_another_condition_is_another_version() -> None:
    one, two = (over("s", linked(stream("s", f"status > {n}"))) for n in (1, 2))
    assert one.sql == two.sql
    assert one.version != two.version


def test_a_definition_compiles_by_itself() -> None:
    for found in STREAMS.values():
        assert isinstance(found, CompiledStream)
        alone = compile_stream(found.definition, DEFAULT_FIELDS)
        assert (alone.name, alone.condition) == (found.name, found.condition)


def problem(streams: Streams, name: str) -> tuple[str, str]:
    found = streams[name]
    assert isinstance(found, Unusable)
    return found.reason, found.hint


def test_what_is_missing_is_named() -> None:
    streams = linked(stream("a", "status > 1", "sloww"), stream("b", "status > 1", "a"), SLOW)
    assert problem(streams, "a") == (
        "there is no stream `sloww`",
        "did you mean `slow`?",
    )
    assert problem(streams, "b")[0] == "its source `a` cannot be read: there is no stream `sloww`"
    with pytest.raises(ViewError, match="stream `b` cannot be read: its source `a` cannot be read: there is no stream"):
        over("b", streams)
    with pytest.raises(ViewError, match="there is no stream `nothing`"):
        over("nothing", streams)


def test_streams_in_a_circle_are_named() -> None:
    streams = linked(
        stream("a", "status > 1", "b"), stream("b", "status > 1", "c"), stream("c", "status > 1", "a"),
        stream("d", "status > 1", "d"), stream("e", "status > 1", "b"), SLOW,
    )  # fmt: skip
    for name in "abc":
        assert problem(streams, name)[0] == "it reads itself: a -> b -> c -> a"
    assert problem(streams, "d") == ("it reads itself: d -> d", "let it read `logs`")
    assert problem(streams, "e")[0].startswith("its source `b` cannot be read: it reads itself")
    assert isinstance(streams["slow"], CompiledStream)


def test_a_chain_of_streams_is_bounded() -> None:
    names = ["logs", *(f"s{i}" for i in range(CHAIN_MAX * 3))]
    texts = [stream(name, "status > 1", reads) for reads, name in pairwise(names)]
    streams = linked(*reversed(texts))
    assert "streams read one another" in problem(streams, names[-1])[0]


def test_a_view_that_grows_too_long_by_its_stream_says_so() -> None:
    streams = linked(stream("long", f"message <> '{'x' * 49_000}'"))
    with pytest.raises(ViewError, match="with the conditions of stream `long`") as raised:
        over("long", streams, f"WHERE message <> '{'y' * 2_000}'")
    assert (raised.value.line, raised.value.column) == (1, 167)


REFUSED = [
    ("CREATE STREAM", 14, "the stream's name is missing", "write `CREATE STREAM"),
    ("CREATE STREAM logs AS SELECT * FROM logs WHERE status > 1", 15, "`logs` is taken", "another name"),
    ("CREATE STREAM s SELECT 1", 17, "expected AS after the stream's name", "write `CREATE STREAM"),
    ("CREATE STREAM s AS SELECT * FROM logs", 38, "the condition is missing", "add WHERE"),
    ("CREATE STREAM s AS SELECT endpoint FROM logs WHERE status > 1", 27, "a stream has all columns", "SELECT *"),
    ("CREATE STREAM s AS SELECT *, ip FROM logs WHERE status > 1", 30, "a stream has all columns", "SELECT *"),
    ("CREATE STREAM s AS SELECT * EXCLUDE (ip) FROM logs WHERE true", 27, "a stream has all columns", "SELECT *"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE status", 45, "a condition is needed", "compare it"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE stats > 1", 45, "no field `stats`", "`status`"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE random() > 1", 45, "not deterministic", "chance"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE count(*) > 1", 45, "cannot stand inside", ""),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE status IN (SELECT 1)", 56, "a subquery", "record by record"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE status > 1 GROUP BY ALL", 56, "GROUP BY is not supported", "in a view over it"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE status > 1 ORDER BY 1", 56, "ORDER BY is not supported", "in a view over it"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE status > 1 LIMIT 1", 56, "LIMIT is not supported", "in a view over it"),
    ("CREATE STREAM s AS SELECT DISTINCT * FROM logs WHERE status > 1", 27, "DISTINCT is not supported", "in a view over it"),
    ("CREATE STREAM s AS SELECT * FROM logs, x WHERE status > 1", 38, "a join is not supported", "in a view over it"),
    ("CREATE STREAM s AS SELECT * FROM logs l WHERE status > 1", 39, "another name", "FROM logs"),
    ("CREATE STREAM s AS SELECT * FROM main.logs WHERE status > 1", 34, "only `logs` or a stream", "FROM logs"),
    ("CREATE STREAM s AS SELECT * FROM logs WHERE true; SELECT 1", 51, "one statement", "the next stream"),
    ("CREATE STREAM s AS SELECT 1 UNION SELECT 2", 20, "a single SELECT", "one SELECT over logs"),
    ("CREATE STREAM s AS SELECT * FROM s WHERE true", 34, "it reads itself: s -> s", "`logs`"),
    ("CREATE VIEW s AS SELECT 1", 8, "a stream starts with CREATE STREAM", "write `CREATE STREAM"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "column", "message", "hint"), REFUSED)
def test_refused(sql: str, column: int, message: str, hint: str) -> None:
    with pytest.raises(ViewError) as raised:
        compile_stream(sql, DEFAULT_FIELDS)
    assert (raised.value.line, raised.value.column) == (1, column), raised.value.message
    assert message in raised.value.message
    assert hint in raised.value.hint
