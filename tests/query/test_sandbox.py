"""What users' SQL may not reach: files, the network, settings, the engine's innards. Each line is an attempt that must fail.

Two walls are tried: the check of the statement, and the engine's lock behind it, to which the attempts go unchecked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from tailrace.errors import Invalid
from tailrace.serving.sql.engine import open_locked
from tailrace.serving.sql.functions import TABLE_FUNCTIONS, is_refused
from tests.query.conftest import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tailrace.serving.sql.engine import SqlEngine
    from tests.query.conftest import World

FILES = [
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "SELECT * FROM '/etc/passwd.csv'",
    "FROM '{data}/manifest.db'",
    "SELECT * FROM '{lake_file}'",
    "SELECT * FROM '*.parquet'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_json_objects('/etc/passwd')",
    "SELECT * FROM read_ndjson_objects('/etc/passwd')",
    "SELECT * FROM read_parquet('{lake_file}')",
    "SELECT * FROM parquet_scan('{lake_file}')",
    "SELECT * FROM parquet_metadata('{lake_file}')",
    "SELECT * FROM parquet_schema('{lake_file}')",
    "SELECT * FROM parquet_kv_metadata('{lake_file}')",
    "SELECT * FROM parquet_file_metadata('{lake_file}')",
    "SELECT * FROM read_blob('{lake_file}')",
    "SELECT * FROM READ_BLOB('{lake_file}')",
    "SELECT * FROM \"read_blob\"('{lake_file}')",
    "SELECT * FROM main.read_blob('{lake_file}')",
    "SELECT * FROM system.main.read_blob('{lake_file}')",
    "SELECT * FROM read_duckdb('/tmp/x.db')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('{data}/**')",
    "SELECT (SELECT content FROM read_text('/etc/hostname'))",
    "SELECT * FROM logs WHERE message IN (SELECT content FROM read_text('/etc/hostname'))",
    "SELECT * FROM logs, LATERAL (SELECT * FROM read_text('/etc/hostname'))",
    "WITH a AS (SELECT * FROM read_text('/etc/hostname')) SELECT * FROM a",
    "WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a, read_text('/etc/hostname') WHERE n < 3) FROM a",
    "SELECT * FROM (PIVOT (FROM read_text('/etc/hostname')) ON filename IN ('a') USING count(*))",
    "SELECT 1 UNION ALL SELECT count(*) FROM glob('/*')",
    "SELECT [x FOR x IN (SELECT list(content) FROM read_text('/etc/hostname'))]",
    "EXPLAIN SELECT * FROM read_text('/etc/hostname')",
    "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/hostname')",
    "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
    "SUMMARIZE SELECT * FROM read_text('/etc/hostname')",
    "SUMMARIZE '/etc/passwd'",
    "DESCRIBE '{lake_file}'",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('/etc/passwd')",
    "SELECT * FROM query_table(['logs'])",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT json_serialize_plan('SELECT * FROM logs')",
    "SELECT filename FROM logs",
    "SELECT file_row_number FROM logs",
    "SELECT * FROM histogram('logs', status)",
]
NETWORK = [
    "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
    "SELECT * FROM 'https://127.0.0.1:1/x.csv'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
    "SELECT * FROM read_csv('hf://datasets/x/y.csv')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs FROM community",
    "UPDATE EXTENSIONS",
]
WRITES = [
    "COPY logs TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO '{lake_file}'",
    "COPY (SELECT 1) TO '{data}/lake/warehouse/logs/data/x.parquet' (FORMAT parquet)",
    "EXPORT DATABASE '/tmp/x'",
    "IMPORT DATABASE '/tmp/x'",
    "ATTACH '/tmp/x.db'",
    "ATTACH '{data}/manifest.db' AS m (TYPE sqlite)",
    "DETACH memory",
    "USE memory",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP VIEW logs AS SELECT 1",
    "CREATE OR REPLACE MACRO count(x) AS 1",
    "CREATE FUNCTION f() AS 1",
    "CREATE SEQUENCE s",
    "CREATE TYPE t AS ENUM ('a')",
    "CREATE SECRET (TYPE s3)",
    "DROP VIEW logs",
    "INSERT INTO logs SELECT * FROM logs",
    "UPDATE logs SET status = 1",
    "DELETE FROM logs",
    "TRUNCATE logs",
    "ALTER VIEW logs RENAME TO l",
    "MERGE INTO logs USING logs l ON true WHEN MATCHED THEN DELETE",
    "WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a",
    "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
    "WITH a AS (UPDATE t SET x = 1 RETURNING *) SELECT * FROM a",
    "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
    "EXPLAIN CREATE TABLE t AS SELECT 1",
    "VACUUM",
    "ANALYZE",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "COMMENT ON VIEW logs IS 'x'",
]
SETTINGS = [
    "SET threads = 64",
    "SET GLOBAL memory_limit = '64GB'",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET VARIABLE x = 1",
    "RESET lock_configuration",
    "PRAGMA threads = 64",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "PRAGMA version",
    "CALL pragma_version()",
    "CALL enable_logging()",
    "SELECT current_setting('allowed_directories')",
    "SELECT CURRENT_SETTING('temp_directory')",
    "SELECT \"current_setting\"('secret_directory')",
    "SELECT system.main.current_setting('home_directory')",
    "SELECT main.current_setting('home_directory')",
    "SELECT list_transform(['threads'], lambda x: current_setting(x))",
    "SELECT count(*) FILTER (WHERE current_setting('threads') IS NOT NULL) FROM logs",
    "SELECT * FROM logs ORDER BY current_setting('threads')",
    "SELECT sum(1) OVER (ORDER BY current_setting('threads')) FROM logs",
    "SELECT 'threads'.current_setting()",
    "SELECT getvariable('x')",
    "SELECT getenv('HOME')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_views",
    "SELECT * FROM main.duckdb_views",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM duckdb_external_file_cache()",
    "SELECT * FROM duckdb_logs",
    "SELECT * FROM duckdb_functions()",
    "SELECT * FROM which_secret('x', 's3')",
    "SELECT * FROM pragma_user_agent()",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM pg_views",
    "SELECT * FROM pg_settings",
    "SELECT pg_get_viewdef(0)",
    "SELECT * FROM memory.main.logs",
    "SELECT * FROM temp.main.logs",
    "WITH duckdb_views AS (SELECT 1) SELECT * FROM (SELECT 1), (SELECT 1 WHERE false), duckdb_views",
    "SELECT (WITH duckdb_views AS (SELECT 1) SELECT 1), * FROM duckdb_views",
    'SELECT (WITH "/etc/passwd" AS (SELECT 1) SELECT 1), * FROM "/etc/passwd"',
    "SHOW ALL TABLES",
    "SHOW DATABASES",
    "SHOW VARIABLES",
    "SHOW threads",
    "SHOW TABLES FROM memory",
    "SELECT * FROM test_all_types()",
    "SELECT write_log('x')",
    "SELECT nextval('s')",
    "SELECT setseed(0.5)",
    "SELECT inet_server_addr()",
    "SELECT pg_sleep(1)",
    "SELECT sleep_ms(1)",
]
INNARDS = [
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM arrow_scan_dumb(1::POINTER, 2::POINTER, 3::POINTER)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM python_arrow_scan(1, 2, 3)",
    "SELECT * FROM python_map_function(1)",
    "SELECT * FROM seq_scan('logs')",
    "SELECT * FROM create_external_resource('x')",
    "SELECT * FROM _tailrace_tail",
    "SELECT * FROM engine",
    "SELECT * FROM world",
    "SELECT combine('\\x00'::BLOB, '\\x00'::BLOB)",
    "FROM logs AT (VERSION => 1)",
]
SESSIONS = [
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY logs TO '/tmp/x.csv'",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "DEALLOCATE a",
    "PIVOT logs ON endpoint USING count(*)",
    "",
    "-- nothing",
    ";",
]
ATTEMPTS = FILES + NETWORK + WRITES + SETTINGS + INNARDS + SESSIONS


def filled(attempt: str, world: World) -> str:
    lake_file = str(world.lake.files()[0].path)
    return attempt.replace("{lake_file}", lake_file).replace("{data}", str(world.settings.data_dir))


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_every_attempt_is_refused(attempt: str, engine: SqlEngine, world: World) -> None:
    sql = filled(attempt, world)
    with pytest.raises(Invalid) as raised:
        rows(engine, sql)
    said = raised.value.message + raised.value.hint
    assert not any(folder in said for folder in (str(world.settings.data_dir), "/root", "/home") if folder not in sql)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_it_is_the_check_that_refuses_and_not_a_failure_while_running(
    attempt: str, engine: SqlEngine, world: World
) -> None:
    """All but names that nothing has: those are found out when relations are made, or by the engine's binder."""
    unknown_names = (
        "getenv",
        "'threads'.current",
        "FROM engine",
        "FROM world",
        "_tailrace_tail",
        "filename",
        "_row_number",
    )
    base_tables = (
        "FROM '",
        'FROM "',
        "SUMMARIZE '",
        "DESCRIBE '",
        "_views",
        "duckdb_logs",
        "sqlite",
        "pragma_database",
        "pg_",
    )
    sql = filled(attempt, world)
    if any(part in attempt for part in (*unknown_names, *base_tables)):
        return
    with pytest.raises(Invalid):
        engine._check.check(sql)


