"""Text to exact integers: the meaning of one text, and that a column means the same."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats.base import PAD_BYTES
from tailrace.formats.numbers import UNITS_MAX, scaled, scan

EXACT = Context(prec=2000, Emax=10**9, Emin=-(10**9))


@pytest.mark.parametrize(
    ("text", "places", "units"),
    [
        ("41.4", 3, 41400),
        ("2.6004", 3, 2600),
        ("2.6005", 3, 2601),
        ("-2.6005", 3, -2601),
        ("-2.6004", 3, -2600),
        ("0.0005", 3, 1),
        ("0.00049999999999999999999999999999", 3, 0),
        ("0.0004999999999999999999999999999999999999999999999999999999999999999999", 3, 0),
        ("1.0049999999999999999999999", 2, 100),
        ("-0.0", 3, 0),
        ("0", 3, 0),
        ("000200", 0, 200),
        ("1e3", 3, 1_000_000),
        ("1E-3", 3, 1),
        ("12345e-6", 3, 12),
        ("5e-4", 3, 1),
        ("4e-4", 3, 0),
        ("1e-400", 3, 0),
        ("1e-99999999999999999999", 3, 0),
        ("0e99999999999999999999", 3, 0),
        (" 7 ", 0, 7),
        ("+7", 0, 7),
        (".5", 0, 1),
        ("5.", 0, 5),
        ("999999999999999.999", 3, UNITS_MAX),
        ("123456", -3, 123),
        ("123500", -3, 124),
    ],
)
def test_a_number_is_scaled_exactly(text: str, places: int, units: int) -> None:
    found = scaled(text.encode(), places)
    assert found is not None
    assert found[0] == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "NaN",
        "Infinity",
        "-",
        "+",
        ".",
        "e5",
        "1e",
        "1e+",
        "1.2.3",
        "--1",
        "0x10",
        "1_000",
        "1 2",
        "１２",
        "true",
    ],
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert scaled(text.encode(), 3) is None


@pytest.mark.parametrize(
    "text",
    ["1e400", "1000000000000000", "999999999999999.9995", "1e99999999999999999999", "9" * 5000, "-1000000000000000.0"],
)
def test_what_does_not_fit_in_eighteen_digits_is_none(text: str) -> None:
    assert scaled(text.encode(), 3) is None


@pytest.mark.parametrize(
    ("text", "exact"), [("200", True), ("200.0", True), ("2e2", True), ("200.5", False), ("0.4", False)]
)
def test_it_says_whether_anything_was_cut(text: str, exact: bool) -> None:
    found = scaled(text.encode(), 0)
    assert found is not None
    assert found[1] is exact


def test_a_number_of_a_million_digits_does_no_harm() -> None:
    assert scaled(b"0." + b"1" * 1_000_000, 3) == (111, False)
    assert scaled(b"1" * 1_000_000, 3) is None


number_texts = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,22})?", fullmatch=True),
    st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,5}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"-?[0-9.e+x-]{0,26}", fullmatch=True),
    st.integers(-(10**19), 10**19).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)


@settings(deadline=None)
@given(number_texts, st.sampled_from([0, 3, 6, -3]))
def test_it_agrees_with_decimal_arithmetic(text: str, places: int) -> None:
    found = scaled(text.encode(), places)
    try:
        exact = EXACT.scaleb(Decimal(text.strip()), places)
    except ArithmeticError:
        assert found is None
        return
    units = exact.to_integral_value(ROUND_HALF_UP, context=EXACT)
    expected = None if abs(units) > UNITS_MAX or not exact.is_finite() else (int(units), units == exact)
    assert found == expected


@settings(deadline=None)
@given(st.lists(number_texts, min_size=1, max_size=30), st.sampled_from([0, 3, 6, -3]))
def test_a_column_means_what_its_texts_mean(texts: list[str], places: int) -> None:
    buffer = np.frombuffer("".join(texts).encode() + bytes(PAD_BYTES), np.uint8)
    end = np.cumsum([len(text) for text in texts])
    start = end - [len(text) for text in texts]
    found = scan(buffer, start, end)
    units, fits, exact = found.units(places)
    for at, text in enumerate(texts):
        one = scaled(text.encode(), places)
        if found.plain[at]:
            assert (one is not None) == bool(fits[at])
            assert one is None or one == (units[at], exact[at])
        if found.json[at]:
            assert str(Decimal(text)) is not None
            assert not text.lstrip("-").startswith("0") or text.lstrip("-")[1:2] in ("", ".")


@pytest.mark.parametrize("text", ["0", "-0", "7", "10.5", "-3.25", "123456789012345678", "0.001"])
def test_the_usual_numbers_are_plain(text: str) -> None:
    found = scan(np.frombuffer(text.encode() + bytes(PAD_BYTES), np.uint8), np.array([0]), np.array([len(text)]))
    assert found.plain.tolist() == [True]
    assert found.json.tolist() == [True]
