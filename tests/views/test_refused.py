"""What cannot be a view is refused at the right place, with what to write instead."""

from __future__ import annotations

import pytest

from tailrace.errors import ViewError
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import compile_view
from tailrace.views.check_mergeable import refused_functions

WINDOW = "time_bucket(INTERVAL '10 seconds', timestamp) AS window_start"


def refusal(sql: str) -> ViewError:
    with pytest.raises(ViewError) as raised:
        compile_view(sql, DEFAULT_FIELDS)
    return raised.value


def view(columns: str, rest: str = "FROM logs\nGROUP BY ALL") -> str:
    """A view whose `columns` are on line 3 from column 3, and whose FROM is on line 4."""
    return f"CREATE VIEW v AS\nSELECT {WINDOW},\n  {columns}\n{rest}"


def windowed(window: str) -> str:
    """A view whose `window` begins at line 1, column 25."""
    return f"CREATE VIEW v AS SELECT {window} AS w, count(*) AS n FROM logs GROUP BY ALL"


STATEMENTS = [
    ("", 1, 1, "starts with CREATE VIEW", "write `CREATE VIEW"),
    ("-- only a comment", 1, 1, "starts with CREATE VIEW", "write `CREATE VIEW"),
    ("SELECT 1", 1, 1, "starts with CREATE VIEW", "write `CREATE VIEW"),
    ("CREATE TABLE t AS SELECT 1", 1, 8, "starts with CREATE VIEW", "write `CREATE VIEW"),
    ("CREATE VIEW", 1, 12, "the view's name is missing", "write `CREATE VIEW"),
    ("CREATE VIEW 1x AS SELECT 1", 1, 13, "`1` cannot be a view's name", "a letter first"),
    ('CREATE VIEW "a b" AS SELECT 1', 1, 13, "`a b` cannot be a view's name", "a letter first"),
    ("CREATE VIEW logs AS SELECT 1", 1, 13, "`logs` is taken", "another name"),
    ("CREATE VIEW v SELECT 1", 1, 15, "expected AS", "write `CREATE VIEW"),
    ("CREATE VIEW v AS", 1, 17, "the SELECT is missing", "write `CREATE VIEW"),
    ("CREATE VIEW v AS INSERT INTO x VALUES (1)", 1, 18, "a single SELECT", "write `CREATE VIEW"),
    ("CREATE VIEW v AS SELECT 1 UNION SELECT 2", 1, 18, "a single SELECT", "one SELECT over logs"),
    ("CREATE VIEW v AS\nSELECT 'abc", 2, 8, "opened and not closed", "doubled"),
    ("CREATE VIEW v AS\nSELECT 'it''s' /* x", 2, 16, "opened and not closed", "close it"),
    ("CREATE VIEW v AS\nSELECT \0", 2, 8, "NUL", "remove it"),
    ("CREATE VIEW v AS SELECT a b c FROM logs", 1, 29, "syntax error near `c`", ""),
    (view("count(* AS n"), 3, 11, "syntax error near `AS`: expecting )", ""),
    (view("sum() AS n"), 3, 7, "syntax error near `)`", ""),
    (view("count(*) AS n") + ";\n\nCREATE VIEW w AS SELECT 1", 7, 1, "a file holds one statement", "a file of its own"),
    (view("(" * 61 + "status" + ")" * 61 + " AS k"), 3, 63, "nested deeper than `60`", ""),
    (view("count(*) AS n", f"FROM logs WHERE {'NOT ' * 500} status = 1"), 1, 1, "too long to parse", "IN (...)"),
    (view(f"count(*) AS n, '{'x' * 50_000}' AS k"), 1, 1, "longer than `50000`", ""),
    (
        "CREATE VIEW v AS WITH x AS (SELECT 1) SELECT count(*) AS n FROM logs GROUP BY ALL",
        1,
        18,
        "WITH is not supported",
        "write the expressions out",
    ),
    ("CREATE VIEW v AS SELECT DISTINCT count(*) AS n FROM logs GROUP BY ALL", 1, 25, "SELECT DISTINCT", "remove"),
]