@pytest.fixture(scope="module")
def locked(world: World) -> Iterator[duckdb.DuckDBPyConnection]:
    root = open_locked(64 << 20, world.lake.data_dir)
    root.execute(f"CREATE TEMP VIEW logs AS FROM read_parquet('{world.lake.files()[0].path}')")
    yield root
    root.close()


BEYOND_THE_LAKE = [
    sql
    for sql in (*FILES, *NETWORK, *WRITES, *SETTINGS)
    if any(
        part in sql for part in ("/etc/", "/tmp/", "http", "s3://", "hf://", "SET ", "RESET", "PRAGMA threads", "LOAD")
    )
    and not any(part in sql for part in ("EXPLAIN CREATE", "SET VARIABLE", "EXPLAIN INSERT", "SET x", "UPDATE "))
    and not any(part in sql for part in ("current_setting", "query_table", "glob('/etc"))
]


@pytest.mark.parametrize("attempt", BEYOND_THE_LAKE)
def test_the_lock_holds_without_the_check(attempt: str, locked: duckdb.DuckDBPyConnection, world: World) -> None:
    with pytest.raises(duckdb.Error):
        locked.cursor().execute(filled(attempt, world)).fetchall()


@pytest.mark.parametrize(
    "attempt", ["SELECT * FROM 'https://127.0.0.1:1/x.parquet'", "SELECT * FROM read_text('/etc/hostname')"]
)
def test_the_lock_says_why(attempt: str, locked: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.PermissionException, match="disabled"):
        locked.cursor().execute(attempt).fetchall()


