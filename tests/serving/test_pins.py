"""What a pin keeps of an answer, and how it tells that another one came out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tailrace.errors import Invalid
from tailrace.serving.pins import absolute, compared

NOW_US = 1_790_000_000_000_000


def result(*rows: list[Any], **more: Any) -> bytes:
    return json.dumps({"columns": ["a", "b"], "rows": rows, "others": 0, "truncated": False, **more}).encode()


def test_relative_times_become_absolute_and_everything_else_text() -> None:
    query = {"from": "now-1h", "to": "now", "top": 5, "total": False, "columns": ["a", "b"], "where": None}
    assert absolute(query, NOW_US) == {
        "from": "2026-09-21T13:13:20Z",
        "to": "2026-09-21T14:13:20Z",
        "top": "5",
        "total": "false",
        "columns": "a,b",
    }
    assert absolute({"keys": ["a", "b"]}, NOW_US) == {"keys": "a,b"}
    assert absolute({"keys": []}, NOW_US) == {"keys": ""}
    assert absolute({"from": "2026-09-21T13:13:20+02:00"}, NOW_US) == {"from": "2026-09-21T11:13:20Z"}
    assert json.loads(absolute({"at": {"shard": None}}, NOW_US)["at"]) == {"shard": None}


@pytest.mark.parametrize(
    "query", [{"from": "now-"}, {"to": 5}, {"step": ["1m"]}, {"where": {}}, {"columns": [1]}, {"limit": 1.5}]
)
def test_what_is_no_parameter_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        absolute(query, NOW_US)


def test_the_same_values_are_no_difference_however_they_are_written() -> None:
    one = result([1, 0.5], [2, None])
    assert compared(one, one) is None
    assert compared(one, one.replace(b" ", b"").replace(b"0.5", b"0.50")) is None


@pytest.mark.parametrize(
    ("found", "row", "stored", "recomputed"),
    [
        (result([1, 0.5], [2, 3]), 1, "[2, None]", "[2, 3]"),
        (result([1, 0.5]), 1, "[2, None]", "None"),
        (result([1, 0.5], [2, None], [3, 3]), 2, "None", "[3, 3]"),
        (result([1, 0.5], [2, None], others=1), None, "None", "None"),
        (result([1, 0.5], [2, None], columns=["a", "c"]), None, "None", "None"),
    ],
)
def test_the_first_row_that_differs_is_named(found: bytes, row: int | None, stored: str, recomputed: str) -> None:
    difference = compared(result([1, 0.5], [2, None]), found)
    assert difference is not None
    assert difference.row == row
    assert (str(difference.stored), str(difference.recomputed)) == (stored, recomputed)


def test_a_digit_that_a_float_does_not_hold_is_a_difference() -> None:
    exact, other = (b'{"columns":[],"rows":[[12345678901234567890.%d]],"others":0}' % n for n in (1, 2))
    assert compared(exact, other) is not None