CLAUSES = [
    ("FROM logs JOIN users ON logs.ip = users.ip GROUP BY ALL", 4, 11, "a join cannot be merged", "/v1/query"),
    ("FROM logs, users GROUP BY ALL", 4, 10, "a join cannot be merged", "/v1/query"),
    ("FROM (SELECT * FROM logs LIMIT 3) GROUP BY ALL", 4, 7, "a subquery", "record by record"),
    ("FROM logs WHERE status IN (SELECT 1) GROUP BY ALL", 4, 28, "a subquery", "record by record"),
    ("FROM logs WHERE EXISTS (SELECT 1) GROUP BY ALL", 4, 25, "a subquery", "record by record"),
    ("FROM users GROUP BY ALL", 4, 6, "there is no stream `users`; views of views", "CREATE STREAM users AS"),
    ("FROM main.logs GROUP BY ALL", 4, 6, "only `logs` or a stream can be read", "FROM logs"),
    ("FROM read_csv('x') GROUP BY ALL", 4, 6, "only `logs` or a stream can be read", "FROM logs"),
    ("FROM logs l GROUP BY ALL", 4, 11, "another name", "FROM logs"),
    ("FROM logs TABLESAMPLE 10% GROUP BY ALL", 4, 11, "a sample is not deterministic", "WHERE"),
    ("", 2, 1, "FROM logs is missing", "FROM logs"),
    ("FROM logs", 4, 10, "GROUP BY is missing", "GROUP BY ALL"),
    ("FROM logs;", 4, 10, "GROUP BY is missing", "GROUP BY ALL"),
    ("FROM logs GROUP BY ALL\nHAVING count(*) > 3", 5, 1, "HAVING cannot be merged", "/v1/query"),
    ("FROM logs GROUP BY ALL\nORDER BY n", 5, 1, "ORDER BY has no meaning", "ordered by window and keys"),
    ("FROM logs GROUP BY ALL\nLIMIT 3", 5, 1, "LIMIT cannot be merged", "`top` or `limit`"),
    ("FROM logs GROUP BY ALL OFFSET 3", 4, 24, "OFFSET cannot be merged", "/v1/query"),
    ("FROM logs QUALIFY endpoint = 'a' GROUP BY ALL", 4, 11, "QUALIFY cannot be merged", "/v1/query"),
    ("FROM logs GROUP BY ROLLUP (endpoint)", 4, 20, "a view has one grouping", "a view for each grouping"),
    ("FROM logs GROUP BY CUBE (endpoint)", 4, 20, "a view has one grouping", "a view for each grouping"),
    ("FROM logs GROUP BY GROUPING SETS ((endpoint), ())", 4, 20, "a view has one grouping", "a view for each"),
    ("FROM logs GROUP BY endpoint", 4, 11, "leaves out `window_start`", "GROUP BY ALL"),
    ("FROM logs GROUP BY 1", 4, 11, "leaves out `endpoint`", "GROUP BY ALL"),
    ("FROM logs GROUP BY 1, 2, status", 4, 26, "not a key of the SELECT", "GROUP BY ALL"),
    ("FROM logs GROUP BY 1, 3", 4, 23, "not a key of the SELECT", "GROUP BY ALL"),
    ("FROM logs GROUP BY 1, 9", 4, 23, "not a key of the SELECT", "GROUP BY ALL"),
    ("FROM logs WHERE now() > timestamp GROUP BY ALL", 4, 17, "`now` depends on when it is asked", "`timestamp`"),
    ("FROM logs WHERE random() < 0.5 GROUP BY ALL", 4, 17, "`random` is not deterministic", "chance"),
    ("FROM logs WHERE status GROUP BY ALL", 4, 17, "a condition is needed, this is integer", "compare it"),
    ("FROM logs WHERE endpont = 'a' GROUP BY ALL", 4, 17, "no field `endpont`", "`endpoint`"),
    ("FROM logs WHERE count(*) > 1 GROUP BY ALL", 4, 17, "`count` cannot stand inside", ""),
    ("FROM logs WHERE timestamp > '2020-01-01' GROUP BY ALL", 4, 17, "text and timestamp", "from= and to="),
]