def test_variables_of_python_are_out_of_reach(locked: duckdb.DuckDBPyConnection) -> None:
    import pyarrow as pa

    secret_table = pa.table({"a": [1]})
    with pytest.raises(duckdb.CatalogException, match="secret_table"):
        locked.cursor().execute("SELECT * FROM secret_table").fetchall()
    assert secret_table.num_rows == 1


def test_statements_do_not_see_each_others_relations(engine: SqlEngine) -> None:
    first, second = engine.open(), engine.open()
    first.prepare("SELECT count(*) FROM endpoint_health, logs")
    with pytest.raises(Invalid, match="no_such_relation"):
        second.prepare("SELECT * FROM no_such_relation")
    third = engine.open()
    third._connection.execute("BEGIN")
    with pytest.raises(duckdb.CatalogException):
        third._connection.execute("SELECT * FROM logs").fetchall()
    for execution in (first, second, third):
        execution.close()


# -- the rules against the engine's own lists ----------------------------------------------------------------------------

REVIEWED_VOLATILE = {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "error", "vector_type"}
"""Not functions of their arguments, and harmless: chance, and an error of the user's own making."""


def test_functions_with_side_effects_are_refused_or_reviewed() -> None:
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE (has_side_effects OR stability = 'VOLATILE')"
            " AND function_type IN ('scalar', 'aggregate')"
        ).fetchall()
    left = {name for (name,) in found if not is_refused(name)}
    assert left <= REVIEWED_VOLATILE


def test_macros_that_reach_further_are_refused() -> None:
    """A macro is written out where it is called, after the check; so its own text must be harmless."""
    with duckdb.connect() as connection:
        macros = connection.execute(
            "SELECT DISTINCT function_name, lower(macro_definition) FROM duckdb_functions() WHERE function_type = 'macro'"
        ).fetchall()
    assert len(macros) > 50
    for name, definition in macros:
        calls = {word.rsplit(".")[-1].strip('" (') for word in _calls(definition)}
        if " from " in definition or any(is_refused(call) for call in calls):
            assert is_refused(name), f"macro {name}: {definition}"


def _calls(definition: str) -> list[str]:
    import re

    return re.findall(r'[a-z_".]+\s*\(', definition)


def test_new_functions_of_these_kinds_are_noticed() -> None:
    """Names that sound as if they reached further: every one is refused, or listed here by hand."""
    harmless = {
        "parse_filename", "parse_path", "parse_dirname", "parse_dirpath", "path_join", "json_extract_path",
        "json_extract_path_text", "current_date", "current_localtime", "current_localtimestamp", "current_schema",
        "current_schemas", "current_database", "current_catalog", "current_user", "current_role", "logistic_regression",
        "pg_typeof", "pg_size_pretty", "log", "log2", "log10", "hive_partition_component", "get_current_time",
        "get_current_timestamp", "get_bit", "get_type", "set_bit", "st_setcrs", "json_set", "to_base", "to_base64",
    }  # fmt: skip
    suspicious = (
        "file",
        "path",
        "read",
        "write",
        "setting",
        "env",
        "secret",
        "query",
        "sql",
        "log",
        "pg_",
        "current_",
        "get_",
        "set",
    )
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')"
        ).fetchall()
    names = {name for (name,) in found if any(part in name for part in suspicious)}
    assert {n for n in names if not is_refused(n) and n not in harmless and "collate" not in n} == set()


