"""Hopping windows equal a plain count over the records of each: whatever the view, the filter, the bounds and the ranking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import CompiledView, compile_view
from tailrace.views.dialects.duckdb.hop import STEPS_MAX, hop_of
from tests.views.plain import PlainView, differences, number
from tests.views.rig import SECOND_US, Engine, Record, Row, rows
from tests.views.samples import ALL, EVERYTHING, batches

PLANS = {plain.sql: compile_view(plain.sql, DEFAULT_FIELDS) for plain in ALL}
HOUR_US = 3_600 * SECOND_US


def hopping(
    plain: PlainView, records: Sequence[Record], over_us: int, step_us: int, bounds: tuple[int | None, int | None]
) -> dict[Row, Row]:
    """By going through the windows of each record one by one."""
    begin, end = bounds
    members: dict[Row, list[Record]] = defaultdict(list)
    for (window, *keys), found in plain.groups(records).items():
        last = window // step_us * step_us
        for start in range(last, last - over_us, -step_us):
            assert start <= window < start + over_us
            if (begin is None or start >= begin) and (end is None or start < end):
                members[(start, *keys)] += found
    return {key: tuple(number(a, of) for a in plain.aggregates) for key, of in members.items()}


@pytest.mark.parametrize("plain", ALL, ids=lambda p: PLANS[p.sql].name)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=batches(12),
    count=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 12, 30]),
    factor=st.sampled_from([1, 1, 3]),
    bounds=st.tuples(st.none() | st.integers(-30, 8), st.none() | st.integers(-30, 8)),
)
@example(records=[Record(at_us=-1), Record(at_us=0), Record(at_us=1)], count=7, factor=1, bounds=(None, None))
def test_against_plain_python(
    engine: Engine,
    plain: PlainView,
    records: list[Record],
    count: int,
    factor: int,
    bounds: tuple[int | None, int | None],
) -> None:
    view = PLANS[plain.sql]
    step_us = plain.window_us * factor
    begin, end = (None if bound is None else bound * plain.window_us // 2 for bound in bounds)
    asked: dict[str, Any] = {"step_us": step_us, "over_us": step_us * count, "time_from": begin, "time_to": end}
    table = engine.finalize(view, engine.partial(view, records), **asked)
    found = rows(table)
    keys = len(plain.keys) + 1
    got = {row[:keys]: row[keys:] for row in found}
    assert len(got) == len(found)
    assert differences(got, hopping(plain, records, step_us * count, step_us, (begin, end))) == []
    assert table.column_names == [o.name for o in view.outputs]


def requests(columns: str = "count(*) AS n") -> CompiledView:
    window = "time_bucket(INTERVAL '10 seconds', timestamp) AS w"
    return compile_view(f"CREATE VIEW v AS SELECT {window}, endpoint, {columns} FROM logs GROUP BY ALL", DEFAULT_FIELDS)


def test_windows_at_the_edges_are_whole(engine: Engine) -> None:
    """A record a ten seconds for five minutes: every window that starts in the minute asked for holds all of its minute."""
    view = requests()
    states = engine.partial(view, [Record(at_us=i * 10 * SECOND_US) for i in range(30)])
    asked = {"over_us": 60 * SECOND_US, "time_from": 60 * SECOND_US + 1, "time_to": 120 * SECOND_US}
    got = rows(engine.finalize(view, states, **asked))
    assert [(row[0] // SECOND_US, row[2]) for row in got] == [(at, 6) for at in (70, 80, 90, 100, 110)]


def test_as_long_as_its_step_it_is_a_step(engine: Engine) -> None:
    view = PLANS[EVERYTHING.sql]
    states = engine.partial(view, [Record(at_us=i * 7 * SECOND_US, status=200 + i % 4) for i in range(60)])
    hop = engine.finalize(view, states, over_us=60 * SECOND_US, step_us=60 * SECOND_US)
    assert hop.equals(engine.finalize(view, states, step_us=60 * SECOND_US))


def test_top_ranks_once_and_merges_the_others(engine: Engine) -> None:
    """Each record counts once for the rank, though it is in six windows; the others are merged in each window."""
    view = requests("count(*) AS n, quantile(response_ms, 0.5) AS p, approx_count_distinct(ip) AS v")
    records = [
        Record(at_us=i * 10 * SECOND_US, endpoint=e, ip=f"10.0.0.{j}")
        for i in range(12)
        for e, many in (("/a", 3), ("/b", 2), ("/c", 1), (None, 1))
        for j in range(many)
    ]
    states = engine.partial(view, records)
    minute = 60 * SECOND_US
    asked: dict[str, Any] = {"over_us": minute, "top": ("n", 2), "time_from": 0, "time_to": minute}
    got = rows(engine.finalize(view, states, **asked))
    assert [(row[1], row[2], row[4], row[5]) for row in got[:3]] == [
        ("/a", 18, 3, 0),
        ("/b", 12, 2, 0),
        (None, 12, 1, 2),
    ]
    assert [row[0] // SECOND_US for row in got[::3]] == [0, 10, 20, 30, 40, 50]
    where = rows(engine.finalize(view, states, over_us=minute, where="endpoint = '/c'", limit=3, time_from=0))
    assert [(row[1], row[2]) for row in where] == [("/c", 6)] * 3


REFUSED = [
    ({"over_us": 15 * SECOND_US}, "over of `15s` is not a multiple of the view's window", "multiple of 10s"),
    ({"over_us": 0}, "not a multiple of the view's window", "multiple of 10s"),
    ({"over_us": -10 * SECOND_US}, "not a multiple", "multiple of 10s"),
    ({"over_us": 60 * SECOND_US, "step_us": 5 * SECOND_US}, "step of `5s` is not a multiple", "multiple of 10s"),
    ({"over_us": 70 * SECOND_US, "step_us": 20 * SECOND_US}, "not a multiple of the step of `20s`", "over=60s"),
    ({"over_us": 10 * SECOND_US, "step_us": 20 * SECOND_US}, "not a multiple of the step of `20s`", "over=20s"),
    ({"over_us": HOUR_US, "total": True}, "`total` and `over` exclude each other", "leave one of them out"),
    ({"over_us": 5 * HOUR_US}, "`1,800` steps of `10s`, more than 1,440", "a step of 20s or more"),
]


@pytest.mark.parametrize(("asked", "message", "hint"), REFUSED)
def test_refused(engine: Engine, asked: dict[str, Any], message: str, hint: str) -> None:
    view = requests()
    with pytest.raises(Invalid) as raised:
        engine.finalize(view, engine.partial(view, []), **asked)
    assert message in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize("over_s", range(14_410, 200_000, 7_770))
def test_the_step_that_is_named_will_do(over_s: int) -> None:
    view = requests()
    with pytest.raises(Invalid) as raised:
        hop_of(view, over_s * SECOND_US, None, None, None)
    step_s = int(raised.value.hint.split("step of ")[1].split("s ")[0])
    assert hop_of(view, over_s // step_s * step_s * SECOND_US, step_s * SECOND_US, None, None).count <= STEPS_MAX
