"""A dashboard reads back as it was written, the schema and the reader say the same, and every mistake is told with its place."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.dashboard.boards.expression import parse_field
from tailrace.dashboard.boards.lint import ViewNames, warnings
from tailrace.dashboard.boards.model import ORDER, Dashboard
from tailrace.dashboard.boards.read import dashboard_of, read_dashboard, revision_of, whole, written
from tailrace.dashboard.boards.schema import dashboard_schema
from tailrace.dashboard.boards.store import shipped
from tailrace.errors import Invalid, TooLarge
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import compile_view, shipped_views

SCHEMA = jsonschema_rs.Draft202012Validator(dashboard_schema())
DURATIONS = st.sampled_from(["10s", "15m", "1h30m", "7d"])
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True).filter(lambda name: name not in ("from", "to"))
TEXTS = st.text(max_size=20)
NUMBERS = st.integers(-1_000, 1_000) | st.floats(-1e6, 1e6, allow_nan=False)


def sometimes(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


FIELDS = st.lists(st.sampled_from(["requests", "rate = errors / requests", "-(a + 2.5) * b"]), max_size=3)
VIEW_DATA = st.tuples(
    st.fixed_dictionaries({"view": TEXTS}),
    sometimes(
        fields=FIELDS,
        by=st.none() | TEXTS,
        where=st.none() | TEXTS,
        step=st.just("auto") | DURATIONS,
        over=st.none() | DURATIONS,
        limit=st.integers(1, 1_000),
        order=st.none() | TEXTS,
        total=st.booleans(),
    ),
).map(lambda parts: parts[0] | parts[1])
OPTIONS = sometimes(
    unit=st.sampled_from(["", "ms", "percent"]),
    decimals=st.none() | st.integers(0, 9),
    min=st.none() | NUMBERS,
    thresholds=st.lists(
        st.fixed_dictionaries({"value": NUMBERS, "level": st.sampled_from(["good", "bad"])}), max_size=2
    ),
    orientation=st.sampled_from(["vertical", "horizontal"]),
    stacked=st.booleans(),
    text=TEXTS,
)
PANELS = st.tuples(
    st.fixed_dictionaries({"kind": st.sampled_from(["number", "line", "bar", "map", "text", "logs"])}),
    sometimes(
        title=TEXTS,
        place=st.fixed_dictionaries({"x": st.integers(0, 12), "y": st.integers(0, 99), "w": st.integers(1, 12)}),
        data=st.none() | VIEW_DATA | st.fixed_dictionaries({"sql": st.text(min_size=1, max_size=30)}),
        options=OPTIONS,
    ),
).map(lambda parts: parts[0] | parts[1])
TIMES = st.fixed_dictionaries({"over": DURATIONS}) | st.just(
    {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
)


@st.composite
def dashboards(draw: st.DrawFn) -> dict[str, Any]:
    panels = [{"id": f"p{n}", **panel} for n, panel in enumerate(draw(st.lists(PANELS, max_size=4)))]
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    rest = draw(
        sometimes(
            version=st.just(1),
            description=TEXTS,
            tags=st.lists(TEXTS, max_size=2),
            time=TIMES,
            live=st.booleans(),
            compare=st.none() | DURATIONS,
            annotations=st.lists(st.sampled_from(["deploy", "alert", "test"]), max_size=2),
        )
    )
    variables = [{"name": name, "values": draw(st.lists(TEXTS, max_size=2))} for name in names]
    return {"uid": "a-1", "title": draw(TEXTS.filter(bool)), "panels": panels, "variables": variables, **rest}


@given(dashboards())
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_as_the_same(value: dict[str, Any]) -> None:
    board = dashboard_of(value)
    content = written(board)
    assert read_dashboard(content) == board
    assert written(read_dashboard(content)) == content, "the same dashboard has one form"
    assert content.endswith(b"}\n")
    assert list(json.loads(content)) == list(ORDER)
    SCHEMA.validate(value)
    SCHEMA.validate(json.loads(content))
    given_members = {name: each for name, each in value.items() if name in ("uid", "title", "tags", "time", "compare")}
    assert whole(board).items() >= given_members.items()


GOOD: dict[str, Any] = {
    "uid": "good",
    "title": "Good",
    "variables": [{"name": "endpoint", "view": "endpoint_health", "field": "endpoint"}],
    "panels": [
        {"id": "p1", "kind": "line", "data": {"view": "endpoint_health", "fields": ["requests"]}},
        {"id": "p2", "kind": "table", "data": {"sql": "SELECT 1"}},
    ],
}
MISTAKES: list[tuple[str, Any, str, str]] = [
    ("titel", "x", "`titel`", "did you mean `title`?"),
    ("version", 2, "`version`", "write one of: 1"),
    ("uid", "Upper", "`uid`", "a-z, 0-9 and -"),
    ("uid", "ends\n", "`uid`", "a-z, 0-9 and -"),
    ("uid", "schema", "`uid`", "another name"),
    ("live", 1, "`live`: expected true or false", ""),
    ("time", {"over": "0s"}, "`time.over`", "15m"),
    ("time", {"over": "15 m"}, "`time.over`", "15m"),
    ("time", {"from": "2026-01-01T00:00:00Z"}, "`time`", "needed: none or from, to"),
    ("time", {"from": "x", "to": "2026-01-01T00:00:00Z"}, "`time.from`", "2026-11-22T10:00:00Z"),
    ("time", {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "`time.to`", "later"),
    ("compare", "99999999999d", "`compare`", "at most"),
    ("panels.0.kind", "pie", "`panels[0].kind`", "gauge"),
    ("panels.1.id", "p1", "`panels[1].id`: `p1`", "its own"),
    ("panels.0.place", {"x": 20, "w": 8}, "`panels[0].place.w`", "24"),
    ("panels.0.place", {"w": 0}, "`panels[0].place.w`", "at least 1"),
    ("panels.0.data", 7, "`panels[0].data`: expected an object", ""),
    ("panels.0.data", {"fields": []}, "`panels[0].data`", "needed: view or sql"),
    ("panels.0.data.view", 7, "`panels[0].data.view`: expected text, got a whole number", ""),
    ("panels.0.data.vew", "x", "`panels[0].data.vew`", "did you mean `view`?"),
    ("panels.0.data.fields", ["a", "b +"], "`panels[0].data.fields[1]`", "server_errors / requests"),
    ("panels.0.data.limit", 0, "`panels[0].data.limit`", "at least 1"),
    ("panels.1.data.limit", 5, "`panels[1].data.limit`", "there are"),
    ("panels.0.options", {"min": 3, "max": 3}, "`panels[0].options.max`", "below"),
    ("panels.0.options", {"thresholds": [{"value": "x"}]}, "`panels[0].options.thresholds[0].value`", ""),
    ("variables.0.name", "from", "`variables[0].name`", "time range"),
    ("variables.0.field", None, "`variables[0].field`", "write both"),
    ("variables.0.values", ["a"], "`variables[0].values`", "leave one"),
]


@pytest.mark.parametrize(("path", "value", "message", "hint"), MISTAKES, ids=lambda each: str(each)[:24])
def test_a_mistake_is_told_with_its_place_and_what_to_write(path: str, value: Any, message: str, hint: str) -> None:
    wrong = copy.deepcopy(GOOD)
    *steps, last = path.split(".")
    at: Any = wrong
    for step in steps:
        at = at[int(step)] if step.isdigit() else at[step]
    at[last] = value
    with pytest.raises(Invalid) as found:
        dashboard_of(wrong)
    assert message in found.value.message
    assert hint in found.value.hint
    assert found.value.hint


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"uid":"a"}', b"\xff", b"[" * 5_000])
def test_what_is_no_dashboard_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        read_dashboard(content)


def test_a_file_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(TooLarge):
        read_dashboard(b" " * ((1 << 20) + 1))


@given(
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)
    )
)
@settings(max_examples=60, deadline=None)
def test_anything_in_a_panel_is_read_or_refused_as_the_schema_says(data: Any) -> None:
    value = {"uid": "a", "title": "A", "panels": [{"id": "p", "kind": "line", "data": data}]}
    try:
        dashboard_of(value)
    except Invalid:
        return
    assert SCHEMA.is_valid(value)


@pytest.mark.parametrize(
    ("text", "name", "columns"),
    [
        ("requests", None, ("requests",)),
        (" error_rate=server_errors / requests ", "error_rate", ("server_errors", "requests")),
        ("x = -(a + b) * 2.5 / a", "x", ("a", "b")),
        ("100", None, ()),
    ],
)
def test_fields_are_columns_or_arithmetic(text: str, name: str | None, columns: tuple[str, ...]) -> None:
    field = parse_field(text)
    assert (field.name, field.columns) == (name, columns)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("a +", 4),
        ("a b", 3),
        ("(a", 3),
        ("a % b", 3),
        ("= a", 1),
        ("a = b = c", 7),
        ("a.b", 2),
        ("f(x)", 2),
        ("1 = a", 3),
    ],
)
def test_other_fields_are_refused_at_their_place(text: str, place: int) -> None:
    with pytest.raises(Invalid, match=f"character {place} of"):
        parse_field(text)


def test_brackets_without_end_are_refused() -> None:
    with pytest.raises(Invalid, match="nested too deeply"):
        parse_field("(" * 200)


def views() -> dict[str, ViewNames]:
    found = {}
    for name, sql in shipped_views():
        view = compile_view(sql, DEFAULT_FIELDS)
        keys = tuple(key.name for key in view.keys)
        found[name] = ViewNames(keys, tuple(o.name for o in view.outputs if o.kind not in ("key", "window")))
    return found


def test_shipped_dashboards_are_in_their_written_form_and_name_only_what_there_is() -> None:
    assert "service-health" in shipped()
    for uid, kept in shipped().items():
        assert kept.dashboard is not None
        assert kept.dashboard.uid == uid
        assert kept.content == written(kept.dashboard), "run: tailrace dashboards export"
        assert warnings(kept.dashboard, views()) == []


def test_panels_of_shipped_dashboards_do_not_overlap() -> None:
    for kept in shipped().values():
        assert kept.dashboard is not None
        cells = [
            (x, y)
            for panel in kept.dashboard.panels
            for x in range(panel.place.x, panel.place.x + panel.place.w)
            for y in range(panel.place.y, panel.place.y + panel.place.h)
        ]
        assert len(cells) == len(set(cells))


def test_what_is_not_there_is_warned_of_and_read_all_the_same() -> None:
    wrong = copy.deepcopy(GOOD)
    wrong["panels"] = [
        {"id": "a", "kind": "line", "data": {"view": "endpoint_helth", "fields": ["x"]}},
        {
            "id": "b",
            "kind": "line",
            "data": {
                "view": "endpoint_health",
                "fields": ["r = request / visitors"],
                "by": "ip",
                "order": "nothing",
                "where": "endpoint = $endpoint AND '$quoted' = $service",
            },
        },
        {"id": "c", "kind": "table", "data": {"sql": "SELECT $from, $nobody"}},
        {"id": "d", "kind": "gauge"},
        {"id": "e", "kind": "text"},
    ]
    told = warnings(dashboard_of(wrong), views())
    assert [path for path, _ in told] == [
        "panels[0].data.view",
        "panels[1].data.fields[0]",
        "panels[1].data.by",
        "panels[1].data.order",
        "panels[1].data.where",
        "panels[2].data.sql",
        "panels[3].data",
        "panels[4].options.text",
    ]
    assert "did you mean `endpoint_health`?" in told[0][1]


def test_the_revision_is_that_of_the_bytes() -> None:
    board = dashboard_of(GOOD)
    renamed = msgspec.structs.replace(board, title="Other")
    assert isinstance(renamed, Dashboard)
    assert revision_of(written(board)) == revision_of(written(dashboard_of(GOOD)))
    assert revision_of(written(board)) != revision_of(written(renamed))