def test_table_functions_that_may_be_called_exist_and_read_nothing() -> None:
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')"
        ).fetchall()
    assert {name for (name,) in found} >= TABLE_FUNCTIONS


# -- what may be asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM logs",
        "select COUNT(*) from LOGS",
        'SELECT count(*) FROM "logs"',
        "FROM logs LIMIT 1",
        "TABLE logs LIMIT 1",
        "SELECT * FROM logs l JOIN endpoint_health e USING (endpoint) LIMIT 1",
        "WITH l AS (FROM logs), m AS (FROM l) SELECT count(*) FROM m",
        "WITH logs AS (SELECT 1 AS a) SELECT * FROM logs",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) FROM n",
        "SELECT * FROM range(3)",
        "SELECT unnest([1, 2])",
        "SELECT * FROM generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-02', INTERVAL 1 HOUR)",
        "SELECT j.key FROM logs, json_each(extra) j LIMIT 1",
        "SELECT extra ->> 'n' FROM logs WHERE extra IS NOT NULL LIMIT 1",
        "SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, quantile_cont(response_ms, 0.99) FROM logs GROUP BY ALL",
        "SELECT endpoint, count(*) OVER (PARTITION BY status) FROM logs QUALIFY row_number() OVER () = 1",
        "PIVOT logs ON status IN (200, 201) USING count(*) GROUP BY endpoint",
        "SELECT * FROM (VALUES (1, 'a'))",
        "VALUES (1)",
        "SELECT 1 UNION SELECT 2 EXCEPT SELECT 3",
        "SELECT * FROM logs ASOF JOIN endpoint_health ON logs.status >= endpoint_health.requests LIMIT 1",
        "SELECT * FROM logs TABLESAMPLE 10%",
        "SELECT list_filter([1, 2, 3], lambda x: x > 1)",
        "SELECT regexp_extract(message, '[0-9]+') FROM logs LIMIT 1",
        "DESCRIBE logs",
        "DESCRIBE SELECT count(*) FROM logs",
        "SUMMARIZE logs",
        "SHOW TABLES",
        "EXPLAIN SELECT count(*) FROM logs",
        "EXPLAIN ANALYZE SELECT count(*) FROM logs",
        "/* c */ EXPLAIN -- d\n SELECT 1",
        "SELECT '; DROP TABLE logs; --'",
        "SELECT 1;",
        "SELECT now() - max(timestamp) FROM logs",
    ],
)  # fmt: skip
def test_what_reads_runs(sql: str, engine: SqlEngine) -> None:
    assert rows(engine, sql) or "JOIN" in sql or "SAMPLE" in sql


def test_show_tables_lists_logs_the_streams_and_the_views(engine: SqlEngine) -> None:
    assert sorted(rows(engine, "SHOW TABLES")) == [("by_hour",), ("endpoint_health",), ("logs",), ("upper",)]


def test_an_unknown_relation_is_answered_with_the_known_ones(engine: SqlEngine) -> None:
    with pytest.raises(Invalid, match="there is no relation `log`") as raised:
        rows(engine, "SELECT * FROM log")
    assert raised.value.hint == "relations: by_hour, endpoint_health, logs, upper"


def test_plans_do_not_name_folders(engine: SqlEngine, world: World) -> None:
    plan = str(rows(engine, "EXPLAIN ANALYZE SELECT count(*), max(message) FROM logs"))
    assert "READ_PARQUET" in plan
    assert ".parquet" in plan
    assert str(world.settings.data_dir) not in plan


def test_deep_nesting_is_an_error_and_not_a_crash(engine: SqlEngine) -> None:
    for sql in (
        "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
        "SELECT " + "1+" * 100_000 + "1",
        "SELECT " + "[" * 9_000 + "]" * 9_000,
    ):
        with pytest.raises(Invalid):
            rows(engine, sql)


def test_files_of_the_world_are_untouched(world: World, tmp_path: Path) -> None:
    """Runs after the attempts of this module: nothing was written anywhere they tried to."""
    data = {p for p in world.lake.data_dir.rglob("*") if p.is_file()}
    assert data == {f.path for f in world.lake.files()}
