"""A query that asks for a time reads the lake files of that time, and never misses one that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.batch.consumer import consume
from tailrace.model.window import iso
from tailrace.serving.sql.prune import TimeRange, scan_ranges, time_range
from tests.query.conftest import FIRST_US, World, engine_of, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tailrace.serving.sql.engine import SqlEngine

FILES, PER_FILE = 12, 20
ALL = FILES * PER_FILE * 9 // 10


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlEngine]:
    """Twelve lake files of 20 microseconds each, one after the other; nothing in the stream that is not in the lake."""
    world = World(tmp_path_factory.mktemp("times"))
    for _ in range(FILES):
        world.put(world.shards[0], PER_FILE)
        world.stream.seal(world.shards[0])
        consume(world.stream, world.lake)
    yield engine_of(world)
    world.close()


def at(number: int) -> str:
    return f"'{iso(FIRST_US + number)}'"


def asked(engine: SqlEngine, sql: str) -> tuple[int, int]:
    """The one number of the answer, and the records that were looked at for it."""
    execution = engine.open()
    execution.prepare(sql)
    (value,) = [v for batch in execution.batches() for v in batch.column(0).to_pylist()]
    scanned = execution.rows_scanned
    execution.close()
    return value, scanned


COUNT = "SELECT count(*) FROM logs WHERE "


@pytest.mark.parametrize(
    ("where", "count", "files"),
    [
        (f"timestamp >= {at(220)}", 18, 1),
        (f"timestamp > {at(199)}", 36, 2),
        (f"timestamp < {at(20)}", 18, 1),
        (f"timestamp <= {at(20)}", 19, 2),
        (f"timestamp = {at(47)}", 1, 1),
        (f"timestamp BETWEEN {at(25)} AND {at(65)}", 37, 3),
        (f"timestamp >= {at(25)} AND timestamp <= {at(65)} AND status >= 0", 37, 3),
        (f"timestamp >= TIMESTAMPTZ {at(220)} AND endpoint IS NOT NULL", 18, 1),
        (f"{at(220)} <= timestamp", 18, 1),
        (f"(timestamp >= {at(200)}) AND (timestamp >= {at(220)})", 18, 1),
        (f"timestamp >= TIMESTAMPTZ {at(0)} + INTERVAL 220 MICROSECOND", 18, 1),
        ("timestamp > now() - INTERVAL 1 HOUR", 0, 0),
        (f"timestamp > {at(1000)}", 0, 0),
        (f"timestamp >= {at(220)} OR status = 999", 18, FILES),
        (f"NOT (timestamp < {at(220)})", 18, 1),
        (f"message = 'request 3' AND timestamp < {at(20)}", 1, 1),
        (f"message <> '(timestamp >= ''2050-01-01''::TIMESTAMP WITH TIME ZONE)' AND timestamp < {at(20)}", 16, 1),
        (f"_arrived_at >= {at(220)}", ALL, FILES),
        ("status >= 0", ALL, FILES),
    ],
)
def test_the_files_that_are_read(engine: SqlEngine, where: str, count: int, files: int) -> None:
    sql = COUNT + where
    if "message <>" in where:
        sql += " AND message IS NOT NULL"
    assert asked(engine, sql) == (count, files * PER_FILE * 9 // 10)


EARLY, LATE = f"timestamp < {at(20)}", f"timestamp >= {at(220)}"
SHIFTED = "SELECT timestamp - INTERVAL 100 MICROSECOND AS timestamp FROM logs"
NEWEST = f"SELECT max(timestamp) AS timestamp FROM logs WHERE {EARLY}"


@pytest.mark.parametrize(
    ("sql", "wanted", "files"),
    [
        # Each mention of logs is a scan of its own: files that either needs are read.
        (f"SELECT (SELECT count(*) FROM logs WHERE {EARLY}) + (SELECT count(*) FROM logs WHERE {LATE})", 36, 2),
        (f"SELECT count(*) FROM (FROM logs WHERE {EARLY} UNION ALL FROM logs)", ALL + 18, FILES),
        (f"WITH l AS (FROM logs WHERE {LATE}) SELECT count(*) FROM l a JOIN l b USING (_offset)", 18, 1),
        # Times that depend on data are not known when the files are chosen.
        ("SELECT count(*) FROM logs WHERE timestamp >= (SELECT max(timestamp) FROM logs)", 1, FILES),
        (f"SELECT count(*) FROM logs JOIN ({NEWEST}) USING (timestamp)", 1, FILES),
        ("SELECT count(*) FROM (FROM logs ORDER BY timestamp DESC LIMIT 5)", 5, FILES),
        # Another column may be called timestamp.
        (f"SELECT count(*) FROM (SELECT _arrived_at AS timestamp FROM logs) WHERE {LATE}", ALL, FILES),
        (f"SELECT count(*) FROM ({SHIFTED}) WHERE timestamp >= {at(120)}", 18, FILES),
    ],
)
def test_what_may_be_needed_is_read(engine: SqlEngine, sql: str, wanted: int, files: int) -> None:
    count, scanned = asked(engine, sql)
    assert (count, scanned) == (wanted, files * PER_FILE * 9 // 10)


BOUND = st.integers(-5, FILES * PER_FILE + 5)


@given(st.lists(st.tuples(st.sampled_from([">", ">=", "<", "<=", "="]), BOUND), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_conjunction_gives_what_all_files_give(engine: SqlEngine, conditions: list[tuple[str, int]]) -> None:
    where = " AND ".join(f"timestamp {operator} {at(bound)}" for operator, bound in conditions)
    compare = {">": int.__gt__, ">=": int.__ge__, "<": int.__lt__, "<=": int.__le__, "=": int.__eq__}
    wanted = sum(
        all(compare[operator](n, bound) for operator, bound in conditions)
        for n in range(FILES * PER_FILE)
        if n % 10 != 9
    )
    assert rows(engine, COUNT + where) == [(wanted,)]


def test_conditions_of_any_other_form_count_for_nothing() -> None:
    unknown = [
        "optional: Dynamic Filter (timestamp)",
        "optional: (timestamp >= '2026-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE)",
        "((timestamp >= '2026-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE) OR (status = 1))",
        "(NOT (timestamp >= '2026-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE))",
        "(_arrived_at >= '2026-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE)",
        "(timestamp >= '2026-01-01 00:00:00'::TIMESTAMP)",
        "(timestamp >= 'infinity'::TIMESTAMP WITH TIME ZONE)",
        "(timestamp >= '290000-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE)",
        "(message = '(timestamp >= ''2026-01-01''::TIMESTAMP WITH TIME ZONE)')",
    ]
    assert time_range(unknown) == TimeRange()
    assert time_range("(timestamp >= '2026-01-01 00:00:00+00'::TIMESTAMP WITH TIME ZONE)") == TimeRange(
        1_767_225_600_000_000
    )


def test_every_scan_of_a_plan_counts() -> None:
    condition = "(timestamp < '1970-01-01 00:00:01+00'::TIMESTAMP WITH TIME ZONE)"
    plan = [
        {
            "name": "UNION",
            "children": [
                {"name": "READ_PARQUET", "extra_info": {"Filters": condition}},
                {"name": "FILTER", "children": [{"name": "READ_PARQUET", "extra_info": {}}]},
            ],
        }
    ]
    assert sorted(scan_ranges(plan), key=lambda r: r.last_us) == [TimeRange(last_us=999_999), TimeRange()]


def test_now_is_the_same_when_files_are_chosen_and_when_they_are_read(engine: SqlEngine) -> None:
    ((before, after),) = rows(engine, "SELECT now() AS a, now() AS b FROM logs WHERE timestamp < now() LIMIT 1")
    assert before == after


def test_an_error_after_choosing_files_is_the_statements_own(engine: SqlEngine) -> None:
    with pytest.raises(Exception, match=r'(?s)column "nope" not found.*LINE 1: SELECT nope FROM logs\n +\^'):
        rows(engine, "SELECT nope FROM logs")
