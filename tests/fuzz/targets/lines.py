"""Bodies of log lines, in every format.

Oracles: the stored bytes are those that came, each line once and in order; the fast ways give what the careful way gives; what
JSON is read as is what Python's own json reads.
"""

from __future__ import annotations

import json
import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

import msgspec

from tailrace.formats import json as json_format
from tailrace.formats import logfmt
from tailrace.formats.base import Decoded, Format
from tailrace.formats.regex import regex_format
from tailrace.model.line_format import Group, LineFormat, Multiline
from tailrace.model.verdict import Verdict
from tests.formats.decoding import LIMITS, decoded
from tests.fuzz.target import Target

_BLANK = b" \t\r\n"
_ALONE = 1 << 30
_LINES_MAX = 24
_JSON_WORDS = (
    b'{"timestamp":"2026-11-22T10:00:00Z","a":', b'"@timestamp":', b'"status":', b'"response_ms":', b'"endpoint":', b"null", b"true",
    b"NaN", b"-Infinity", b"1e400", b"0.0005", b"\\ud83d", b"\\ude00", b"\\u0061", b"\\\\", b'\\"', b"1795341600123", b"[[[[", b"}\n{",
)  # fmt: skip


def split_lines(body: bytes) -> list[bytes]:
    """The lines of a body that are not blank, by what is written about framing."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    lines = (line.removesuffix(b"\r") for line in body.split(b"\n"))
    return [line for line in lines if line.strip(_BLANK)]


def lines_of(record: bytes) -> list[bytes]:
    """The lines of one record; the end of its last has been cut off already."""
    *lines, last = record.split(b"\n")
    return [line for line in (*(line.removesuffix(b"\r") for line in lines), last) if line.strip(_BLANK)]


def values_of(found: Decoded) -> list[Any]:
    return [found.columns.to_pylist(), found.raw.to_pylist(), found.keys.to_pylist()]


# ---- JSON ------------------------------------------------------------------------------------------------------------


def by_shape_and_alone(body: bytes) -> Decoded:
    """The decoded body; asserts that reading each line by itself comes to the same."""
    before = json_format._ROWS_MIN, json_format._Recent.shapes
    try:
        json_format._ROWS_MIN, json_format._Recent.shapes = 1, ()
        by_shape = decoded(body)
        json_format._ROWS_MIN = _ALONE
        assert values_of(by_shape) == values_of(decoded(body)), "by shape and one at a time differ"
    finally:
        json_format._ROWS_MIN, json_format._Recent.shapes = before
    return by_shape


def run_json(body: bytes) -> None:
    found = by_shape_and_alone(body)
    for row, raw in zip(found.columns.to_pylist(), found.raw.column("raw").to_pylist(), strict=True):
        check_json_line(raw, row)
    first = body.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK)[:1]
    if first not in (b"[", b"{"):
        assert found.raw.column("raw").to_pylist() == split_lines(body)


class _Broken(ValueError):
    pass


def python_reading(line: bytes) -> Any:
    """What Python's json reads, with numbers as their text, and text as stored. Raises ValueError."""
    text = line.decode("utf-8")
    if text.startswith("\ufeff"):
        raise _Broken
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=str)


class Number(str):
    """The text of a number."""


_HALF_PAIR = re.compile("[\ud800-\udfff]")


def whole(value: Any) -> Any:
    """With half surrogate pairs as U+FFFD."""
    match value:
        case Number():
            return ("number", comparable(value))
        case str():
            return _HALF_PAIR.sub("\ufffd", value)
        case dict():
            return {whole(k): whole(v) for k, v in value.items()}
        case list():
            return [whole(each) for each in value]
    return value


def comparable(text: str) -> Any:
    """A number's value where Python can hold it, else its text."""
    return Decimal(text) if len(text) < 30 else text


def check_json_line(raw: bytes, row: dict[str, Any]) -> None:
    verdict = Verdict(row["verdict"])
    if verdict in (Verdict.NOT_UTF8, Verdict.NUL_BYTE, Verdict.TOO_LONG, Verdict.TOO_DEEP):
        return
    try:
        found = python_reading(raw)
    except (ValueError, RecursionError):
        assert verdict is Verdict.MALFORMED, (raw, verdict)
        return
    assert verdict is not Verdict.MALFORMED, raw
    assert (verdict is Verdict.NOT_AN_OBJECT) == (not isinstance(found, dict)), (raw, verdict)
    if verdict is Verdict.GOOD:
        check_members(whole(found), row, raw)


