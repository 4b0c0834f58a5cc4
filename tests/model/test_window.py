"""Durations and instants as text, at the ends of what numbers can say."""

from __future__ import annotations

import duckdb
import pytest

from tailrace.errors import Invalid
from tailrace.model.window import duration_us, iso, parse_iso

DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_500_000, "1970-01-01T00:00:01.500Z"),
        (parse_iso("0001-01-01T00:00:00Z"), "0001-01-01T00:00:00Z"),
        (parse_iso("0001-01-01T00:00:00Z") - 1_000_000, "0000-12-31T23:59:59Z"),
        (parse_iso("0001-01-01T00:00:00Z") - 366 * DAY_US, "0000-01-01T00:00:00Z"),
        (parse_iso("0001-01-01T00:00:00Z") - 367 * DAY_US, "-000001-12-31T00:00:00Z"),
        (parse_iso("9999-12-31T23:59:59.999999Z"), "9999-12-31T23:59:59.999999Z"),
        (parse_iso("9999-12-31T23:59:59Z") + 1_000_000, "+010000-01-01T00:00:00Z"),
        (8_640_000_000_000_000_000, "+275760-09-13T00:00:00Z"),  # the ends of JavaScript's Date
        (-8_640_000_000_000_000_000, "-271821-04-20T00:00:00Z"),
    ],
)
def test_every_instant_has_a_text(us: int, text: str) -> None:
    assert iso(us) == text


def test_texts_of_common_instants_read_back() -> None:
    for us in range(parse_iso("0001-01-01"), parse_iso("9999-12-31"), 37 * DAY_US + 12_345_678_901):
        assert parse_iso(iso(us)) == us


def test_far_days_are_the_engines_days() -> None:
    for year in (-4712, -400, -1, 0, 10_000, 12_400, 99_999):
        [found] = duckdb.execute("SELECT epoch_us(make_date(?, 2, 28) + 1)", [year]).fetchone() or ()
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        assert iso(found).endswith("-02-29T00:00:00Z" if leap else "-03-01T00:00:00Z")


def test_durations() -> None:
    assert duration_us("1h30m") == 5_400_000_000
    assert duration_us("36500d") == 36_500 * DAY_US


@pytest.mark.parametrize("text", ["", "7", "d", "-1s", "²s", "1.5h", "36500d1ms", "106751991d", "9" * 5000 + "s"])
def test_what_is_no_duration_or_too_long_is_refused_shortly(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        duration_us(text)
    assert len(refused.value.message) < 80
    assert refused.value.hint
