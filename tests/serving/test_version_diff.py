"""Rows of two versions, compared by key: equal, changed, gone and new are told apart, and counted whatever is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.serving.version_diff import Row, Side, compare
from tailrace.views import compile_view

VIEW = compile_view(
    "CREATE VIEW v AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, endpoint, count(*) AS n FROM logs GROUP BY ALL",
    DEFAULT_FIELDS,
)
rows = st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(["/x", None])), st.tuples(st.integers(0, 3)))


@given(rows, rows, st.integers(0, 3))
def test_every_row_is_in_one_heap(before: dict[Row, Row], now: dict[Row, Row], limit: int) -> None:
    found = compare(Side(VIEW, before), Side(VIEW, now), ["w", "endpoint"], ["n"], limit)
    counts, shown = found["rows"], found["differences"]
    assert counts["equal"] + counts["changed"] + counts["gone"] == counts["before"] == len(before)
    assert counts["equal"] + counts["changed"] + counts["new"] == counts["now"] == len(now)
    assert len(shown) == min(limit, counts["changed"] + counts["gone"] + counts["new"])
    for row in shown:
        key = (row["w"], row["endpoint"])
        values = row["columns"]["n"]
        assert (values["before"], values["now"]) == (before.get(key, (None,))[0], now.get(key, (None,))[0])
        assert row["change"] == ("new" if key not in before else "gone" if key not in now else "changed")


def test_a_view_compared_with_itself_is_equal() -> None:
    side = Side(VIEW, {("a", "/x"): (1,), ("b", None): (2,)})
    assert compare(side, side, ["w", "endpoint"], ["n"], 9) == {
        "rows": {"before": 2, "now": 2, "equal": 2, "changed": 0, "gone": 0, "new": 0},
        "differences": [],
    }
