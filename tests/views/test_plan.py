"""What a view is compiled to: columns, states that are shared, and a version that changes exactly when the numbers can."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields
from tailrace.views import CompiledView, compile_view, load_folder, shipped_views
from tailrace.views import plan as plan_module
from tailrace.views.plan import plan_version

BASE = """CREATE VIEW v AS
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
       endpoint AS e,
       count(*) AS n,
       avg(response_ms) AS a
FROM logs WHERE status >= 500 GROUP BY ALL"""
BASE_VERSION = "111bcb0c1b7fe24c"


def compiled(sql: str, fields: Fields = DEFAULT_FIELDS) -> CompiledView:
    return compile_view(sql, fields)


def of(columns: str, rest: str = "FROM logs GROUP BY ALL") -> CompiledView:
    return compiled(f"CREATE VIEW v AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, {columns} {rest}")


class TestVersion:
    def test_is_what_it_was(self) -> None:
        """Stored states are found by it: a change here means that every view is rebuilt from history."""
        assert compiled(BASE).version == BASE_VERSION

    @pytest.mark.parametrize(
        "same",
        [
            BASE.replace("\n", "  "),
            BASE.lower().replace("interval", "INTERVAL"),
            BASE.upper().replace("'10 SECONDS'", "'10 seconds'"),
            BASE + ";",
            BASE.replace("FROM", "-- a comment\nFROM /* another */"),
            BASE.replace("GROUP BY ALL", "GROUP BY window_start, e"),
            BASE.replace("GROUP BY ALL", "GROUP BY 2, 1"),
            BASE.replace("GROUP BY ALL", "GROUP BY time_bucket(INTERVAL '10 seconds', timestamp), endpoint"),
            BASE.replace("'10 seconds'", "10 SECOND"),
            BASE.replace("'10 seconds', timestamp", "'10 seconds', timestamp, TIMESTAMPTZ '1970-01-01 00:00:00+00'"),
            BASE.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"),
            BASE.replace("endpoint AS e", "logs.endpoint AS E"),
            BASE.replace("status >= 500", "(status >= 500.0)"),
            BASE.replace("count(*)", "count(1)"),
        ],
    )
    def test_does_not_depend_on_the_writing(self, same: str) -> None:
        assert compiled(same).version == BASE_VERSION

    @pytest.mark.parametrize(
        "other",
        [
            BASE.replace("VIEW v", "VIEW v2"),
            BASE.replace("10 seconds", "20 seconds"),
            BASE.replace("endpoint AS e", "service AS e"),
            BASE.replace("endpoint AS e", "endpoint AS e2"),
            BASE.replace("endpoint AS e", "lower(endpoint) AS e"),
            BASE.replace("endpoint AS e,", "endpoint AS e, status,"),
            BASE.replace("count(*) AS n", "count(ip) AS n"),
            BASE.replace("count(*) AS n", "count(*) FILTER (WHERE status >= 500) AS n"),
            BASE.replace("count(*) AS n", "count(*) AS m"),
            BASE.replace("count(*) AS n,", ""),
            BASE.replace("avg(response_ms)", "sum(response_ms)"),
            BASE.replace("avg(response_ms)", "avg(status)"),
            BASE.replace("avg(response_ms)", "quantile(response_ms, 0.5)"),
            BASE.replace("500", "501"),
            BASE.replace(">= 500", "> 500"),
            BASE.replace("WHERE status >= 500 ", ""),
            BASE.replace("status >= 500", "status >= 500 OR status IS NULL"),
            BASE.replace(
                "count(*) AS n,\n       avg(response_ms) AS a", "avg(response_ms) AS a,\n       count(*) AS n"
            ),
        ],
    )
    def test_changes_with_the_numbers(self, other: str) -> None:
        assert compiled(other).version != BASE_VERSION

    def test_quantiles_and_their_fractions_count(self) -> None:
        versions = {of(f"quantile(response_ms, {q}) AS p").version for q in ("0.5", "0.99", "0.999", "1")}
        assert len(versions) == 4
        assert of("quantile(response_ms, 0.50) AS p").version == of("quantile(response_ms, .5) AS p").version

    def test_depends_on_where_its_fields_are_in_records_of_other_settings(self) -> None:
        user = Field("user_id", FieldKind.TEXT)
        kinds = [user, replace(user, source="userId"), replace(user, source="uid")]
        sql = BASE.replace("endpoint AS e", "user_id AS e")
        assert len({compiled(sql, Fields((*DEFAULT_FIELDS.all, kind))).version for kind in kinds}) == 3
        member = BASE.replace("endpoint AS e", "extra['userId'] AS e")
        versions = [compiled(member, Fields((*DEFAULT_FIELDS.all, kind))).version for kind in kinds]
        assert versions[0] == versions[2] == compiled(member).version != versions[1]
        named = BASE.replace("endpoint AS e", "extra['user_id']['x'] AS e")
        assert compiled(named, Fields((*DEFAULT_FIELDS.all, user))).version != compiled(named).version
        assert compiled(BASE, Fields((*DEFAULT_FIELDS.all, user))).version == BASE_VERSION

    def test_depends_on_the_scale_of_a_field(self) -> None:
        other = Fields(tuple(replace(f, scale=6) if f.name == "response_ms" else f for f in DEFAULT_FIELDS.all))
        assert compiled(BASE, other).version != BASE_VERSION

    def test_does_not_depend_on_fields_that_are_not_read_nor_on_units(self) -> None:
        other = Fields((*(replace(f, unit="x") for f in DEFAULT_FIELDS.all), Field("more", FieldKind.TEXT)))
        assert compiled(BASE, other).version == BASE_VERSION

    def test_depends_on_the_format_of_states(self, monkeypatch: pytest.MonkeyPatch) -> None:
        view = compiled(BASE)
        monkeypatch.setattr(plan_module, "STATE_FORMAT", plan_module.STATE_FORMAT + 1)
        assert plan_version(view) != BASE_VERSION


class TestStates:
    def test_equal_states_are_kept_once(self) -> None:
        view = of(
            "count(response_ms) AS c, avg(response_ms) AS a, sum(response_ms) AS s, avg(response_ms) AS b, "
            "quantile(response_ms, 0.5) AS p50, quantile(response_ms, 0.99) AS p99, quantile(status, 0.5) AS q, "
            "approx_count_distinct(ip) AS d, approx_count_distinct(ip) AS d2"
        )
        assert [(s.name, s.function, s.merge, s.sql_type) for s in view.scalars] == [
            ("s0", "count", "sum", "BIGINT"),
            ("s1", "sum", "sum", "DECIMAL(38,0)"),
        ]
        assert [(o.name, o.states, o.agg) for o in view.outputs[1:]] == [
            ("c", ("s0",), None), ("a", ("s1", "s0"), None), ("s", ("s1",), None), ("b", ("s1", "s0"), None),
            ("p50", (), 0), ("p99", (), 0), ("q", (), 1), ("d", (), 0), ("d2", (), 0),
        ]  # fmt: skip
        assert (len(view.bin_aggs), len(view.register_aggs)) == (2, 1)

    def test_a_filter_makes_another_state(self) -> None:
        view = of(
            "sum(status) AS a, sum(status) FILTER (WHERE status > 1) AS b, sum(status) FILTER (WHERE status > 1) AS c"
        )
        assert [o.states for o in view.outputs[1:]] == [("s0",), ("s1",), ("s1",)]

    def test_a_view_without_scalars_counts_anyway(self) -> None:
        """Every key needs a row that its quantiles and distinct counts can be joined to."""
        view = of("quantile(response_ms, 0.5) AS p")
        assert [s.function for s in view.scalars] == ["count"]
        assert [o.name for o in view.outputs] == ["w", "p"]


class TestColumns:
    def test_kinds_types_and_units(self) -> None:
        view = of(
            "endpoint, status, response_ms AS took, status > 1 AS b, status + 1 AS more, response_ms * 0.5 AS half, "
            "extra['x'] AS x, count(*) AS n, sum(response_ms) AS s, avg(response_ms) AS a, min(response_ms) AS mi, "
            "max(status) AS ma, max(timestamp) AS newest, quantile(response_ms, 0.5) AS p, approx_count_distinct(ip) AS d, "
            "sum(response_ms * 2) AS twice"
        )
        assert [(o.name, o.kind, o.sql_type, o.unit) for o in view.outputs] == [
            ("w", "window", "TIMESTAMP WITH TIME ZONE", None),
            ("endpoint", "key", "VARCHAR", None),
            ("status", "key", "INTEGER", None),
            ("took", "key", "DECIMAL(18,3)", None),
            ("b", "key", "BOOLEAN", None),
            ("more", "key", "BIGINT", None),
            ("half", "key", "DECIMAL(18,4)", None),
            ("x", "key", "VARCHAR", None),
            ("n", "count", "BIGINT", None),
            ("s", "sum", "DECIMAL(38,3)", "ms"),
            ("a", "avg", "DOUBLE", "ms"),
            ("mi", "min", "DECIMAL(18,3)", "ms"),
            ("ma", "max", "INTEGER", None),
            ("newest", "max", "TIMESTAMP WITH TIME ZONE", None),
            ("p", "quantile", "DOUBLE", "ms"),
            ("d", "distinct", "BIGINT", None),
            ("twice", "sum", "DECIMAL(38,3)", None),
        ]
        assert [(k.name, k.sql_type) for k in view.keys] == [
            (o.name, o.sql_type) for o in view.outputs if o.kind == "key"
        ]

    @pytest.mark.parametrize(
        ("width", "seconds"),
        [
            ("'10 seconds'", 10),
            ("'1 second'", 1),
            ("5 MINUTES", 300),
            ("'1' HOUR", 3600),
            ("'1 day'", 86400),
            ("(30) SECONDS", 30),
        ],
    )
    def test_window(self, width: str, seconds: int) -> None:
        view = compiled(
            f"CREATE VIEW v AS SELECT time_bucket(INTERVAL {width}, timestamp), count(*) AS n FROM logs GROUP BY ALL"
        )
        assert view.window_us == seconds * 1_000_000
        assert view.outputs[0].name == "window_start"

    def test_the_plan_can_be_sent_to_another_process(self) -> None:
        for _, sql in shipped_views():
            view = compiled(sql)
            assert pickle.loads(pickle.dumps(view)) == view
            assert hash(view) == hash(compiled(sql))

    def test_the_text_is_kept_as_written(self) -> None:
        assert compiled(f"\n  {BASE};\n").sql == f"{BASE};"
        assert compiled(BASE.replace("VIEW v", "VIEW Slow_By_IP")).name == "slow_by_ip"


class TestFiles:
    def test_shipped(self) -> None:
        views = {name: compiled(sql) for name, sql in shipped_views()}
        assert {name: view.name for name, view in views.items()} == {name: name for name in views}
        assert {name: ([k.name for k in view.keys], view.window_us // 1_000_000) for name, view in views.items()} == {
            "overall_health": ([], 10),
            "endpoint_health": (["endpoint"], 10),
            "status_by_endpoint": (["endpoint", "status"], 10),
            "records_by_service": (["service", "endpoint", "status"], 10),
            "traffic_by_network": (["network"], 60),
        }

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "b.sql").write_text(BASE, encoding="utf-8")
        (tmp_path / "a.sql").write_text("not a view", encoding="utf-8")
        (tmp_path / "c.sql").write_bytes(b"CREATE VIEW \xff")
        (tmp_path / "d.sql").mkdir()
        (tmp_path / "notes.txt").write_text(BASE, encoding="utf-8")
        found = load_folder(tmp_path)
        assert [(path.name, name) for path, name, _ in found] == [
            ("a.sql", None),
            ("b.sql", "v"),
            ("c.sql", None),
            ("d.sql", None),
        ]
        assert found[1][2] == BASE
        assert found[3][2] == ""

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        assert load_folder(tmp_path / "views") == []
