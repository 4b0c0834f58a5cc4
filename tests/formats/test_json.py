"""What a JSON line means: each rule of the decode, each way in which a line can be bad."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tailrace.formats.base import Limits, Options
from tailrace.model.fields import Field, FieldKind, Fields
from tailrace.model.verdict import REASONS, Verdict
from tailrace.model.window import parse_iso
from tests.formats.decoding import STAMP, decoded, row, rows

GOOD = f'{{"timestamp":"{STAMP}","service":"web","status":200}}'


def line(**members: object) -> str:
    return json.dumps({"timestamp": STAMP, **members})


def test_every_default_field_and_nothing_else() -> None:
    found = row(
        line(
            service="auth",
            endpoint="/login",
            method="GET",
            status=200,
            response_ms=41.4,
            ip="10.0.0.1",
            level="info",
            trace_id="e8e2",
            message="served",
        )
    )
    assert found == {
        "verdict": 0,
        "timestamp": STAMP,
        "service": "auth",
        "endpoint": "/login",
        "method": "GET",
        "status": 200,
        "response_ms": Decimal("41.400"),
        "ip": "10.0.0.1",
        "level": "info",
        "trace_id": "e8e2",
        "message": "served",
        "extra": None,
    }


BAD = {
    b'{"timestamp":"2026-11-22T10:00:00Z"': Verdict.MALFORMED,
    b'{"timestamp":"2026-11-22T10:00:00Z",}': Verdict.MALFORMED,
    b"{'timestamp':1}": Verdict.MALFORMED,
    b'{"timestamp":01}': Verdict.MALFORMED,
    b'{"timestamp":1.}': Verdict.MALFORMED,
    b'{"timestamp":+1}': Verdict.MALFORMED,
    b'{"timestamp":1} x': Verdict.MALFORMED,
    b'{"timestamp":1}{"timestamp":2}': Verdict.MALFORMED,
    b'{"timestamp":1,"a":"tab\there"}': Verdict.MALFORMED,
    b'{"timestamp":1,"a":"\\x41"}': Verdict.MALFORMED,
    b'{"timestamp":1,"a":"\\u12"}': Verdict.MALFORMED,
    b'{"timestamp":1,"a":tru}': Verdict.MALFORMED,
    b'{"timestamp":1,NaN:2}': Verdict.MALFORMED,
    b"hello": Verdict.MALFORMED,
    b"\xef\xbb\xbf": Verdict.MALFORMED,
    b"\x0b": Verdict.MALFORMED,
    b"[1,2]": Verdict.NOT_AN_OBJECT,
    b'"text"': Verdict.NOT_AN_OBJECT,
    b"42": Verdict.NOT_AN_OBJECT,
    b"null": Verdict.NOT_AN_OBJECT,
    b'{"service":"web"}': Verdict.NO_TIMESTAMP,
    b"{}": Verdict.NO_TIMESTAMP,
    b'{"timestamp":null}': Verdict.NO_TIMESTAMP,
    b'{"timestamp":""}': Verdict.BAD_TIMESTAMP,
    b'{"timestamp":"soon"}': Verdict.BAD_TIMESTAMP,
    b'{"timestamp":true}': Verdict.BAD_TIMESTAMP,
    b'{"timestamp":{"a":1}}': Verdict.BAD_TIMESTAMP,
    b'{"timestamp":"10000-01-01T00:00:00Z"}': Verdict.BAD_TIMESTAMP,
    b'{"timestamp":NaN}': Verdict.BAD_TIMESTAMP,
    b'{"timestamp":1e400}': Verdict.BAD_TIMESTAMP,
    b'{"timestamp":1,"a":"\xff\xfe"}': Verdict.NOT_UTF8,
    b'{"timestamp":1,"a":"\xed\xa0\x80"}': Verdict.NOT_UTF8,
    b'{"timestamp":1,"a":"\xc0\x80"}': Verdict.NOT_UTF8,
    b'{"timestamp":1,"a":"x\x00y"}': Verdict.NUL_BYTE,
    b'{"timestamp":1,"a":"' + b"x" * 5000 + b'"}': Verdict.TOO_LONG,
    b'{"timestamp":1,"a":' + b"[" * 8 + b"]" * 8 + b"}": Verdict.TOO_DEEP,
    b'{"a":' * 600: Verdict.TOO_DEEP,
    b"[" * 4000: Verdict.TOO_DEEP,
}


@pytest.mark.parametrize(("bad", "verdict"), BAD.items(), ids=[repr(bad[:40]) for bad in BAD])
def test_a_bad_line_is_a_dead_letter_with_its_bytes_and_reason(bad: bytes, verdict: Verdict) -> None:
    found = decoded(GOOD.encode() + b"\n" + bad + b"\n" + GOOD.encode())
    assert found.columns.column("verdict").to_pylist() == [0, verdict, 0]
    assert found.raw.column("raw").to_pylist() == [GOOD.encode(), bad, GOOD.encode()]
    assert found.raw.column("reason").to_pylist() == [None, REASONS[verdict], None]
    assert found.columns.column("service").to_pylist() == ["web", None, "web"]


def test_all_of_them_in_one_post_harm_only_themselves() -> None:
    body = b"\n".join(GOOD.encode() + b"\n" + bad for bad in BAD) + b"\n"
    found = decoded(body).columns.column("verdict").to_pylist()
    assert found[0::2] == [0] * len(BAD)
    assert found[1::2] == list(BAD.values())


def test_a_nesting_bomb_of_a_megabyte_is_one_dead_letter() -> None:
    bomb = b'{"a":' * 200_000
    found = decoded(GOOD.encode() + b"\n" + bomb, limits=Limits(line_bytes_max=2 << 20))
    assert found.columns.column("verdict").to_pylist() == [0, Verdict.TOO_DEEP]


def test_brackets_in_strings_do_not_nest() -> None:
    assert row(line(message="[" * 100 + "{" * 100))["message"] == "[" * 100 + "{" * 100


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ('"status":200', 200),
        ('"status":"200"', 200),
        ('"status":200.0', 200),
        ('"status":"200.00"', 200),
        ('"status":2e2', 200),
        ('"status":-1', -1),
        ('"status":null', None),
        ('"status":-2147483648', -(2**31)),
        ('"status":2147483647', 2**31 - 1),
    ],
)
def test_an_integer_may_be_written_in_several_ways(member: str, expected: int | None) -> None:
    found = row(f'{{"timestamp":"{STAMP}",{member}}}')
    assert found["status"] == expected
    assert found["extra"] is None


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("status", "200.5", "200.5"),
        ("status", '"OK"', '"OK"'),
        ("status", '""', '""'),
        ("status", "true", "true"),
        ("status", "[200]", "[200]"),
        ("status", "2147483648", "2147483648"),
        ("status", "1e400", "1e400"),
        ("status", "NaN", '"NaN"'),
        ("response_ms", "Infinity", '"Infinity"'),
        ("response_ms", "-Infinity", '"-Infinity"'),
        ("response_ms", '"12ms"', '"12ms"'),
        ("response_ms", '"say \\"hi\\""', '"say \\"hi\\""'),
        ("response_ms", "1e15", "1e15"),
        ("response_ms", '{"a":1}', '{"a":1}'),
    ],
)
def test_a_value_of_the_wrong_type_is_null_and_kept_in_extra(field: str, value: str, kept: str) -> None:
    found = row(f'{{"timestamp":"{STAMP}","{field}":{value},"user":"u1"}}')
    assert found["verdict"] == 0
    assert found[field] is None
    assert found["extra"] == f'{{"user":"u1","{field}":{kept}}}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.6004", "2.600"),
        ("2.6005", "2.601"),
        ("-2.6005", "-2.601"),
        ('"0.0015"', "0.002"),
        ("-0.0", "0.000"),
        ("123456789012345.678", "123456789012345.678"),
        ("0.1", "0.100"),
        ("4.35", "4.350"),
        ("1e-3", "0.001"),
        ("999999999999999.999", "999999999999999.999"),
    ],
)
def test_a_decimal_is_exact_and_rounded_half_away_from_zero(text: str, expected: str) -> None:
    assert str(row(f'{{"timestamp":"{STAMP}","response_ms":{text}}}')["response_ms"]) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"text"', "text"),
        ('""', ""),
        ("null", None),
        ("5", "5"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        ("true", "true"),
        ('{"a": [1, 2]}', '{"a": [1, 2]}'),
        ("[]", "[]"),
        ("NaN", "NaN"),
        ('"say \\"hi\\"\\n"', 'say "hi"\n'),
        ('"\\u00e9\\ud83d\\ude00"', "é😀"),
        ('"é😀"', "é😀"),
        ('"\\u0000"', "\0"),
        ('"cut \\ud83d"', "cut \ufffd"),
        ('"\\udc00\\ud83d\\ude00"', "\ufffd😀"),
        ('"a\\\\"', "a\\"),
        ('"back\\\\\\"quote"', 'back\\"quote'),
    ],
)
def test_a_text_field_takes_any_value(value: str, expected: str | None) -> None:
    found = row(f'{{"timestamp":"{STAMP}","message":{value}}}')
    assert found["message"] == expected
    assert found["extra"] is None


def test_what_no_field_takes_is_kept_as_it_came() -> None:
    rest = '"user":{"id": 7,"tags":["a", null]},"n":1.50,"s":"\\u00e9","z":null'
    found = row(f'{{"timestamp":"{STAMP}",{rest},"status":200}}')
    assert found["extra"] == "{" + rest + "}"


def test_of_keys_that_repeat_the_last_counts() -> None:
    found = row(f'{{"timestamp":"{STAMP}","status":200,"status":503,"a":1,"b":2,"a":3}}')
    assert found["status"] == 503
    assert found["extra"] == '{"a":3,"b":2}'


@pytest.mark.parametrize("key", ["@timestamp", "time", "ts"])
def test_other_names_of_the_timestamp(key: str) -> None:
    assert row(f'{{"{key}":"{STAMP}"}}')["timestamp"] == STAMP
    assert row(f'{{"timestamp":null,"{key}":"{STAMP}"}}')["timestamp"] == STAMP
    both = row(f'{{"timestamp":"{STAMP}","{key}":"2020-01-01T00:00:00Z"}}')
    assert both["timestamp"] == STAMP
    assert both["extra"] == f'{{"{key}":"2020-01-01T00:00:00Z"}}'


def test_other_names_of_other_fields() -> None:
    found = row(line(severity="warn", msg="slow", status_code=503, duration_ms=12.5, path="/a", remote_addr="::1"))
    assert found["level"] == "warn"
    assert found["message"] == "slow"
    assert found["status"] == 503
    assert found["response_ms"] == Decimal("12.500")
    assert found["endpoint"] == "/a"
    assert found["ip"] == "::1"
    assert found["extra"] is None


def test_a_bad_value_under_another_name_is_kept_under_the_fields_own() -> None:
    assert row(line(status_code="none"))["extra"] == '{"status":"none"}'


def test_a_field_with_a_configured_source_is_read_from_there_only() -> None:
    fields = Fields(
        (
            Field("timestamp", FieldKind.TIMESTAMP, source="when", zone="Europe/Berlin"),
            Field("level", FieldKind.TEXT, source="lvl"),
            Field("response_ms", FieldKind.DECIMAL, source="rt", scale=1),
            Field("seen", FieldKind.TIMESTAMP),
        )
    )
    found = row(
        '{"when":"2026-07-01 12:00:00","severity":"x","lvl":"info","rt":1.25,"timestamp":1,"seen":"never"}',
        fields=fields,
    )
    assert found["timestamp"] == "2026-07-01T10:00:00Z"
    assert found["level"] == "info"
    assert found["response_ms"] == Decimal("1.3")
    assert found["seen"] is None
    assert found["extra"] == '{"severity":"x","timestamp":1,"seen":"never"}'


def test_a_kept_value_never_takes_the_place_of_another() -> None:
    fields = Fields((Field("timestamp", FieldKind.TIMESTAMP), Field("status", FieldKind.INTEGER, source="code")))
    found = row(f'{{"timestamp":"{STAMP}","code":"x","status":"y"}}', fields=fields)
    assert found["extra"] == '{"status":"y","status_":"x"}'


@pytest.mark.parametrize(
    ("endpoint", "path", "extra"),
    [
        ("/a?x=1&y=2", "/a", '{"query":"x=1&y=2"}'),
        ("/a?", "/a", None),
        ("/a", "/a", None),
        ("?", "", None),
        ("/a?b?c", "/a", '{"query":"b?c"}'),
        ('/a?q="é"', "/a", '{"query":"q=\\"é\\""}'),
    ],
)
def test_the_query_string_is_cut_off_the_endpoint(endpoint: str, path: str, extra: str | None) -> None:
    found = row(line(endpoint=endpoint))
    assert found["endpoint"] == path
    assert found["extra"] == extra


def test_a_query_of_its_own_is_not_overwritten() -> None:
    found = rows(line(endpoint="/a?x=1", query="mine") + "\n" + line(endpoint="/b?y=2", user="u"))
    assert [each["extra"] for each in found] == ['{"query":"mine","query_":"x=1"}', '{"user":"u","query":"y=2"}']


def test_the_far_future_is_kept_unless_there_is_a_limit() -> None:
    far = '{"timestamp":"9000-01-01T00:00:00Z"}'
    assert row(far)["timestamp"] == "9000-01-01T00:00:00Z"
    limits = Limits(ahead_of_us=parse_iso("2026-11-23T00:00:00Z"))
    assert row(far, limits=limits)["verdict"] == Verdict.TOO_FAR_AHEAD
    assert row(GOOD, limits=limits)["verdict"] == 0


def test_keys_are_those_of_the_key_field() -> None:
    body = "\n".join(
        [line(endpoint="/a?x=1"), line(status=7), "bad", line(endpoint="", user={"id": 1}, tenant="t")]
    ).encode()
    assert decoded(body).keys.to_pylist() == ["/a", None, None, ""]
    assert decoded(body, options=Options(key_field="status")).keys.to_pylist() == [None, "7", None, None]
    assert decoded(body, options=Options(key_field="tenant")).keys.to_pylist() == [None, None, None, "t"]
    assert decoded(body, options=Options(key_field="user")).keys.to_pylist() == [None, None, None, '{"id": 1}']


HOSTILE = {
    "escaped quotes": b'{"\\u' + b'\\"' * 400_000 + b"[" * 20,
    "words": b'{"a":' + b"NaN " * 200_000,
    "quotes": b'{"\\u' + b'"' * 800_000 + b"[" * 20,
    "blanks": b'{"a":NaN' + b" " * 800_000,
    "digits": b'{"timestamp":' + b"1" * 800_000 + b"}",
    "exponent": b'{"timestamp":1,"response_ms":1e' + b"9" * 800_000 + b"}",
    "escapes": b'{"timestamp":1,"a":"' + b"\\ud83d" * 120_000 + b'"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_line_costs_more_than_its_length(name: str) -> None:
    """A quadratic search over these would take minutes; the suite's patience is the limit."""
    found = decoded(HOSTILE[name] + b"\n" + GOOD.encode(), limits=Limits())
    assert found.columns.column("verdict").to_pylist()[1] == 0