def check_members(found: dict[str, Any], row: dict[str, Any], raw: bytes) -> None:
    """Fields that only their own key feeds, and all that no field takes."""
    extra = whole(python_reading(row["extra"].encode())) if row["extra"] else {}
    for name, value in found.items():
        if name in _TEXTS and isinstance(value, str):
            wanted = value.partition("?")[0] if name == "endpoint" else value
            assert row[name] == wanted, (raw, name)
        elif name == "status" and not isinstance(value, str | None):
            check_number(value, row["status"], extra.get(name), 0, raw)
        elif name == "response_ms" and not isinstance(value, str | None):
            check_number(value, row["response_ms"], extra.get(name), 3, raw)
        elif name not in _TAKEN and not (name == "query" and "?" in str(found)):
            assert name in extra, (raw, name)
            assert extra[name] == value, (raw, name)


_TEXTS = ("service", "endpoint", "method", "ip", "level", "trace_id", "message")
_TAKEN = frozenset(
    (*_TEXTS, "timestamp", "@timestamp", "time", "ts", "service_name", "service.name", "path", "request_uri", "request_method",
     "http_method", "status", "status_code", "response_ms", "response_time_ms", "duration_ms", "latency_ms", "elapsed_ms",
     "client_ip", "remote_addr", "severity", "log.level", "lvl", "traceId", "trace.id", "msg")
)  # fmt: skip


def check_number(value: Any, typed: Any, left: Any, scale: int, raw: bytes) -> None:
    """Either the field has it, rounded half away from zero to its scale, or `extra` has it as it came."""
    if typed is None:
        assert left == value, raw
        return
    assert isinstance(value, tuple), raw
    if isinstance(value[1], Decimal) and abs(value[1].adjusted()) < 40:
        with localcontext(Context(prec=100)):
            wanted = value[1].quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
            assert typed == wanted, (raw, typed, wanted)
            assert scale or value[1] == typed, raw


# ---- the other formats -----------------------------------------------------------------------------------------------


def run_logfmt(body: bytes) -> None:
    """A line means the JSON object with the same members."""
    found = run_by_line(body, "logfmt")
    raw = found.raw.column("raw").to_pylist()
    told, rows = [], []
    for line, row in zip(raw, found.columns.to_pylist(), strict=True):
        if row["verdict"] in (0, Verdict.NO_TIMESTAMP, Verdict.BAD_TIMESTAMP):
            members = logfmt.members(line)
            assert isinstance(members, dict)
            told.append(msgspec.json.encode(members))
            rows.append(row)
    assert decoded(b"\n".join(told)).columns.to_pylist() == rows


def run_by_line(body: bytes, format_: Format | str) -> Decoded:
    """The decoded body; its lines are those that came, and each means by itself what it means among others."""
    found = decoded(body, format_)
    raw = found.raw.column("raw").to_pylist()
    assert raw == split_lines(body)
    if len(raw) <= _LINES_MAX:
        rows, reasons = found.columns.to_pylist(), found.raw.column("reason").to_pylist()
        for at, line in enumerate(raw):
            alone = decoded(line if not line.startswith(b"\xef\xbb\xbf") else b"\n" + line, format_)
            assert alone.columns.to_pylist() == [rows[at]], line
            assert alone.raw.column("reason").to_pylist() == [reasons[at]], line
    return found


_STAMPED = LineFormat(
    "stamped",
    r"^(?P<at>\S+ \S+) (?P<level>[A-Z]+)(?: \[(?P<who>[^\]]*)\])?(?: (?P<ms>[-+0-9.eE]+)us)?:? ?(?P<message>.*)$",
    (Group("at", "timestamp", stamp="%Y-%m-%d %H:%M:%S,%f", zone="Europe/Berlin"), Group("level", "level"), Group("who"),
     Group("ms", "response_ms", shift=-3), Group("message", "message")),
)  # fmt: skip
_TRACES = LineFormat(
    "traces", r"(?P<ts>\d{4}-\S+) (?P<message>.*)", (Group("ts", "timestamp"), Group("message", "message")),
    multiline=Multiline(start=r"^\d{4}-"),
)  # fmt: skip
_INDENTED = LineFormat("indented", _TRACES.pattern, _TRACES.groups, multiline=Multiline(indented=True))


