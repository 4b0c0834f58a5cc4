"""The n largest keys stay, all others are merged exactly: no number may change because of what is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import compile_view
from tailrace.views.dialects.duckdb import finalize_statement
from tests.views.plain import differences, number
from tests.views.rig import Engine, Record, Row, rows
from tests.views.samples import EVERYTHING, KEYLESS, NETWORKS, batches

EVERYTHING_VIEW = compile_view(EVERYTHING.sql, DEFAULT_FIELDS)
KEYS = len(EVERYTHING.keys)


def order(value: Any) -> tuple[bool, Any]:
    """Ascending with NULL last."""
    return (value is None, 0 if value is None else value)


def plain_top(records: Sequence[Record], column: str, n: int, windows: bool) -> list[Row]:
    """Rows as finalize must give them, with floats as exact fractions, and `_others` last."""
    index = [a.name for a in EVERYTHING.aggregates].index(column)
    by_key: dict[Row, list[Record]] = defaultdict(list)
    for record in records:
        by_key[tuple(key(record) for key in EVERYTHING.keys)].append(record)
    sizes = {key: number(EVERYTHING.aggregates[index], members) for key, members in by_key.items()}

    def rank(key: Row) -> tuple[Any, ...]:
        size = sizes[key]
        return (size is None, 0 if size is None else -size, *map(order, key))

    kept = set(sorted(by_key, key=rank)[:n])
    merged = len(by_key) - len(kept)
    groups: dict[Row, list[Record]] = defaultdict(list)
    for record in records:
        key = tuple(key(record) for key in EVERYTHING.keys)
        window = record.at_us // EVERYTHING.window_us * EVERYTHING.window_us if windows else None
        shown = key if key in kept else (None,) * KEYS
        groups[(window, key not in kept, *shown)].append(record)
    found = sorted(groups, key=lambda group: tuple(map(order, group)))
    return [
        (window, *key, *(number(a, groups[window, other, *key]) for a in EVERYTHING.aggregates), merged if other else 0)
        for window, other, *key in found
    ]


@settings(max_examples=18, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=batches(),
    column=st.sampled_from(["n", "total", "mean", "p50", "visitors", "least", "failed"]),
    n=st.integers(1, 6),
    windows=st.booleans(),
)
def test_against_plain_python(engine: Engine, records: list[Record], column: str, n: int, windows: bool) -> None:
    states = engine.partial(EVERYTHING_VIEW, records)
    table = engine.finalize(EVERYTHING_VIEW, states, top=(column, n), total=not windows)
    assert table.column_names[-1] == "_others"
    got, wanted = rows(table), plain_top(records, column, n, windows)
    key = KEYS + 1
    # Compared in order; the place stands in for the key, since the row of others has the keys of a row of NULLs.
    as_numbers = [{(i, *row[:key], row[-1]): row[key:-1] for i, row in enumerate(side)} for side in (got, wanted)]
    assert differences(*as_numbers) == []


def test_a_key_of_nulls_is_not_the_row_of_others(engine: Engine) -> None:
    view = compile_view(NETWORKS.sql, DEFAULT_FIELDS)
    records = [Record(ip=None)] * 3 + [Record(ip="10.0.0.1")] * 2 + [Record(ip="10.0.1.1")]
    states = engine.partial(view, records)
    table = engine.finalize(view, states, top=("n", 1), total=True).select(["network", "n", "_others"])
    assert rows(table) == [(None, 3, 0), (None, 3, 2)]


def test_fewer_keys_than_asked_for_merge_nothing(engine: Engine) -> None:
    view = compile_view(NETWORKS.sql, DEFAULT_FIELDS)
    states = engine.partial(view, [Record(ip="10.0.0.1"), Record(ip="10.0.1.1")])
    table = engine.finalize(view, states, top=("N", 5))
    assert table["_others"].to_pylist() == [0, 0]


@pytest.mark.parametrize(
    ("plain", "top", "message", "hint"),
    [
        (KEYLESS, ("half", 3), "has no keys to rank", "leave `top` out"),
        (NETWORKS, ("network", 3), "cannot be ranked by `network`", "n, total, p50"),
        (NETWORKS, ("w", 3), "cannot be ranked by `w`", "n, total, p50"),
        (NETWORKS, ("n; DROP TABLE x", 3), "cannot be ranked by", "n, total, p50"),
        (NETWORKS, ("n", 0), "top `0` is not between", "20"),
        (NETWORKS, ("n", 10_001), "top `10001` is not between", "20"),
    ],
)
def test_refused(plain: Any, top: tuple[str, int], message: str, hint: str) -> None:
    with pytest.raises(Invalid, match=message.replace("`", ".")) as raised:
        finalize_statement(compile_view(plain.sql, DEFAULT_FIELDS), scalars="s", bins="b", registers="r", top=top)
    assert hint in raised.value.hint