WINDOWS = [
    (
        "CREATE VIEW v AS SELECT endpoint, count(*) AS n FROM logs GROUP BY ALL",
        18,
        "the time window is missing",
        "add time_bucket",
    ),
    (windowed("date_trunc('minute', timestamp)"), 25, "windows are made with time_bucket", "time_bucket(INTERVAL"),
    (windowed("time_bucket(INTERVAL '7 seconds', timestamp)"), 37, "divides a day", "30 seconds"),
    (windowed("time_bucket(INTERVAL '0 seconds', timestamp)"), 37, "divides a day", "30 seconds"),
    (windowed("time_bucket(INTERVAL '2 days', timestamp)"), 37, "divides a day", "1 day"),
    (windowed("time_bucket(INTERVAL '1 month', timestamp)"), 37, "cannot be a window", "whole seconds"),
    (windowed("time_bucket(INTERVAL '1 week', timestamp)"), 37, "cannot be a window", "whole seconds"),
    (windowed("time_bucket(INTERVAL '500 milliseconds', timestamp)"), 37, "cannot be a window", "whole seconds"),
    (windowed("time_bucket(INTERVAL '1.5 seconds', timestamp)"), 37, "cannot be a window", "whole seconds"),
    (windowed("time_bucket('10 seconds', timestamp)"), 37, "must be an INTERVAL", "INTERVAL '10 seconds'"),
    (windowed("time_bucket(INTERVAL '10 seconds', status)"), 60, "over the field `timestamp`", "timestamp"),
    (
        windowed("time_bucket(INTERVAL '10 seconds', timestamp, TIMESTAMPTZ '2000-01-03')"),
        83,
        "begin at 1970-01-01",
        "origin",
    ),
]

