"""The checker finds a lost, a doubled and a moved record, in every view, and nothing where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.testing.load import compare, expected
from tailrace.testing.load.ack_log import Acked
from tailrace.testing.load.checked_views import SHIPPED, CheckedView, users_view
from tailrace.testing.load.plan import Lines, LoadPlan, lines_of
from tests.oracle.model import ENDPOINT_HEALTH, STATUS_BY_ENDPOINT, expected_rows, parse_all

PLAN = LoadPlan(seed=3, start_ms=1_790_000_000_000, rate=200, senders=2, lines_per_post=30, users=997)
ACKED = Acked(PLAN, (7, 6))
VIEWS = (*SHIPPED, users_view(997))
FOUND = expected.expected(ACKED, VIEWS)
ALL = expected.joined([lines_of(PLAN, sender, n) for sender, count in enumerate(ACKED.posts) for n in range(count)])
GOOD = expected.good_lines(ALL)
PLACE = st.integers(0, len(GOOD.at_ms) - 1)
each_view = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)


def answer(view: CheckedView, lines: Lines) -> pa.Table:
    """As a node would that holds these lines: times as decimals of three places, in no particular order."""
    rows = expected.grouped(view, lines)
    parts = [view.parts(int(code)) for code in rows.codes]
    columns: dict[str, Any] = {"window_start": pa.array([ms * 1000 for ms, _ in parts], pa.timestamp("us", "UTC"))}
    for place, key in enumerate(view.keys):
        columns[key.name] = pa.array([keys[place] for _, keys in parts])
    for name, measure in view.columns.items():
        if measure == "avg":
            columns[name] = pa.array(rows.measures["sum"] / 1000 / rows.measures["count"])
        elif measure in ("count", "errors"):
            columns[name] = pa.array(rows.measures[measure])
        else:
            exact = [Decimal(value).scaleb(-3) for value in rows.measures[measure].tolist()]
            columns[name] = pa.array(exact, pa.decimal128(38, 3))
    return pa.table(columns).take(np.arange(len(parts))[::-1])


def differences(view: CheckedView, lines: Lines) -> list[str]:
    return compare.differences(view, FOUND.rows[view.name], answer(view, lines))


def taken(lines: Lines, rows: Any) -> Lines:
    return Lines(*(getattr(lines, f.name)[rows] for f in fields(Lines)))


def changed(name: str, place: int, value: Callable[[int], int]) -> Lines:
    column = getattr(GOOD, name).copy()
    column[place] = value(int(column[place]))
    return replace(GOOD, **{name: column})


@each_view
def test_nothing_is_found_where_nothing_is_wrong(view: CheckedView) -> None:
    assert differences(view, GOOD) == []


@each_view
@settings(max_examples=20)
@given(place=PLACE)
def test_a_lost_record_is_found(view: CheckedView, place: int) -> None:
    assert differences(view, taken(GOOD, np.delete(np.arange(len(GOOD.at_ms)), place)))


@each_view
@settings(max_examples=20)
@given(place=PLACE)
def test_a_doubled_record_is_found(view: CheckedView, place: int) -> None:
    assert differences(view, taken(GOOD, np.append(np.arange(len(GOOD.at_ms)), place)))


@each_view
@settings(max_examples=20)
@given(place=PLACE, windows=st.integers(1, 50), back=st.booleans())
def test_a_record_in_another_window_is_found(view: CheckedView, place: int, windows: int, back: bool) -> None:
    by_ms = view.window_ms * (-windows if back else windows)
    assert differences(view, changed("at_ms", place, lambda at_ms: at_ms + by_ms))


@settings(max_examples=20)
@given(place=PLACE)
def test_a_record_of_another_user_is_found(place: int) -> None:
    assert differences(VIEWS[-1], changed("user", place, lambda user: (user + 1) % 997))


@settings(max_examples=20)
@given(place=PLACE)
def test_a_time_that_is_off_by_a_thousandth_is_found(place: int) -> None:
    for view in VIEWS:
        if "response_ms_sum" in view.columns:
            assert differences(view, changed("response", place, lambda thousandths: thousandths + 1))


def test_a_row_twice_and_a_row_of_a_stranger_are_found_and_named() -> None:
    users = VIEWS[-1]
    table = answer(users, GOOD)
    assert "twice" in compare.differences(users, FOUND.rows["users"], pa.concat_tables([table, table.slice(0, 1)]))[0]
    strange = table.slice(0, 1).set_column(1, "user", pa.array(["nobody"]))
    found = compare.differences(users, FOUND.rows["users"], pa.concat_tables([table, strange]))
    assert found == [f"users: a row that nobody sent: {strange.select(['window_start', 'user']).to_pylist()[0]}"]


def test_a_difference_names_the_window_the_keys_and_both_numbers() -> None:
    view = SHIPPED[2]
    code = int(view.codes(GOOD)[0])
    window_ms, keys = view.parts(code)
    table = answer(view, taken(GOOD, np.append(np.arange(len(GOOD.at_ms)), 0)))
    (found,) = compare.differences(view, FOUND.rows[view.name], table)
    count = int((view.codes(GOOD) == code).sum())
    assert f"endpoint {keys[0]}, status {keys[1]}: requests is {count + 1}, must be {count}" in found
    assert str(np.datetime64(window_ms, "ms"))[:19] in found


def test_counts_of_lines_are_those_of_the_posts() -> None:
    assert FOUND.stored == int(ALL.good.sum())
    assert FOUND.stored + FOUND.dead == 13 * 30


def test_it_is_the_same_however_much_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "LINES_AT_ONCE", 60)
    again = expected.expected(ACKED, VIEWS)
    for view in VIEWS:
        one, other = FOUND.rows[view.name], again.rows[view.name]
        assert one.codes.tolist() == other.codes.tolist()
        assert {n: v.tolist() for n, v in one.measures.items()} == {n: v.tolist() for n, v in other.measures.items()}


def test_it_says_what_the_slow_model_says_of_the_bytes() -> None:
    """The model reads the lines as they are sent, and knows nothing of plans."""
    from tailrace.testing.load.plan import body_of

    records = parse_all(body_of(ALL).split(b"\n"))
    for view, model in ((SHIPPED[1], ENDPOINT_HEALTH), (SHIPPED[2], STATUS_BY_ENDPOINT)):
        rows = expected_rows(model, records)
        table = pa.table({name: [row[at] for row in rows] for at, name in enumerate(model.columns)})
        table = table.set_column(0, "window_start", table["window_start"].cast(pa.timestamp("us", "UTC")))
        assert compare.differences(view, FOUND.rows[view.name], table) == []


@settings(max_examples=50)
@given(st.integers(1, 400))
def test_slices_are_all_of_time_and_each_row_is_in_one(rows_a_slice: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "ROWS_A_SLICE", rows_a_slice)
        for view in VIEWS:
            rows = FOUND.rows[view.name]
            parts = compare.slices(view, rows)
            assert (parts[0][0], parts[-1][1]) == (None, None)
            assert [end for _, end in parts[:-1]] == [start for start, _ in parts[1:]]
            codes = [compare.part(view, rows, *bounds).codes for bounds in parts]
            assert np.concatenate(codes).tolist() == rows.codes.tolist()
