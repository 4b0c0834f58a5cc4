"""Applications of Kinesis Analytics SQL as streams and views: each construct, what is said of it, and the numbers."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailrace.cli.main import main
from tailrace.errors import Invalid, ViewError
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView, compile_view
from tailrace.views.kinesis_analytics import Converted, Kind, Mapping, convert, read_schema
from tailrace.views.kinesis_analytics.mapping import parse_maps
from tailrace.views.stream import link_streams, parse_stream_text
from tests.views.rig import SECOND_US, Engine, Record, rows, table

APPLICATION = Path(__file__).with_name("applications") / "requests.sql"
INPUT = '"SOURCE_SQL_STREAM_001"'


def turn(sql: str, **given: Any) -> Converted:
    return convert(sql, Mapping(DEFAULT_FIELDS, given))


def pump(select: str, columns: str = "", name: str = "out") -> str:
    created = f"CREATE STREAM {name} ({columns});\n" if columns else ""
    return f"{created}CREATE OR REPLACE PUMP p_{name} AS INSERT INTO {name} {select};\n"


def view(sql: str, name: str = "out", **given: Any) -> str:
    """The text of a view, in one line; everything was turned."""
    converted = turn(sql, **given)
    assert converted.complete, said(converted, Kind.NOT_TURNED)
    return " ".join(converted.files[name].split())


def said(converted: Converted, kind: Kind) -> list[str]:
    return [f"{each.line}:{each.column} {each.text} / {each.hint}" for each in converted.report if each.kind is kind]


def refused(sql: str) -> str:
    """The one thing that is not turned."""
    [found] = said(turn(sql), Kind.NOT_TURNED)
    return found


TUMBLING = "GROUP BY service, FLOOR(s.ROWTIME TO MINUTE)"


@pytest.mark.parametrize(
    ("window", "seconds"),
    [
        ("FLOOR(s.ROWTIME TO SECOND)", 1),
        ("FLOOR(s.ROWTIME TO MINUTE)", 60),
        ("FLOOR(s.ROWTIME TO HOUR)", 3600),
        ("FLOOR(s.ROWTIME TO DAY)", 86_400),
        ("STEP(s.ROWTIME BY INTERVAL '15' MINUTE)", 900),
        ("STEP(s.APPROXIMATE_ARRIVAL_TIME BY INTERVAL '10' SECOND)", 10),
        ("FLOOR((s.ROWTIME - TIMESTAMP '1970-01-01 00:00:00') MINUTE / 5 TO MINUTE)", 300),
        ('FLOOR(s.ROWTIME TO MINUTE), FLOOR(s."timestamp" TO MINUTE)', 60),
    ],
)
def test_tumbling_windows(window: str, seconds: int) -> None:
    text = view(pump(f"SELECT STREAM service, COUNT(*) AS requests FROM {INPUT} AS s GROUP BY service, {window}"))
    assert text == (
        f"CREATE VIEW out AS SELECT time_bucket(INTERVAL '{seconds} seconds', timestamp) AS window_start, service, "
        "count(*) AS requests FROM logs GROUP BY ALL;"
    )


@pytest.mark.parametrize(
    ("aggregate", "ours"),
    [
        ("COUNT(status)", "count(status)"),
        ("SUM(response_ms)", "sum(response_ms)"),
        ("AVG(response_ms)", "avg(response_ms)"),
        ("MIN(response_ms)", "min(response_ms)"),
        ("MAX(response_ms)", "max(response_ms)"),
        ("STDDEV_POP(response_ms)", "stddev_pop(response_ms)"),
        ("STDDEV_SAMP(response_ms)", "stddev(response_ms)"),
        ("VAR_POP(response_ms)", "var_pop(response_ms)"),
        ("VAR_SAMP(response_ms)", "variance(response_ms)"),
        ("COUNT(DISTINCT ip)", "approx_count_distinct(ip)"),
        ("CAST(SUM(status) AS INTEGER)", "sum(status)"),
        ("SUM(CASE WHEN status >= 500 THEN 1 ELSE 0 END)", "sum(CASE WHEN status >= 500 THEN 1 ELSE 0 END)"),
        ("SUM(price)", "sum(CAST(extra['price'] AS DECIMAL(18, 6)))"),
        ("SUM(price * 2)", "sum(CAST(extra['price'] AS DECIMAL(18, 6)) * 2)"),
        ('MAX("Price")', "max(CAST(extra['Price'] AS DECIMAL(18, 6)))"),
    ],
)
def test_aggregates(aggregate: str, ours: str) -> None:
    text = view(pump(f"SELECT STREAM service, {aggregate} FROM {INPUT} s {TUMBLING}", "svc VARCHAR(9), x DOUBLE"))
    assert f"service AS svc, {ours} AS x FROM logs" in text


def test_names_come_from_the_insert_the_stream_or_the_select() -> None:
    select = f"SELECT STREAM service, COUNT(*) AS c FROM {INPUT} s {TUMBLING}"
    assert "service, count(*) AS c" in view(pump(select))
    assert 'service AS "Svc Name"' not in view(pump(select, '"Svc Name" VARCHAR(9), "N" INTEGER'))
    assert "service AS Svc_Name, count(*) AS n" in view(pump(select, '"Svc Name" VARCHAR(9), "N" INTEGER'))
    listed = "CREATE STREAM out (a VARCHAR(9), b INTEGER);CREATE PUMP p AS INSERT INTO out (b, a) " \
        f"SELECT STREAM COUNT(*), service FROM {INPUT} s {TUMBLING};"  # fmt: skip
    assert "service AS a, count(*) AS b" in view(listed)


def test_a_chain_of_streams_is_followed() -> None:
    sql = (
        pump(f"SELECT STREAM status, response_ms / 1000 AS seconds, UPPER(service) AS svc FROM {INPUT} WHERE status >= 400",
             "code INTEGER, s DOUBLE, svc VARCHAR(9)", "bad")
        + pump("SELECT STREAM code, svc FROM bad WHERE code >= 500", "c INTEGER, sv VARCHAR(9)", "worse")
        + pump("SELECT STREAM sv, MAX(c) AS most FROM worse GROUP BY sv, FLOOR(worse.ROWTIME TO MINUTE)")
    ).replace(" / 1000", " * 2")  # fmt: skip
    converted = turn(sql)
    assert converted.complete, said(converted, Kind.NOT_TURNED)
    assert [" ".join(text.split()) for text in converted.files.values()] == [
        "CREATE STREAM bad AS SELECT * FROM logs WHERE status >= 400;",
        "CREATE STREAM worse AS SELECT * FROM bad WHERE status >= 500;",
        "CREATE VIEW out AS SELECT time_bucket(INTERVAL '60 seconds', timestamp) AS window_start, UPPER(service) AS sv, "
        "max(status) AS most FROM worse GROUP BY ALL;",
    ]


def test_pumps_may_stand_in_any_order() -> None:
    chained = [
        pump(f"SELECT STREAM * FROM {INPUT} WHERE status >= 500", "status INTEGER", "bad"),
        pump("SELECT STREAM COUNT(*) AS c FROM bad GROUP BY FLOOR(bad.ROWTIME TO MINUTE)"),
    ]
    assert turn("".join(chained)).files == turn("".join(reversed(chained))).files


def test_sliding_windows_become_hopping_ones() -> None:
    converted = turn(
        pump(
            "SELECT STREAM ip, COUNT(*) OVER a AS one,"
            " AVG(response_ms) OVER (PARTITION BY ip RANGE INTERVAL '5' MINUTE PRECEDING) AS five,"
            f" message FROM {INPUT} WINDOW a AS (PARTITION BY ip RANGE INTERVAL '1' MINUTE PRECEDING)"
        )
    )
    text = " ".join(converted.files["out"].split())
    assert "INTERVAL '10 seconds'" in text
    assert "ip, count(*) AS one, avg(response_ms) AS five FROM" in text
    [turned] = [each for each in converted.report if each.subject == "pump p_out" and each.kind is Kind.TURNED]
    assert "?over=60s&step=10s" in turned.hint
    assert "?over=300s&step=10s" in turned.hint
    changed = " ".join(said(converted, Kind.CHANGED))
    assert "become hopping ones" in changed
    assert "`message` is a value of each record" in changed


def test_stagger_windows_become_event_time_windows() -> None:
    converted = turn(
        pump(
            f"SELECT STREAM service, FLOOR(event_time TO MINUTE) AS t, COUNT(*) AS c FROM {INPUT} WINDOWED BY STAGGER"
            " (PARTITION BY FLOOR(event_time TO MINUTE), service RANGE INTERVAL '1' MINUTE)"
        )
    )
    assert "'60 seconds', timestamp) AS window_start, service, count(*) AS c" in " ".join(
        converted.files["out"].split()
    )
    changed = " ".join(said(converted, Kind.CHANGED))
    assert "stagger window becomes an event-time window of 60 s" in changed
    assert 'source = "event_time"' in changed


def test_what_is_changed_is_said() -> None:
    converted = turn(
        pump(
            f"SELECT STREAM service, SUM(status) / COUNT(*) AS ratio, COUNT(DISTINCT ip) AS d, 'x' AS fixed FROM {INPUT} s"
            f" WHERE level = 'error' {TUMBLING} HAVING COUNT(*) > 3 ORDER BY service"
        )
        + "ALTER PUMP p_out START;"
    )
    assert converted.complete
    changed = " ".join(said(converted, Kind.CHANGED))
    for text in ("ROWTIME was when", "ratio_1, ratio_2", "approx_count_distinct", "HAVING is left out", "`fixed` is the same",
                 "ORDER is left out", "left out: streams and views run"):  # fmt: skip
        assert text in changed
    assert "WHERE level = 'error'" in converted.files["out"]


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (pump(f"SELECT STREAM a.x FROM {INPUT} a JOIN ref r ON a.k = r.k"), "a join"),
        (pump(f"SELECT STREAM x, COUNT(*) FROM {INPUT} a, ref r GROUP BY x, FLOOR(a.ROWTIME TO MINUTE)"), "a join"),
        (pump("SELECT STREAM * FROM TABLE(TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM * FROM s), 'a', 10, 60))"), "TOP_K"),
        (pump("SELECT STREAM * FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM x FROM s)))"), "anomaly scores"),
        (pump(f"SELECT STREAM x, COUNT(*) FROM {INPUT} GROUP BY x, SESSION(ROWTIME, INTERVAL '1' MINUTE)"), "session"),
        (pump(f"SELECT STREAM COUNT(*) FROM {INPUT} s GROUP BY FLOOR(s.ROWTIME TO MONTH)"), "windows of a month"),
        (pump(f"SELECT STREAM COUNT(*) FROM {INPUT} s GROUP BY STEP(s.ROWTIME BY INTERVAL '7' SECOND)"), "divide a day"),
        (pump(f"SELECT STREAM service, COUNT(*) FROM {INPUT} GROUP BY service"), "without a window"),
        (pump(f"SELECT STREAM DISTINCT service FROM {INPUT}"), "SELECT DISTINCT"),
        (pump(f"SELECT STREAM COUNT(*) OVER (ROWS 10 PRECEDING) FROM {INPUT}"), "no length of time"),
        (pump(f"SELECT STREAM LISTAGG(x) FROM {INPUT} s GROUP BY FLOOR(s.ROWTIME TO MINUTE)"), "aggregate"),
        (pump("SELECT STREAM a FROM missing_stream_of_mine WHERE FROM"), "cannot be parsed"),
        ("CREATE FUNCTION f(x INTEGER) RETURNS INTEGER RETURN x + 1;", "only CREATE STREAM and CREATE PUMP"),
        ("CREATE PUMP p AS SELECT STREAM 1;", "`INSERT` is expected"),
    ],
)  # fmt: skip
def test_what_is_not_turned_is_named_with_what_to_do_instead(sql: str, text: str) -> None:
    found = refused(sql)
    assert text in found
    assert found.partition(" / ")[2], "no next step"


def test_views_of_views_and_several_pumps_into_one_stream() -> None:
    counts = pump(f"SELECT STREAM service, COUNT(*) FROM {INPUT} s {TUMBLING}", "svc VARCHAR(9), c INTEGER", "counts")
    assert "reads from the results of view `counts`" in refused(
        counts + pump("SELECT STREAM svc FROM counts WHERE c > 10")
    )
    chosen = f"SELECT STREAM * FROM {INPUT} WHERE status >= 500"
    both = turn(pump(chosen, "status INTEGER") + pump(chosen).replace("p_out", "p_other"))
    assert all("several pumps insert" in each for each in said(both, Kind.NOT_TURNED))
    counted = pump(f"SELECT STREAM service, COUNT(*) AS c FROM {INPUT} s {TUMBLING}")
    twice = turn(counted + counted.replace("p_out", "q_out"))
    assert sorted(twice.files) == ["out_p_out", "out_q_out"]


def test_places_are_those_of_the_text() -> None:
    sql = "-- a comment\n\n" + pump(f"SELECT STREAM a.x\nFROM {INPUT} a\n  JOIN ref r ON a.k = r.k")
    assert refused(sql).startswith("5:")
    with pytest.raises(ViewError, match="opened and not closed"):
        turn("CREATE STREAM 'x")
    with pytest.raises(ViewError, match="no statement"):
        turn(" -- nothing\n")


def test_words_of_sql_can_be_names() -> None:
    sql = pump(f"SELECT STREAM service FROM {INPUT} WHERE status > 3", "a VARCHAR(4)", '"select"').replace(
        'p_"select"', "p"
    ) + pump(
        'SELECT STREAM a, COUNT(*) AS x FROM "select" GROUP BY a, FLOOR("select".ROWTIME TO MINUTE)',
        '"order" VARCHAR(4), "end" INTEGER',
    )
    converted = turn(sql)
    assert converted.complete, said(converted, Kind.NOT_TURNED)
    assert "FROM v_select" in converted.files["out"]


def test_circles_end() -> None:
    sql = pump("SELECT STREAM * FROM b WHERE x = 1", "x INTEGER", "a") + pump(
        "SELECT STREAM * FROM a WHERE x = 2", "x INTEGER", "b"
    )
    assert all("circle" in each for each in said(turn(sql), Kind.NOT_TURNED))


def test_columns_are_mapped_as_the_schema_and_the_person_say() -> None:
    schema = json.dumps({"ApplicationDetail": {"InputDescriptions": [{"InputSchema": {"RecordColumns": [
        {"Name": "CODE", "Mapping": "$.status", "SqlType": "INTEGER"},
        {"Name": "PRICE", "Mapping": "$.order.price", "SqlType": "DOUBLE"},
        {"Name": "SYMBOL", "Mapping": "$.symbol", "SqlType": "VARCHAR(4)"},
    ]}}]}})  # fmt: skip
    given = read_schema(schema, DEFAULT_FIELDS) | parse_maps(["SYMBOL=service"], DEFAULT_FIELDS)
    converted = turn(pump(f"SELECT STREAM symbol, MAX(price) AS x, MIN(code) AS y FROM {INPUT} s GROUP BY symbol, "
                          "FLOOR(s.ROWTIME TO MINUTE)"), **given)  # fmt: skip
    text = " ".join(converted.files["out"].split())
    assert "service AS symbol, max(CAST(extra['order']['price'] AS DECIMAL(18, 6))) AS x, min(status) AS y" in text
    assert not [each for each in converted.report if each.subject.startswith("column")]
    for wrong in ("PRICE", "=x", "PRICE=nosuch"):
        with pytest.raises(Invalid):
            parse_maps([wrong], DEFAULT_FIELDS)
    for wrong in ("", "[]", "{"):
        with pytest.raises(Invalid):
            read_schema(wrong, DEFAULT_FIELDS)


# -- the numbers -----------------------------------------------------------------------------------------------------------


def log(count: int = 3_000) -> list[Record]:
    chance = random.Random(11)
    return [
        Record(
            at_us=1_790_000_000_000_000 + chance.randrange(300 * SECOND_US),
            service="shop",
            endpoint=chance.choice(["/login", "/home", "/pay", None]),
            status=chance.choice([200, 200, 404, 500, 503, None]),
            response_ms=chance.choice([None, Decimal(chance.randrange(2_000_000)) / 1000]),
        )
        for _ in range(count)
    ]


QUESTIONS = {
    "requests_by_endpoint": "SELECT at_us // 10000000 * 10000000, endpoint, count(*) FROM log GROUP BY ALL",
    "response_times": "SELECT at_us // 60000000 * 60000000, endpoint, avg(response_ms), max(response_ms), stddev_pop(response_ms) "
    "FROM log GROUP BY ALL",
    "failures_by_status": "SELECT at_us // 30000000 * 30000000, status, count(*) FROM log WHERE status >= 500 GROUP BY ALL",
}  # fmt: skip


def plain(records: list[Record], select: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """By one statement over the records as they are, with nothing of ours."""
    relation = table(records)
    with duckdb.connect() as connection:
        connection.register("given", relation)
        found = connection.sql(f"WITH log AS (SELECT epoch_us(timestamp) AS at_us, * FROM given) {select}").fetchall()
    return {row[:2]: row[2:] for row in found}


def compiled() -> dict[str, CompiledView]:
    converted = turn(APPLICATION.read_text())
    assert converted.complete, said(converted, Kind.NOT_TURNED)
    streams = [parse_stream_text(text, DEFAULT_FIELDS) for text in converted.files.values() if "CREATE STREAM" in text]
    linked = link_streams(streams, {})
    return {
        name: compile_view(text, DEFAULT_FIELDS, linked)
        for name, text in converted.files.items()
        if "CREATE VIEW" in text
    }


@pytest.fixture(scope="module")
def engine() -> Any:
    engine = Engine()
    yield engine
    engine.close()


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_numbers_are_those_of_plain_sql(engine: Engine, name: str) -> None:
    records, plan = log(), compiled()[name]
    parts = [engine.partial(plan, records[:1_000]), engine.partial(plan, records[1_000:])]
    answer = rows(engine.finalize(plan, engine.merge(plan, *parts)))
    expected = plain(records, QUESTIONS[name])
    assert {row[:2] for row in answer} == expected.keys()
    for row in answer:
        for found, wanted in zip(row[2:], expected[row[:2]], strict=True):
            assert (found is None) == (wanted is None)
            if found is not None:
                assert float(found) == pytest.approx(float(wanted), rel=1e-9, abs=1e-6)


def test_a_sliding_window_is_right_at_the_end_of_each_step(engine: Engine) -> None:
    records, plan = log(), compiled()["busy"]
    answer = rows(engine.finalize(plan, engine.partial(plan, records), over_us=60 * SECOND_US, step_us=10 * SECOND_US))
    expected: dict[tuple[int, Any], list[Record]] = defaultdict(list)
    for record in records:
        last = record.at_us // (10 * SECOND_US) * 10 * SECOND_US
        for start in range(last, last - 60 * SECOND_US, -10 * SECOND_US):
            expected[start, record.endpoint].append(record)
    assert {row[:2]: row[2] for row in answer} == {key: len(found) for key, found in expected.items()}


# -- the command -----------------------------------------------------------------------------------------------------------


def test_the_command_writes_files_that_pass_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "views"
    assert main(["import", "kinesis-analytics", str(APPLICATION), "-o", str(out)]) == 0
    assert "view `busy`" in capsys.readouterr().out
    files = sorted(out.glob("*.sql"))
    assert [file.stem for file in files] == [
        "busy",
        "failures",
        "failures_by_status",
        "requests_by_endpoint",
        "response_times",
    ]
    for file in files:
        assert main(["views", "check", str(file)]) == 0
    assert main(["import", "kinesis-analytics", str(APPLICATION), "-o", str(out), "--json"]) == 0
    files[0].write_text("-- my own\n")
    assert main(["import", "kinesis-analytics", str(APPLICATION), "-o", str(out)]) == 2
    assert files[0].read_text() == "-- my own\n"
    assert main(["import", "kinesis-analytics", str(APPLICATION), "-o", str(out), "--force"]) == 0


def test_the_command_says_what_it_could_not_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = tmp_path / "app.sql"
    app.write_text(pump(f"SELECT STREAM a.x FROM {INPUT} a JOIN ref r ON a.k = r.k"))
    assert main(["import", "kinesis-analytics", str(app), "--dry-run", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["complete"], found["written"]) == (False, [])
    assert found["report"][-1]["kind"] == "not turned"
    assert main(["import", "kinesis-analytics", str(tmp_path / "none.sql")]) == 2


def test_a_view_is_told_with_its_keys_and_its_aggregates_apart() -> None:
    sql = pump(
        f"SELECT STREAM service, COUNT(*) AS requests FROM {INPUT} AS s GROUP BY service, FLOOR(s.ROWTIME TO MINUTE)"
    )
    assert any("windows of 60 s, keys service; aggregates requests /" in text for text in said(turn(sql), Kind.TURNED))
