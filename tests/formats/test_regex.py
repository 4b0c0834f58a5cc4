"""Formats of the settings: what groups become, units, stamps, records of many lines, and each line accounted for once."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.config.formats import read_formats
from tailrace.config.problem import SettingsFile
from tailrace.formats.base import Format, Limits
from tailrace.formats.decode import FORMATS
from tailrace.formats.near import near
from tailrace.formats.regex import regex_format
from tailrace.formats.stamps import instant, read
from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields
from tailrace.model.line_format import BUILTIN, LineFormat
from tailrace.model.stamp_format import compiled
from tailrace.model.verdict import Verdict
from tailrace.model.window import datetime_us, iso
from tests.formats.decoding import STAMP, decoded, row, rows

NGINX = r"""
pattern = '^(?P<ip>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<path>\S+)" (?P<status>\S+)(?: (?P<took_s>[\d.]+|-))?$'
groups = { took_s = { field = "response_ms", unit = "s" }, time = { format = "%d/%b/%Y:%H:%M:%S %z" } }
"""
LINE = '1.2.3.4 bob [22/Nov/2026:12:00:00 +0200] "/a?x=1" 200 0.1235'
JAVA = r"""
pattern = '^(?P<ts>\S+) (?P<level>[A-Z]+) (?P<message>.*)$'
multiline = { start = '^\d{4}-' }
"""


def definition(toml: str, fields: Fields = DEFAULT_FIELDS) -> LineFormat:
    (found,) = read_formats(SettingsFile("test"), [{"name": "own", **tomllib.loads(toml)}], fields)
    return found


def own(toml: str, fields: Fields = DEFAULT_FIELDS) -> Format:
    return regex_format(definition(toml, fields))


def test_the_names_that_settings_cannot_take_are_those_built_in() -> None:
    assert set(BUILTIN) == set(FORMATS)


def test_groups_feed_fields_and_the_others_are_kept() -> None:
    for times in (1, 30):
        found = rows("\n".join([LINE] * times), own(NGINX))[-1]
        assert json.loads(found.pop("extra")) == {"user": "bob", "query": "x=1"}
        assert found == {
            "verdict": 0,
            "timestamp": "2026-11-22T10:00:00Z",
            "service": None,
            "endpoint": "/a",
            "method": None,
            "status": 200,
            "response_ms": Decimal("123.500"),
            "ip": "1.2.3.4",
            "level": None,
            "trace_id": None,
            "message": None,
        }


@pytest.mark.parametrize(
    ("line", "verdict", "kept"),
    [
        (LINE.replace("bob", "-"), 0, {"query": "x=1"}),
        (LINE.removesuffix(" 0.1235"), 0, {"user": "bob", "query": "x=1"}),
        (LINE.replace("0.1235", "-"), 0, {"user": "bob", "query": "x=1"}),
        (LINE.replace('" 200', '" 2x'), 0, {"user": "bob", "query": "x=1", "status": "2x"}),
        (LINE + " more", Verdict.MALFORMED, None),
        (LINE.replace("22/Nov/2026:12", "2026-11-22T12"), Verdict.BAD_TIMESTAMP, None),
        (LINE.replace("22/Nov/2026:12:00:00 +0200", "-"), Verdict.NO_TIMESTAMP, None),
        ("é\x00", Verdict.NUL_BYTE, None),
    ],
)
def test_what_a_line_may_lack(line: str, verdict: int, kept: dict[str, Any] | None) -> None:
    found = row(line, own(NGINX))
    assert found["verdict"] == verdict
    assert (json.loads(found["extra"]) if found["extra"] else None) == kept


def test_the_first_group_that_took_part_feeds_a_field() -> None:
    either = own(
        r"""
        pattern = '^(?P<ts>\S+) (?:(?P<ms>\d+)ms|(?P<us>\d+)us|(?P<both>\d+)(?P<again>!))$'
        groups = { ms = "response_ms", us = { field = "response_ms", unit = "us" }, both = "message", again = "message" }
        """
    )
    found = rows(f"{STAMP} 5ms\n{STAMP} 5us\n{STAMP} 5!", either)
    assert [each["response_ms"] for each in found] == [Decimal(5), Decimal("0.005"), None]
    assert (found[2]["message"], found[2]["extra"]) == ("5", '{"again":"!"}')


def test_a_second_stamp_has_a_format_and_a_zone_of_its_own() -> None:
    fields = Fields((*DEFAULT_FIELDS.all, Field("began", FieldKind.TIMESTAMP)))
    stamped = own(
        """
        pattern = '^(?P<ts>\\S+) (?P<began>.+)$'
        groups = { ts = { zone = "Europe/Zurich" }, began = { format = "%d.%m.%y %I:%M %p", zone = "Asia/Tokyo" } }
        """,
        fields,
    )
    good, bad = rows("2026-07-01T12:00:00 01.07.26 12:30 AM\n2026-07-01T12:00:00Z 1.7.", stamped, fields=fields)
    assert (good["timestamp"], iso(datetime_us(good["began"]))) == ("2026-07-01T10:00:00Z", "2026-06-30T15:30:00Z")
    assert (bad["timestamp"], bad["began"], bad["extra"]) == ("2026-07-01T12:00:00Z", None, '{"began":"1.7."}')


@pytest.mark.parametrize(
    ("written", "text", "wanted"),
    [
        ("%Y-%m-%d %H:%M:%S,%f", "2026-11-22 10:00:00,123", "2026-11-22T10:00:00.123Z"),
        ("%F %T.%f", "2026-11-22 10:00:00.1234567", "2026-11-22T10:00:00.123456Z"),
        ("%a, %d %b %Y %T %Z", "Sun, 22 Nov 2026 10:00:00 GMT", "2026-11-22T10:00:00Z"),
        ("%a %b %e %T %Y", "Sun Nov  2 10:00:00 2026", "2026-11-02T10:00:00Z"),
        ("%B %d, %Y", "november 22, 2026", "2026-11-22T00:00:00Z"),
        ("%D %I:%M %p", "11/22/69 12:05 PM", "1969-11-22T12:05:00Z"),
        ("%s", "1795341600", "2026-11-22T10:00:00Z"),
        ("%s.%f", "1795341600.5", "2026-11-22T10:00:00.500Z"),
        ("100%% %Y%m%d", "100% 20261122", "2026-11-22T00:00:00Z"),
        ("%Y%m%dT%H%M%S%z", "20261122T100000-01:30", "2026-11-22T11:30:00Z"),
        ("%F", "2026-02-30", None),
        ("%F %H", "2026-11-22 24", None),
        ("%F", "2026-11-22 ", None),
        ("%F", "0000-11-22", None),
        ("%F.", "2026-11-22x", None),
    ],
)
def test_stamps_as_strptime_writes_them(written: str, text: str, wanted: str | None) -> None:
    found = instant(text.encode(), compiled(written), "UTC")
    assert (None if found is None else iso(found)) == wanted


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)), st.integers(-14, 14))  # noqa: DTZ001
def test_a_stamp_that_python_writes_is_read_back(moment: datetime, hours: int) -> None:
    written = "%A %d %B %Y %H:%M:%S.%f %z"
    text = moment.replace(tzinfo=UTC).strftime(written).replace("+0000", f"{hours:+03d}00")
    shifted = datetime_us(moment.replace(tzinfo=UTC) - timedelta(hours=hours))
    assert instant(text.encode(), compiled(written), "UTC") == (shifted if shifted <= 253_402_300_799_999_999 else None)


written_stamps = st.one_of(
    st.datetimes().map(lambda moment: moment.strftime("%d/%b/%Y:%H:%M:%S") + " +0200"),
    st.tuples(*[st.integers(0, 99)] * 3, st.sampled_from(["Nov", "nov", "Xyz", "Feb"]), st.sampled_from("+-Z ")).map(
        lambda part: f"{part[0]:02d}/{part[3]}/20{part[1]:02d}:1{part[2] % 10}:00:{part[2]:02d} {part[4]}0130"
    ),
    st.sampled_from(
        [
            "",
            "-",
            "22/Nov/2026:10:00:00 Z",
            "22/Nov/2026:10:00:00",
            "2/Nov/2026:10:00:00 +0200",
            "29/Feb/2023:10:00:00 +0200",
        ]
    ),
)


@settings(deadline=None)
@given(
    st.lists(written_stamps, min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=8, max_size=20),
    st.booleans(),
)
def test_stamps_read_together_are_those_read_alone(texts: list[str], order: list[int], zoned: bool) -> None:
    written, zone = ("%d/%b/%Y:%H:%M:%S %z", "UTC") if zoned else ("%d/%b/%Y:%H:%M:%S", "Europe/Zurich")
    chosen = [(texts[at % len(texts)] if zoned else texts[at % len(texts)][:20]).encode() for at in order]
    size = np.array([len(text) for text in chosen])
    end = np.cumsum(size)
    buffer = np.frombuffer(b"".join(chosen) + bytes(64), np.uint8)
    value, good = read(buffer, end - size, end, np.ones(len(chosen), bool), written, zone)
    alone = [instant(text, compiled(written), zone) for text in chosen]
    assert [int(v) if g else None for v, g in zip(value, good, strict=True)] == alone


@pytest.mark.parametrize(
    ("written", "text", "other"),
    [("v2 %F", "v2 2026-01-01", "v3 2026-01-01"), ("%B %d %Y", "May 01 2026", "Jun 01 2026")],
)
def test_what_the_format_has_itself_is_compared(written: str, text: str, other: str) -> None:
    buffer = np.frombuffer((text + other).encode() * 20 + bytes(64), np.uint8)
    start = np.arange(40) * len(text)
    _, good = read(buffer, start, start + len(text), np.ones(40, bool), written, "UTC")
    assert good.tolist() == [True, False] * 20


def test_lines_that_continue_are_part_of_their_record() -> None:
    body = (
        f"\tat nowhere\n{STAMP} ERROR boom\r\njava.lang.X: y\n\n\tat a.b\nCaused by: z\n\n{STAMP} INFO fine\r\nbad\n2026- odd"
    ).encode()
    found = decoded(body, own(JAVA))
    assert [each["raw"] for each in found.raw.to_pylist()] == [
        b"\tat nowhere",
        f"{STAMP} ERROR boom\r\njava.lang.X: y\n\n\tat a.b\nCaused by: z".encode(),
        f"{STAMP} INFO fine\r\nbad".encode(),
        b"2026- odd",
    ]
    assert found.columns.column("verdict").to_pylist() == [Verdict.NO_BEGINNING, 0, 0, Verdict.MALFORMED]
    messages = found.columns.column("message").to_pylist()
    assert messages == [None, "boom\r\njava.lang.X: y\n\n\tat a.b\nCaused by: z", "fine\r\nbad", None]
    assert [int(number) for number in found.lines] == [0, 1, 7, 9]


def test_indented_lines_continue() -> None:
    indented = own(JAVA.replace("{ start = '^\\d{4}-' }", "{ indented = true }"))
    found = rows(f" x\n{STAMP} INFO a\n  b\n\tc\n{STAMP} INFO d", indented)
    assert [(each["verdict"], each["message"]) for each in found] == [
        (Verdict.NO_BEGINNING, None),
        (0, "a\n  b\n\tc"),
        (0, "d"),
    ]


def test_a_record_is_as_long_as_a_line_may_be() -> None:
    body = f"{STAMP} INFO a\n" + "x\n" * 3000 + f"{STAMP} INFO b\n"
    assert [each["verdict"] for each in rows(body, own(JAVA))] == [Verdict.TOO_LONG, 0]


def test_bodies_larger_than_a_chunk_are_one_record_a_beginning() -> None:
    body = (f"{STAMP} INFO " + "x" * 1000 + "\n  more\n") * 6000
    found = decoded(body.encode(), own(JAVA), limits=Limits())
    assert (found.count, set(found.columns.column("verdict").to_pylist())) == (6000, {0})
    assert [int(number) for number in found.lines] == list(range(0, 12000, 2))


SIMPLE = r"""
pattern = '(?P<ts>\d+) (?P<level>[a-c]*)(?:=(?P<rest>.*))?'
absent = []
"""
simple_bytes = st.lists(
    st.sampled_from([b"1 a", b"1", b" ", b"a", b"=", b"\n", b"\r\n", b"\xff", b"\0", b"-", b"\xc3\xa9"])
).map(b"".join)


@settings(deadline=None, max_examples=200)
@given(simple_bytes | st.binary(max_size=60))
@example(b"")
def test_any_bytes_give_each_line_one_verdict_as_python_matches(body: bytes) -> None:
    found = decoded(body, own(SIMPLE))
    text = body.removeprefix(b"\xef\xbb\xbf")
    kept = [line.removesuffix(b"\r") for line in text.split(b"\n") if line.strip(b" \t\r")]
    assert [each["raw"] for each in found.raw.to_pylist()] == kept
    for line, each in zip(kept, found.columns.to_pylist(), strict=True):
        if each["verdict"] in (Verdict.NUL_BYTE, Verdict.NOT_UTF8):
            continue
        match = re.search(r"([0-9]+) ([a-c]*)(?:=([^\n]*))?", line.decode())
        assert (each["verdict"] == Verdict.MALFORMED) == (match is None)
        if match is not None and each["verdict"] == 0:
            kept_rest = None if each["extra"] is None else json.loads(each["extra"])["rest"]
            assert (each["level"], kept_rest) == (match[2], match[3])


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([b"2026-01-01 INFO a", b"2026-", b" b", b"c", b"", b"\r", b"\xff", b"\0"]), max_size=8),
    st.booleans(),
)
def test_joining_lines_loses_none(parts: list[bytes], indented: bool) -> None:
    toml = JAVA.replace("{ start = '^\\d{4}-' }", "{ indented = true }") if indented else JAVA
    body = b"\n".join(parts)
    found = decoded(body, own(toml))
    kept = [line.removesuffix(b"\r") for line in parts if line.strip(b" \t\r")]
    again = [
        line.removesuffix(b"\r")
        for each in found.raw.to_pylist()
        for line in each["raw"].split(b"\n")
        if line.strip(b" \t\r")
    ]
    assert again == kept
    for number, each in zip(found.lines, found.raw.to_pylist(), strict=True):
        assert parts[number].removesuffix(b"\r") == each["raw"].split(b"\n")[0].removesuffix(b"\r")


def test_how_far_a_line_fits() -> None:
    found = near(definition(NGINX), LINE.replace('" 200', '" '))
    assert found.fits.endswith(r'"(?P<path>\S+)" ')
    assert found.wants.startswith(r"(?P<status>")
    assert LINE.replace('" 200', '" ')[found.at :] == found.there == " 0.1235"
    nothing = near(definition(SIMPLE), "é")
    assert (nothing.fits, nothing.at, nothing.there) == ("", 0, "é")


@pytest.mark.parametrize("part", ["(a+)+", "a|aa", "(a*)*b"])
def test_no_pattern_costs_more_than_the_line(part: str) -> None:
    inner = part.replace("(", "(?:")
    costly = own(f"pattern = '^(?P<ts>(?:{inner})*)c$'")
    assert row("a" * 50_000, costly, limits=Limits())["verdict"] == Verdict.MALFORMED
