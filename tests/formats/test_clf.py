"""Access logs: what each part of a line becomes, the odd lines of real servers, and a real log against Python's own parse."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats import clf_columns
from tailrace.formats.base import Limits, Options
from tailrace.model.fields import Field, FieldKind, Fields
from tailrace.model.verdict import Verdict
from tailrace.model.window import datetime_us
from tests.formats.decoding import decoded, row, rows

HEAD = '192.0.2.7 - - [22/Nov/2026:12:00:00 +0200] "GET /a/b?x=1 HTTP/1.1" 200 512'
AGENT = ' "https://example.org/" "Mozilla/5.0 (X11)"'


def extra(line: str, **more: object) -> dict[str, object]:
    found = row(line, "combined", **more)["extra"]
    return json.loads(found) if found else {}


def test_common() -> None:
    found = row(HEAD, "common")
    assert found == {
        "verdict": 0,
        "timestamp": "2026-11-22T10:00:00Z",
        "service": None,
        "endpoint": "/a/b",
        "method": "GET",
        "status": 200,
        "response_ms": None,
        "ip": "192.0.2.7",
        "level": None,
        "trace_id": None,
        "message": None,
        "extra": '{"protocol":"HTTP/1.1","bytes":512,"query":"x=1"}',
    }


def test_combined() -> None:
    assert extra(HEAD + AGENT) == {
        "protocol": "HTTP/1.1",
        "bytes": 512,
        "referer": "https://example.org/",
        "user_agent": "Mozilla/5.0 (X11)",
        "query": "x=1",
    }


@pytest.mark.parametrize("name", ["combined", "common", "clf"])
def test_all_three_names_read_both_formats(name: str) -> None:
    assert [each["status"] for each in rows(f"{HEAD}\n{HEAD}{AGENT}\n", name)] == [200, 200]


@pytest.mark.parametrize(
    ("tail", "unit", "ms", "rest"),
    [
        (" 0.123", "", "123.000", None),
        (" 0.000", "", "0.000", None),
        (" 12.0001", "", "12000.100", None),
        (" 123456", "", "123.456", None),
        (" 1", "", "0.001", None),
        (" 1499", "", "1.499", None),
        (" 0", "", "0.000", None),
        (" 5", "s", "5000.000", None),
        (" 5", "ms", "5.000", None),
        (" 0.5", "us", "0.001", None),
        (" 0.5", "ms", "0.500", None),
        (" rt=0.123", "", "123.000", None),
        (' rt="0.123"', "", "123.000", None),
        (" urt=0.2 rt=0.3", "", "300.000", "urt=0.2 rt=0.3"),
        (' rt=0.123 uct="0.001" urt="0.120"', "", "123.000", 'rt=0.123 uct="0.001" urt="0.120"'),
        (" urt=0.2", "", "200.000", None),
        (" urt=-", "", None, "urt=-"),
        (" 0.123 0.120 .", "", "123.000", "0.123 0.120 ."),
        (" abc 77", "", "0.077", "abc 77"),
        (" -", "", None, None),
        (" -5", "", None, "-5"),
        (" whatever", "", None, "whatever"),
        (' "unclosed', "", None, '"unclosed'),
        (" 1e3", "", None, "1e3"),
    ],
)
@pytest.mark.parametrize(
    "base", [HEAD, HEAD + AGENT, HEAD + AGENT + ' "203.0.113.9"'], ids=["common", "combined", "main"]
)
def test_a_response_time_may_follow(base: str, tail: str, unit: str, ms: str | None, rest: str | None) -> None:
    for times in (1, 30):
        for found in rows("\n".join([base + tail] * times), "combined", options=Options(response_time=unit)):
            assert found["verdict"] == 0
            assert found["response_ms"] == (None if ms is None else Decimal(ms))
            assert json.loads(found["extra"]).get("rest") == rest


def test_a_time_that_does_not_fit_is_kept() -> None:
    found = row(HEAD + " 99999999999999999.5", "combined")
    assert found["response_ms"] is None
    assert json.loads(found["extra"])["response_ms"] == "99999999999999999.5"


@pytest.mark.parametrize(
    ("request_line", "method", "endpoint", "others"),
    [
        ("GET / HTTP/1.1", "GET", "/", {"protocol": "HTTP/1.1"}),
        ("GET / HTTP/2.0", "GET", "/", {"protocol": "HTTP/2.0"}),
        ("GET /", "GET", "/", {}),
        ("GET /a b c HTTP/1.1", "GET", "/a b c", {"protocol": "HTTP/1.1"}),
        ("VERSION-CONTROL / HTTP/1.1", "VERSION-CONTROL", "/", {"protocol": "HTTP/1.1"}),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*", {"protocol": "HTTP/1.1"}),
        ("-", None, None, {}),
        ("", None, None, {"request": ""}),
        ("\\x16\\x03\\x01\\x00", None, None, {"request": "\\x16\\x03\\x01\\x00"}),
        ("get / HTTP/1.1", None, None, {"request": "get / HTTP/1.1"}),
        ('GET /\\"x\\" HTTP/1.1', "GET", '/\\"x\\"', {"protocol": "HTTP/1.1"}),
        ("GET /é HTTP/1.1", "GET", "/é", {"protocol": "HTTP/1.1"}),
        ("GET http://h/p?q=1 HTTP/1.1", "GET", "http://h/p", {"protocol": "HTTP/1.1", "query": "q=1"}),
    ],
)
def test_the_request_line(
    request_line: str, method: str | None, endpoint: str | None, others: dict[str, object]
) -> None:
    line = f'192.0.2.7 - - [22/Nov/2026:12:00:00 +0200] "{request_line}" 400 -'
    for found in rows("\n".join([line] * 30), "combined"):
        assert (found["method"], found["endpoint"]) == (method, endpoint)
        assert (json.loads(found["extra"]) if found["extra"] else {}) == others


def test_who_asked() -> None:
    assert extra('::1 - frank [22/Nov/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 5')["user"] == "frank"
    assert extra('::1 id a b [22/Nov/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 5')["user"] == "a b"
    assert extra('::1 id x [22/Nov/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 5')["ident"] == "id"
    vhost = 'www.example.org:443 ::1 - - [22/Nov/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 5'
    assert row(vhost, "combined")["ip"] == "::1"
    assert extra(vhost)["vhost"] == "www.example.org:443"


def test_text_is_json_in_extra_whatever_it_holds() -> None:
    agents = ['a\\"b', "tab\there", "back\\\\slash", "é", "", "-"]
    body = "\n".join(f'{HEAD} "-" "{agent}"' for agent in agents * 10)
    found = [json.loads(each["extra"]).get("user_agent") for each in rows(body, "combined")]
    assert found == ['a\\"b', "tab\there", "back\\\\slash", "é", "", None] * 10


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("", None),
        ("hello", Verdict.MALFORMED),
        (HEAD[:-10], Verdict.MALFORMED),
        ('192.0.2.7 - - "GET / HTTP/1.1" 200 5', Verdict.MALFORMED),
        (HEAD.replace("22/Nov", "32/Nov"), Verdict.BAD_TIMESTAMP),
        (HEAD.replace("22/Nov/2026:12:00:00 +0200", "-"), Verdict.NO_TIMESTAMP),
        (HEAD.replace("22/Nov/2026:12:00:00 +0200", "2026-11-22T12:00:00+02:00"), Verdict.GOOD),
        (HEAD + "\x00", Verdict.NUL_BYTE),
        (HEAD + " x" * 4000, Verdict.TOO_LONG),
    ],
)
def test_bad_lines(line: str, verdict: Verdict | None) -> None:
    for times in (1, 30):
        found = [each["verdict"] for each in rows("\n".join([HEAD, line, HEAD] * times), "combined")]
        assert found == ([0, 0] if verdict is None else [0, verdict, 0]) * times


def test_names_may_be_fields_of_the_stream() -> None:
    fields = Fields(
        (
            Field("timestamp", FieldKind.TIMESTAMP),
            Field("size", FieldKind.INTEGER, source="bytes"),
            Field("user_agent", FieldKind.TEXT),
        )
    )
    found = row(HEAD + AGENT, "combined", fields=fields)
    assert found["size"] == 512
    assert found["user_agent"] == "Mozilla/5.0 (X11)"
    others = {"ip": "192.0.2.7", "method": "GET", "endpoint": "/a/b?x=1", "status": "200"}
    assert json.loads(found["extra"]).items() >= others.items()


users = st.sampled_from(["-", "frank", "a b", "[x", ""])
stamps = st.sampled_from(
    ["22/Nov/2026:12:00:00 +0200", "22/Xyz/2026:12:00:00 +0200", "22/Nov/2026]12:00:00 +0200", "-", "x"]
)
requests = st.sampled_from(
    [
        "GET / HTTP/1.1",
        "POST /a?b HTTP/2.0",
        "-",
        "",
        "GET /",
        "GET  / HTTP/1.1",
        "get / HTTP/1.1",
        "GET / HTTX",
        "A B C D HTTP/1",
        'G"T / HTTP/1.1',
        "GET /\\",
        "PROPFIND /x HTTP/1.1",
        "CHECKOUTS / HTTP/1.1",
        "GET /? HTTP/1.1",
        "HTTP/1.1 x HTTP/1.1",
    ]
)
numbers = st.sampled_from(
    ["200 5", "200 -", "- 5", "20 5", "2000 5", "200 05", "200  5", "200 5.5", "200 x", "200 12345678901234567890"]
)
tails = st.sampled_from(
    [
        "",
        ' "-" "-"',
        ' "r" "u"',
        ' "r" "u" "f"',
        ' "r"',
        ' "r"  "u"',
        ' "r" "u" 0.5',
        ' "r" "u" "f" 17',
        " 0.5",
        " 17",
        " ",
        "x",
        ' "',
        ' "r" "u" 0.5 ',
        ' "r" "u" -',
        ' "r" "u" rt=1',
        ' "r\\"s" "u" 5',
        " 01.5",
    ]
)
access_lines = st.tuples(st.sampled_from(["1.2.3.4", "-", "h:80 ::1"]), users, stamps, requests, numbers, tails).map(
    lambda part: f'{part[0]} - {part[1]} [{part[2]}] "{part[3]}" {part[4]}{part[5]}'
)


def one_by_one_and_by_columns(lines: list[str]) -> tuple[object, object]:
    """Columns and raw of the lines, read each by itself, and read by columns wherever that is possible."""
    results = []
    body = "\n".join(lines).encode()
    before = clf_columns._ROWS_MIN
    try:
        for smallest in (1 << 30, 1):
            clf_columns._ROWS_MIN = smallest
            found = decoded(body, "combined")
            results.append([found.columns.to_pylist(), found.raw.to_pylist()])
    finally:
        clf_columns._ROWS_MIN = before
    return results[0], results[1]


@settings(deadline=None)
@given(st.lists(access_lines, min_size=1, max_size=12))
def test_reading_by_columns_changes_nothing(lines: list[str]) -> None:
    one_by_one, by_columns = one_by_one_and_by_columns(lines)
    assert by_columns == one_by_one


@pytest.mark.parametrize("deviation", ["", '"', "\\", " ", "1", "x", "]", "-"])
def test_every_byte_of_a_line_is_looked_at(deviation: str) -> None:
    line = HEAD + AGENT + " 0.5"
    one_by_one, by_columns = one_by_one_and_by_columns(
        [line[:at] + deviation + line[at + 1 :] for at in range(len(line))]
    )
    assert by_columns == one_by_one


def shared_data() -> Path:
    folder = os.environ.get("TAILRACE_SHARED_DATA")
    return Path(folder) if folder else Path(__file__).resolve().parents[3] / "shared" / "data"


PLAIN = re.compile(
    r'(?P<ip>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>[^ ?]*)(?:\?(?P<query>\S*))? (?P<protocol>\S+)" '
    r'(?P<status>\d+) (?P<bytes>\S+) "(?P<referer>.*?)" "(?P<agent>.*)"'
)


def test_a_real_log_is_read_as_python_reads_it() -> None:
    log = shared_data() / "apache_access.log"
    if not log.exists():
        pytest.skip("the folder with real logs is missing (TAILRACE_SHARED_DATA)")
    lines = log.read_text().splitlines()
    found = rows(log.read_bytes(), "combined")
    assert len(found) == len(lines) == 10_000
    assert Counter(each["verdict"] for each in found) == {0: 10_000}
    times = decoded(log.read_bytes(), "combined").columns.column("timestamp").to_pylist()
    compared = 0
    for line, each, time in zip(lines, found, times, strict=True):
        match = PLAIN.fullmatch(line)
        if match is None:
            continue
        compared += 1
        kept = json.loads(each["extra"])
        assert datetime_us(time) == datetime_us(datetime.strptime(match["time"], "%d/%b/%Y:%H:%M:%S %z"))
        assert (each["ip"], each["method"], each["endpoint"]) == (match["ip"], match["method"], match["path"])
        assert (each["status"], kept["protocol"]) == (int(match["status"]), match["protocol"])
        assert kept.get("bytes") == (None if match["bytes"] == "-" else int(match["bytes"]))
        assert kept.get("query") == (match["query"] or None)
        assert kept.get("referer") == (None if match["referer"] == "-" else match["referer"])
        assert kept.get("user_agent") == (None if match["agent"] == "-" else match["agent"])
    assert compared > 9_900


@pytest.mark.parametrize("part", [" [", "] ", ' "', "\\", " HTTP/", "a=", " a=1", ":1 "])
def test_no_line_costs_more_than_its_length(part: str) -> None:
    line = "1.2.3.4 - " + part * 200_000
    for text in (line, HEAD + AGENT + part * 200_000, HEAD.replace("/a/b", "/" + part * 100_000)):
        assert len(rows(text, "combined", limits=Limits())) == 1
