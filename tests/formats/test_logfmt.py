"""logfmt: what a line means, what is none, and that reading many at once changes nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats import logfmt, logfmt_columns
from tailrace.formats.base import Limits
from tailrace.model.verdict import Verdict
from tests.formats.decoding import STAMP, decoded, row, rows


def extra(line: str) -> dict[str, Any]:
    found = row(f"ts={STAMP} {line}", "logfmt")
    assert found["verdict"] == 0
    return json.loads(found["extra"]) if found["extra"] else {}


def test_fields_and_their_aliases() -> None:
    line = f'time={STAMP} lvl=info msg="served \\"it\\"" status=200 duration_ms=2.6005 path=/a?b=c remote_addr=::1 n=5 retried'
    found = row(line, "logfmt")
    assert found.pop("extra") == '{"n":"5","retried":true,"query":"b=c"}'
    assert found == {
        "verdict": 0,
        "timestamp": STAMP,
        "service": None,
        "endpoint": "/a",
        "method": None,
        "status": 200,
        "response_ms": Decimal("2.601"),
        "ip": "::1",
        "level": "info",
        "trace_id": None,
        "message": 'served "it"',
    }


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("a=", {"a": ""}),
        ('a=""', {"a": ""}),
        ("a=null b", {"a": None, "b": True}),
        ('a="null"', {"a": "null"}),
        ("a=1 a=2", {"a": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("a={x}", {"a": "{x}"}),
        ("a.b-c/d=é", {"a.b-c/d": "é"}),
        ("  a=1 \t b=2  ", {"a": "1", "b": "2"}),
        (r'a="\\ \" \/ \t\n\u00e9"', {"a": '\\ " / \t\né'}),
        (r'a="\x1b[0m\a\v"', {"a": "\x1b[0m\a\v"}),
        (r'a="\xff\ud83d"', {"a": "\ufffd\ufffd"}),
        (r'a="\ud83d\ude00\U0001F600"', {"a": "😀😀"}),
        (r'a="\u0041\udc00"', {"a": "A\ufffd"}),
        (r"a=C:\dir", {"a": "C:\\dir"}),
        ('a="tab\there"', {"a": "tab\there"}),
        ("level=", {}),
        ("status=", {"status": ""}),
        ("status=x", {"status": "x"}),
        ("status", {"status": True}),
    ],
)
def test_values(text: str, members: dict[str, Any]) -> None:
    assert extra(text) == members


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("hello world", Verdict.MALFORMED),
        ("=x", Verdict.MALFORMED),
        ('a="open', Verdict.MALFORMED),
        ('a="x"y', Verdict.MALFORMED),
        ('a=x"y"', Verdict.MALFORMED),
        ('a"b=1', Verdict.MALFORMED),
        (r'a="\q"', Verdict.MALFORMED),
        ('{"a":1}', Verdict.MALFORMED),
        ("a=1", Verdict.NO_TIMESTAMP),
        ("ts=null", Verdict.NO_TIMESTAMP),
        ("ts=", Verdict.BAD_TIMESTAMP),
        ("ts a=1", Verdict.BAD_TIMESTAMP),
        ("a=\0", Verdict.NUL_BYTE),
    ],
)
def test_bad_lines(line: str, verdict: Verdict) -> None:
    for times in (1, 30):
        found = [each["verdict"] for each in rows("\n".join([f"ts={STAMP}", line] * times), "logfmt")]
        assert found == [0, verdict] * times


keys = st.text(
    st.characters(min_codepoint=0x21, exclude_characters='="', exclude_categories=("Cs",)), min_size=1, max_size=4
)
values = st.one_of(st.text(st.characters(exclude_categories=("Cs",)), max_size=6), st.none(), st.just(True))


@settings(deadline=None)
@given(st.dictionaries(keys, values, max_size=5))
def test_what_is_rendered_is_read_back(members: dict[str, Any]) -> None:
    members = {f"x{key}": value for key, value in members.items()}
    line = logfmt.rendered({"ts": STAMP, **members})
    (found,) = decoded(line, "logfmt").columns.to_pylist()
    assert found["verdict"] == (Verdict.NUL_BYTE if b"\0" in line else 0)
    assert found["verdict"] or json.loads(found["extra"] or "{}") == members


pieces = st.sampled_from(
    ["ts=1", f"ts={STAMP}", "level=info", 'level="a b"', "lvl=null", "lvl=x", "a=1", 'a="1 2"', 'a="', 'a=""', "b", "b=", "status=200",
     'msg="x\\"y"', 'msg="=" ', "", "\t", "c=\\", 'm="\\q"', "level", "é=é", 'x=1"', '"']
)  # fmt: skip
lines = st.lists(pieces, max_size=5).map(" ".join)


def one_by_one_and_by_columns(body: bytes) -> tuple[object, object]:
    results = []
    before = logfmt_columns._ROWS_MIN
    try:
        for smallest in (1 << 30, 1):
            logfmt_columns._ROWS_MIN = smallest
            found = decoded(body, "logfmt")
            results.append([found.columns.to_pylist(), found.raw.to_pylist()])
    finally:
        logfmt_columns._ROWS_MIN = before
    return results[0], results[1]


@settings(deadline=None, max_examples=200)
@given(st.lists(lines, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=12))
def test_reading_by_columns_changes_nothing(kinds: list[str], order: list[int]) -> None:
    body = "\n".join(kinds[at % len(kinds)] for at in [*order, 0]).encode()
    one_by_one, by_columns = one_by_one_and_by_columns(body)
    assert by_columns == one_by_one


def test_quotes_inside_a_bare_value_are_seen_by_columns_too() -> None:
    body = "\n".join([f"ts={STAMP} a=1 b=2"] * 3 + [f'ts={STAMP} a=x"y" b=2'])
    one_by_one, by_columns = one_by_one_and_by_columns(body.encode())
    assert by_columns == one_by_one
    assert [each["verdict"] for each in rows(body, "logfmt")] == [0, 0, 0, Verdict.MALFORMED]


@pytest.mark.parametrize("deviation", ["", '"', "\\", " ", "=", "x", "\t"])
def test_every_byte_of_a_line_is_looked_at(deviation: str) -> None:
    line = f'ts={STAMP} level=info msg="a b" status=200 flag n='
    body = "\n".join([line] * 3 + [line[:at] + deviation + line[at + 1 :] for at in range(len(line))])
    one_by_one, by_columns = one_by_one_and_by_columns(body.encode())
    assert by_columns == one_by_one


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_each_line_one_verdict(body: bytes) -> None:
    found = decoded(body, "logfmt")
    text = body.removeprefix(b"\xef\xbb\xbf")
    kept = [line.removesuffix(b"\r") for line in text.split(b"\n") if line.strip(b" \t\r")]
    assert [each["raw"] for each in found.raw.to_pylist()] == kept


@pytest.mark.parametrize("part", [" ", "a", "a=", 'a="', '\\"', " a=1", '" '])
def test_no_line_costs_more_than_its_length(part: str) -> None:
    for text in (part * 100_000, f'ts={STAMP} m="' + part * 100_000):
        assert len(rows(text, "logfmt", limits=Limits())) == (text.strip() != "")