COLUMNS = [
    ("time_bucket(INTERVAL '1 minute', timestamp) AS w", 3, "a second time window", "coarser steps"),
    ("timestamp, count(*) AS n", 3, "a timestamp cannot be a key", "time_bucket"),
    ("endpoint", -8, "the view has no aggregate", "count(*) AS requests"),
    ("*", 3, "`*` cannot be used", "name the keys"),
    ("logs.*", 3, "`*` cannot be used", "name the keys"),
    ("count(*)", 3, "an aggregate needs a name", "count(*) AS name"),
    ("lower(endpoint), count(*) AS n", 3, "a key that is an expression needs a name", "AS name"),
    ("count(*) AS n, count(*) AS N", 30, "two columns `N`", "another name"),
    ("endpoint AS window_start, count(*) AS n", 15, "two columns `window_start`", "another name"),
    ("endpoint AS agg, count(*) AS n", 15, "cannot be called `agg`", "AS"),
    ("endpoint AS S12, count(*) AS n", 15, "cannot be called `S12`", "AS"),
    ('endpoint AS "a b", count(*) AS n', 15, "`a b` cannot be a column's name", "letters"),
    ("count(*) AS _n", 15, "`_n` cannot be a column's name", "letters"),
    ("1 AS one, count(*) AS n", 3, "a key must depend on a field", "leave the constant out"),
    ("1 = 1 AS one, count(*) AS n", 3, "a key must depend on a field", "leave the constant out"),
    ("endpont, count(*) AS n", 3, "there is no field `endpont`", "did you mean `endpoint`"),
    ("user_agent, count(*) AS n", 3, "there is no field `user_agent`", "extra['user_agent']"),
    ("endpoint AS e, count(*) FILTER (WHERE e = 'a') AS n", 41, "there is no field `e`", "repeat its expression"),
    ("extra, count(*) AS n", 3, "`extra` as a whole", "extra['key']"),
    ("extra.user, count(*) AS n", 3, "no table `extra`", "extra['key']"),
    ("users.endpoint, count(*) AS n", 3, "no table `users`", "leave the table out"),
    ("extra->'a' AS k, count(*) AS n", 3, "`->` gives JSON", "extra->>'key'"),
    ("extra->>'$.a' AS k, count(*) AS n", 3, "paths are not supported", "extra['a']['b']"),
    ("extra->>endpoint AS k, count(*) AS n", 3, "a key in quotes is needed", "extra->>'user_agent'"),
    ("extra[1] AS k, count(*) AS n", 3, "a key in quotes is needed", "extra['user_agent']"),
    ("endpoint['a'] AS k, count(*) AS n", 3, "only `extra` holds further values", "extra['user_agent']"),
    ("foo(status) AS k, count(*) AS n", 3, "function `foo` is not allowed", "what can be used: abs, "),
    ("lowr(endpoint) AS k, count(*) AS n", 3, "function `lowr` is not allowed", "did you mean `lower`"),
    ("hour(timestamp) AS k, count(*) AS n", 3, "function `hour` is not allowed", "what can be used"),
    ("uuid() AS k, count(*) AS n", 3, "`uuid` is not deterministic", "chance"),
    ("current_date AS k, count(*) AS n", 3, "`current_date` depends on when it is asked", "`timestamp`"),
    ("network(ip, endpoint) AS k, count(*) AS n", 3, "wrong number of arguments", "network(ip)"),
    ("network(status) AS k, count(*) AS n", 11, "text is needed, this is integer", "CAST"),
    ("endpoint || status AS k, count(*) AS n", 15, "text is needed, this is integer", "CAST"),
    ("substr(endpoint, status) AS k, count(*) AS n", 20, "must be written out", "substr(text, first, length)"),
    ("regexp_extract(endpoint, '[') AS k, count(*) AS n", 28, "the pattern `[` cannot be used: missing ]", "RE2"),
    ("regexp_extract(endpoint, 'a', 12) AS k, count(*) AS n", 33, "the group must be 0 to 9", "'pattern', 1"),
    ("regexp_extract(endpoint, method) AS k, count(*) AS n", 28, "must be written out", "'pattern'"),
    (r"regexp_replace(endpoint, 'a', '\1') AS k, count(*) AS n", 28, "cannot be used", "RE2"),
    ("regexp_replace(endpoint, 'a', 'b', 'x') AS k, count(*) AS n", 38, "flags `x` are not known", "'g'"),
    ("endpoint ~ 'a' AS k, count(*) AS n", 3, "`~` is not supported", "regexp_full_match"),
    ("regexp_matches(endpoint, 'a', 'i') AS k, count(*) AS n", 3, "not supported in this form", ""),
    ("CAST(timestamp AS VARCHAR) AS k, count(*) AS n", 3, "a timestamp cannot be cast to text", "window"),
    ("endpoint LIKE method AS k, count(*) AS n", 17, "the pattern of LIKE", ""),
    ("endpoint LIKE 'a' ESCAPE '$' AS k, count(*) AS n", 3, "is not supported here", ""),
    ("status / 100 AS k, count(*) AS n", 3, "floating point", "//"),
    ("status // 0 AS k, count(*) AS n", 3, "a whole number that is not 0", "status // 100"),
    ("status // status AS k, count(*) AS n", 3, "a whole number that is not 0", "status // 100"),
    ("status % 0 AS k, count(*) AS n", 3, "a whole number that is not 0", "status % 100"),
    ("response_ms // 100 AS k, count(*) AS n", 3, "is for whole numbers", "CASE WHEN"),
    ("status + 'x' AS k, count(*) AS n", 3, "mixes in text", "CAST"),
    ("status & 1 AS k, count(*) AS n", 3, "`status & 1` is not supported here", ""),
    ("status > 'x' AS k, count(*) AS n", 3, "integer and text cannot be compared", "CAST"),
    ("extra['code'] = 5 AS k, count(*) AS n", 3, "integer and text cannot be compared", "in quotes"),
    ("CAST(status AS DATE) AS k, count(*) AS n", 3, "a cast to `DATE` is not supported", "DECIMAL(18, s)"),
    ("status::DOUBLE AS k, count(*) AS n", 3, "a cast to `DOUBLE` is not supported", "DECIMAL(18, s)"),
    ("CAST(response_ms AS INTEGER) AS k, count(*) AS n", 3, "cannot be cast to a whole number", "CASE WHEN"),
    ("CAST(extra['n'] AS DECIMAL(30,3)) AS k, count(*) AS n", 3, "is not supported", "DECIMAL(18, s)"),
    ("CASE WHEN status THEN 1 END AS k, count(*) AS n", 13, "a condition is needed", "compare it"),
    ("CASE WHEN status > 1 THEN 1 ELSE 'x' END AS k, count(*) AS n", 13, "integer and text", "CAST"),
    ("status IS NOT 3 AS k, count(*) AS n", 3, "only IS NULL, IS TRUE and IS FALSE", ""),
    ("INTERVAL '1 day' AS k, count(*) AS n", 0, "is not supported here", ""),
    ("[status] AS k, count(*) AS n", 4, "is not supported here", ""),
    ("$1 AS k, count(*) AS n", 0, "a view has no parameters", "the value itself"),
    # aggregates
    ("count(*) + 1 AS n", 3, "an expression over aggregates", "a column of its own"),
    ("count(*) / sum(status) AS n", 3, "an expression over aggregates", "a column of its own"),
    ("sum(count(*)) AS n", 7, "`count` cannot stand inside", ""),
    ("count(*) FILTER (WHERE count(*) > 1) AS n", 26, "`count` cannot stand inside", ""),
    ("count(*) FILTER (WHERE status) AS n", 26, "a condition is needed", "compare it"),
    ("count(NULL) AS n", 3, "count(NULL) is always 0", "count(*)"),
    ("endpoint, count(DISTINCT ip) AS n", 13, "a DISTINCT aggregate", "approx_count_distinct"),
    ("sum(DISTINCT response_ms) AS n", 3, "a DISTINCT aggregate", "remove DISTINCT"),
    ("sum(status) OVER () AS n", 3, "window functions cannot be merged", "/v1/query"),
    ("row_number() OVER (ORDER BY status) AS n", 3, "window functions cannot be merged", "/v1/query"),
    ("sum(endpoint) AS n", 7, "`sum` needs a number, this is text", "CAST"),
    ("avg(ip) AS n", 7, "`avg` needs a number, this is text", "CAST"),
    ("min(status > 3) AS n", 3, "`min` of boolean", "FILTER"),
    ("quantile(ip, 0.5) AS n", 12, "`quantile` needs a number, this is text", "CAST"),
    ("quantile(response_ms) AS n", 3, "needs to know which", "0.99"),
    ("quantile(response_ms, 0.5, 3) AS n", 3, "`quantile` has too many arguments", ""),
    ("quantile(response_ms, 99) AS n", 25, "`99` is not between 0 and 1", "for 99 percent write 0.99"),
    ("quantile(response_ms, 0.1234567) AS n", 25, "at most 6 digits", "0.99"),
    ("quantile(response_ms, status) AS n", 25, "must be a number written out", "0.99"),
    ("quantile(response_ms, [0.5, 0.9]) AS n", 26, "one quantile a column", "share one state"),
    ("median(response_ms) AS n", 3, "`median` needs all values", "quantile(x, 0.5)"),
    ("quantile_cont(response_ms, 0.9) AS n", 3, "`quantile_cont` is an exact quantile", "quantile(x, 0.99)"),
    ("percentile(response_ms, 0.9) AS n", 3, "`percentile` is an exact quantile", "quantile(x, 0.99)"),
    ("approx_quantile(response_ms, 0.9) AS n", 3, "depends on the order of the records", "quantile(x, 0.99)"),
    ("percentile_cont(0.9) WITHIN GROUP (ORDER BY status) AS n", 3, "an ordered aggregate", "quantile(x, 0.99)"),
    ("string_agg(ip, ',') AS n", 3, "`string_agg` keeps every value", "/v1/query"),
    ("arg_max(ip, status) AS n", 15, "`arg_max` can only go by `timestamp`", "last(x)"),
    ("min_by(ip, response_ms) AS n", 14, "`min_by` can only go by `timestamp`", "first(x)"),
    ("arg_min(ip) AS n", 3, "needs to know the order", "first(x)"),
    ("arg_max(ip, timestamp, 3) AS n", 3, "`arg_max` is not supported in this form", ""),
    ("any_value(ip) AS n", 3, "`any_value` depends on the order", "first(x)"),
    ("first_value(ip) AS n", 3, "`first_value` depends on the order", "first(x)"),
    ("first(ip ORDER BY timestamp) AS n", 9, "`first` goes by `timestamp` by itself", "write first(x)"),
    ("last(ip IGNORE NULLS) AS n", 3, "`last` leaves NULL out by itself", "write last(x)"),
    ("first(*) AS n", 3, "`first` needs a value", "name the column"),
    ("last(status > 3) AS n", 3, "`last` of boolean", "CASE WHEN"),
    ("mode(ip) AS n", 3, "`mode` cannot be merged", "approx_count_distinct"),
    ("stddev(ip) AS n", 10, "`stddev` needs a number, this is text", "CAST"),
    ("stddev(DISTINCT status) AS n", 3, "a DISTINCT aggregate", "remove DISTINCT"),
    ("corr(status, response_ms) AS n", 3, "`corr` is not exact", "stddev"),
    ("bool_or(status) AS n", 11, "a condition is needed, this is integer", "compare it"),
    ("bool_and(NULL) AS n", 3, "always NULL", "bool_and(status < 500)"),
    ("max(ip, 3) AS n", 7, "`max` needs a number, this is text", "CAST"),
    ("max(status, method) AS n", 15, "must be a number written out", "max(x, 5)"),
    ("min(status, 0) AS n", 15, "`0` values cannot be kept", "1 to 100"),
    ("min(status, 101) AS n", 15, "`101` values cannot be kept", "1 to 100"),
    ("min(status, 3, 4) AS n", 19, "at most 2 arguments", ""),
    ("bit_xor(status) AS n", 3, "`bit_xor` cannot be merged", "approx_count_distinct"),
    ("sum(status * status * status) AS n", 7, "can pass 64 bits", "DECIMAL(18,0)"),
    ("sum(response_ms * response_ms * response_ms) AS n", 7, "too many digits", "smaller DECIMAL"),
    ("sum(1000000000 * status) AS n", 7, "more than 18 digits", "smaller DECIMAL"),
]


