"""The language of rules."""

from __future__ import annotations

import numpy as np
import pytest

from tailrace.alerts.expression import parse_formula
from tailrace.errors import Invalid

COLUMNS = {"a": np.array([1.0, 4.0, np.nan]), "b": np.array([2.0, 0.0, 3.0])}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("100 * a / b", [50, np.nan, np.nan]),
        ("-(A - b)", [1, -4, np.nan]),
        ("greatest(a, b, 3)", [3, 4, 3]),
        ("abs(a - 3)", [2, 1, np.nan]),
        ("7", [7, 7, 7]),
    ],
)
def test_numbers(text: str, values: list[float]) -> None:
    np.testing.assert_array_equal(parse_formula(text).of(COLUMNS, 3), values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a = 1", [True, False, False]),
        ("a <> 1", [False, True, False]),
        ("b >= 2 and not a > 3", [True, False, True]),
        ("1 < a <= 4 or b = 3", [False, True, True]),
    ],
)
def test_conditions(text: str, values: list[bool]) -> None:
    np.testing.assert_array_equal(parse_formula(text, condition=True).of(COLUMNS, 3), values)


@pytest.mark.parametrize(
    "text",
    ["", "a +", "__import__('os')", "a.b", "a[0]", "'x'", "a if b else a", "lambda: 1", "a ** 9", "a > 1", "True",
     "(" * 500 + "a" + ")" * 500, "+".join("a" * 200), "greatest(a)", "abs(*a)", "a := 1", "1e5 ; 2", "x" * 2000],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_formula(text)
    assert refused.value.hint


def test_a_number_is_no_condition() -> None:
    with pytest.raises(Invalid, match="not a condition"):
        parse_formula("a + b", condition=True)