def run_stamped(body: bytes) -> None:
    run_by_line(body, regex_format(_STAMPED))


def run_records(body: bytes) -> None:
    """Of records that have many lines: none of the lines is lost, and none is in two."""
    for definition in (_TRACES, _INDENTED):
        found = decoded(body, regex_format(definition))
        assert [line for raw in found.raw.column("raw").to_pylist() for line in lines_of(raw)] == split_lines(body)


def run_access(body: bytes) -> None:
    found = run_by_line(body, "combined")
    assert all(not math.isnan(float(row["response_ms"] or 0)) for row in found.columns.to_pylist())
    assert LIMITS.line_bytes_max


_ACCESS = b'83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 203023 "http://x/" "Mozilla/5.0 (X11)" 0.012'
TARGETS = (
    Target(
        "json",
        "JSON bodies: by shape = one at a time = Python's json",
        run_json,
        (
            b'{"timestamp":"2026-11-22T10:00:00Z","endpoint":"/a?x=1","status":200,"response_ms":41.4}\n' * 3,
            b'{"timestamp":"2026-11-22T10:00:00Z","endpoint":"/a","status":"200","n":{"a":[1,2,{"b":"c"}]}}\nbroken\n{}\n',
            b'[{"ts":1795341600123,"msg":"say \\"hi\\""}, {"time":1.5e9}, 3, null]',
            b'{\n "timestamp": "2026-11-22T10:00:00.123456+02:00",\n "message": "\\ud83d\\ude00 \\ud83d"\n}',
            b'\xef\xbb\xbf{"@timestamp":"22/Nov/2026:10:00:00 +0200","x":NaN,"y":-Infinity,"status":1e3}\r\n\r\n{"a":1}',
        ),
        _JSON_WORDS,
    ),
    Target(
        "logfmt",
        "logfmt bodies: many lines = each alone = the JSON of the same members",
        run_logfmt,
        (
            b'ts=2026-11-22T10:00:00Z level=info msg="say \\"hi\\"" status=200 flag\n' * 3,
            b'time=1795341600123 path=/a?b=c duration_ms=0.0005 x="\\u00e9\\x41\\U0001F600" y=null z=\nbroken" line\n',
        ),
        (b"ts=2026-11-22T10:00:00Z ", b'="', b"\\ud83d", b"\\x80", b"\\q", b" a=b", b"null", b"\t", b"==", b"\x01"),
    ),
    Target(
        "access",
        "access logs: many lines = each alone",
        run_access,
        (
            _ACCESS + b"\n" + _ACCESS + b"\n" + _ACCESS[:70],
            b'::1 - frank [10/Oct/2000:13:55:36 -0700] "GET /x\\"y HTTP/1.0" 304 -\n- - - [x] "" - -\n',
        ),
        (
            b'"',
            b"[",
            b"] ",
            b" - ",
            b"+2400",
            b"31/Feb/2026:25:61:61 +0000",
            b'\\"',
            b"HTTP/9",
            b" 1e5",
            b" 12345678901234567890",
        ),
    ),
    Target(
        "pattern_lines",
        "lines read by a pattern of the settings: many = each alone",
        run_stamped,
        (
            b"2026-11-22 10:00:00,123 WARN [db] 12.5us: slow\n2026-11-22 10:00:00,9 INFO hello\nnothing\n",
            b"2026-02-30 24:00:00,1 A\n2026-03-29 02:30:00,1 ERROR in no hour that there was\n",
        ),
        (b"2026-11-22 10:00:00,", b" [", b"] ", b"us", b" -", b"1e9", b"\xe2\x80\xa8"),
    ),
    Target(
        "records",
        "records of many lines: every line is in one record",
        run_records,
        (
            b"2026-11-22T10:00:00Z boom\n  at a\n  at b\n\n2026-11-22T10:00:01Z next\r\n\tmore\r\n",
            b"\tbefore any\n2026-11-22T10:00:00Z one\n",
        ),
        (b"\n", b"\n ", b"\n\t", b"\r", b"2026-11-22T10:00:00Z ", b"\n\n\n"),
    ),
)
