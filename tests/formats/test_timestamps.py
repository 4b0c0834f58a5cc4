"""Text to instants: every accepted form, every refused one, and that a column means the same as its texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats.base import PAD_BYTES
from tailrace.formats.timestamps import FIRST_US, LAST_US, instant, instants
from tailrace.model.window import datetime_us, iso

ACCEPTED = [
    ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
    ("2026-11-22T10:00:00.5Z", "2026-11-22T10:00:00.500Z"),
    ("2026-11-22T10:00:00.123456Z", "2026-11-22T10:00:00.123456Z"),
    ("2026-11-22T10:00:00.123456999Z", "2026-11-22T10:00:00.123456Z"),
    ("2026-11-22T10:00:00,250Z", "2026-11-22T10:00:00.250Z"),
    ("2026-11-22 10:00:00", "2026-11-22T10:00:00Z"),
    ("2026/11/22 10:00:00", "2026-11-22T10:00:00Z"),
    ("2026-11-22t10:00z", "2026-11-22T10:00:00Z"),
    ("2026-11-22T12:00:00+02:00", "2026-11-22T10:00:00Z"),
    ("2026-11-22T12:00:00+0200", "2026-11-22T10:00:00Z"),
    ("2026-11-22T12:00:00 +02", "2026-11-22T10:00:00Z"),
    ("2026-11-22T04:30:00-05:30", "2026-11-22T10:00:00Z"),
    ("2026-11-22T10:00:00 UTC", "2026-11-22T10:00:00Z"),
    ("2026-11-22", "2026-11-22T00:00:00Z"),
    (" 2026-11-22T10:00:00Z ", "2026-11-22T10:00:00Z"),
    ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
    ("2016-12-31T23:59:60.75Z", "2017-01-01T00:00:00.750Z"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ("17/May/2015:10:05:03 +0000", "2015-05-17T10:05:03Z"),
    ("17/May/2015:12:05:03 +0200", "2015-05-17T10:05:03Z"),
    ("1795341600", "2026-11-22T10:00:00Z"),
    ("1795341600.25", "2026-11-22T10:00:00.250Z"),
    ("1.7953416e9", "2026-11-22T10:00:00Z"),
    ("1795341600123", "2026-11-22T10:00:00.123Z"),
    ("1795341600123.9", "2026-11-22T10:00:00.123900Z"),
    ("1795341600123456", "2026-11-22T10:00:00.123456Z"),
    ("1795341600123456789", "2026-11-22T10:00:00.123456Z"),
    ("0", "1970-01-01T00:00:00Z"),
    ("-1", "1969-12-31T23:59:59Z"),
    ("-0.0000001", "1969-12-31T23:59:59.999999Z"),
]

REFUSED = [
    "",
    "yesterday",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T10:60:00Z",
    "2026-11-22T10:00:61Z",
    "2026-11-22T10:00:00+24:00",
    "2026-11-22T10:00:00+02:60",
    "2026-11-22T10:00:00.Z",
    "2026-11-22T10",
    "2026-11/22",
    "26-11-22T10:00:00Z",
    "10000-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "17/Mai/2015:10:05:03 +0000",
    "32/May/2015:10:05:03 +0000",
    "100000000000000000000",
    "1e400",
    "NaN",
    "true",
]


def column(texts: list[str], zone: str = "UTC") -> list[int | None]:
    """The texts read as one column."""
    parts = [text.encode() for text in texts]
    end = np.cumsum([len(part) for part in parts])
    start = end - [len(part) for part in parts]
    buffer = np.frombuffer(b"".join(parts) + bytes(PAD_BYTES), np.uint8)
    micros, good = instants(buffer, start, end, np.ones(len(parts), bool), zone)
    return [int(value) if ok else None for value, ok in zip(micros, good, strict=True)]


@pytest.mark.parametrize(("text", "expected"), ACCEPTED)
def test_an_instant_is_read(text: str, expected: str) -> None:
    found = instant(text.encode())
    assert found is not None
    assert iso(found) == expected


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_instant_is_none(text: str) -> None:
    assert instant(text.encode()) is None


@pytest.mark.parametrize("text", [text for text, _ in ACCEPTED] + REFUSED)
def test_a_column_of_one_shape_means_the_same(text: str) -> None:
    assert column([text] * 20) == [instant(text.encode())] * 20


def test_a_mixed_column_means_what_its_texts_mean() -> None:
    texts = [text for text, _ in ACCEPTED] * 10 + REFUSED * 9
    assert column(texts) == [instant(text.encode()) for text in texts]


def test_a_stamp_without_zone_takes_the_zone_of_its_field() -> None:
    for text, expected in [
        ("2026-07-01 12:00:00", "2026-07-01T10:00:00Z"),
        ("2026-12-01 12:00:00", "2026-12-01T11:00:00Z"),
        ("2026-12-01T12:00:00Z", "2026-12-01T12:00:00Z"),
        ("1795341600", "2026-11-22T10:00:00Z"),
    ]:
        found = instant(text.encode(), "Europe/Berlin")
        assert found is not None
        assert iso(found) == expected
        assert column([text] * 9, "Europe/Berlin") == [found] * 9


def test_the_hour_that_comes_twice_is_the_first_of_the_two() -> None:
    found = instant(b"2026-10-25 02:30:00", "Europe/Berlin")
    assert found is not None
    assert iso(found) == "2026-10-25T00:30:00Z"


def test_years_at_both_ends_are_safe_in_any_zone() -> None:
    assert instant(b"0001-01-01 00:00:00", "Asia/Tokyo") is None
    assert instant(b"9999-12-31 23:59:59", "America/New_York") is None
    assert instant(b"9999-12-31 23:59:59", "Asia/Tokyo") is not None


NAIVE = datetime.fromisoformat("2000-01-01")
whole_micros = st.datetimes(
    min_value=NAIVE.replace(year=1, day=2), max_value=NAIVE.replace(year=9999, month=12, day=30)
).map(lambda value: value.replace(tzinfo=UTC))
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(whole_micros, zones, st.sampled_from(["auto", "seconds", "milliseconds"])), min_size=1, max_size=40
    )
)
def test_it_agrees_with_the_standard_library(values: list[tuple[datetime, timezone, str]]) -> None:
    texts = [value.astimezone(zone).isoformat(timespec=spec) for value, zone, spec in values]
    expected = [datetime_us(datetime.fromisoformat(text)) for text in texts]
    assert [instant(text.encode()) for text in texts] == expected
    assert column(texts) == expected


stamp_texts = st.one_of(
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?",
        fullmatch=True,
    ),
    st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z", fullmatch=True),
    st.from_regex(
        r"[0-3][0-9]/(Jan|Feb|May|Xyz)/[0-9]{4}:[0-2][0-9]:[0-5][0-9]:[0-6][0-9] [+-][0-9]{4}", fullmatch=True
    ),
    st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,7})?", fullmatch=True),
    st.text("0123456789-:TZ+./ ", max_size=30),
)


@settings(deadline=None)
@given(st.lists(stamp_texts, min_size=1, max_size=8), st.integers(1, 12), st.sampled_from(["UTC", "America/New_York"]))
def test_a_column_means_what_its_texts_mean(texts: list[str], times: int, zone: str) -> None:
    found = column(texts * times, zone)
    assert found == [instant(text.encode(), zone) for text in texts] * times
    assert all(value is None or FIRST_US <= value <= LAST_US for value in found)