@pytest.mark.parametrize(("sql", "line", "column", "message", "hint"), STATEMENTS)
def test_statement(sql: str, line: int, column: int, message: str, hint: str) -> None:
    error = refusal(sql)
    assert (error.line, error.column) == (line, column), error.message
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(("rest", "line", "column", "message", "hint"), CLAUSES)
def test_clause(rest: str, line: int, column: int, message: str, hint: str) -> None:
    error = refusal(view("endpoint, count(*) AS n", rest))
    assert (error.line, error.column) == (line, column), error.message
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(("sql", "column", "message", "hint"), WINDOWS)
def test_window(sql: str, column: int, message: str, hint: str) -> None:
    error = refusal(sql)
    assert (error.line, error.column) == (1, column), error.message
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(("columns", "column", "message", "hint"), COLUMNS)
def test_column(columns: str, column: int, message: str, hint: str) -> None:
    """A `column` of 0: the parser keeps no place for it; below 0: the place is the SELECT."""
    error = refusal(view(columns))
    if column > 0:
        assert (error.line, error.column) == (3, column), error.message
    elif column < 0:
        assert (error.line, error.column) == (2, 1), error.message
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize("name", sorted(refused_functions()))
def test_every_function_refused_by_name_is_refused(name: str) -> None:
    """In the form of a call; with arguments that most of them take."""
    forms = ("", "response_ms", "response_ms, 0.5")
    messages = [refusal(view(f"{name}({arguments}) AS n")).message for arguments in forms]
    assert any("cannot be merged" in m or f"`{name}`" in m.lower() for m in messages), messages


def test_keys_are_limited() -> None:
    columns = ", ".join(f"extra['k{i}'] AS k{i}" for i in range(17))
    assert "more than 16 keys" in refusal(view(f"{columns}, count(*) AS n")).message


def test_columns_are_limited() -> None:
    columns = ", ".join(f"count(*) AS n{i}" for i in range(64))
    assert "more than 64 columns" in refusal(view(columns)).message
