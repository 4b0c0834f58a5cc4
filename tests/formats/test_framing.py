"""Where the lines of a body are, for each way in which JSON is sent, and that no line is ever lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats import decode as decode_module
from tailrace.formats.decode import FORMATS
from tailrace.model.verdict import Verdict
from tests.formats.decoding import STAMP, decoded

A, B = f'{{"timestamp":"{STAMP}","status":1}}', f'{{"timestamp":"{STAMP}","status":2}}'


def raw(body: str | bytes) -> list[bytes]:
    return decoded(body.encode() if isinstance(body, str) else body).raw.column("raw").to_pylist()


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (f"{A}\n{B}\n", [A, B]),
        (f"{A}\n{B}", [A, B]),
        (f"{A}\r\n{B}\r\n", [A, B]),
        (f"\n\n{A}\n   \n\t\r\n{B}\n\n", [A, B]),
        (f"\ufeff{A}\n{B}", [A, B]),
        (f"[{A},{B}]", [A, B]),
        (f" \n[ {A} ,\n {B} ]\n", [A, B]),
        (f"[{A},,{B},]", [A, B]),
        (f"\ufeff[{A}]", [A]),
        (A, [A]),
        (f"  {A}  ", [f"  {A}  "]),
        ("", []),
        (" \n\t\n", []),
        ("[]", []),
        ("[ ]", []),
    ],
)
def test_lines_elements_and_single_objects(body: str, lines: list[str]) -> None:
    assert raw(body) == [line.encode() for line in lines]
    assert decoded(body.encode()).columns.column("verdict").to_pylist() == [0] * len(lines)


def test_one_object_over_several_lines() -> None:
    body = json.dumps({"timestamp": STAMP, "status": 200, "user": {"id": 7}}, indent=2)
    found = decoded(body.encode())
    assert found.columns.column("status").to_pylist() == [200]
    assert found.raw.column("raw").to_pylist() == [body.encode()]


def test_an_array_over_several_lines() -> None:
    records = [{"timestamp": STAMP, "status": n, "tags": ["[", "]", ",", '"']} for n in range(100)]
    found = decoded(json.dumps(records, indent=1).encode())
    assert found.columns.column("status").to_pylist() == list(range(100))
    assert found.columns.column("verdict").to_pylist() == [0] * 100


def test_a_bad_element_harms_only_itself() -> None:
    found = decoded(f'[{A},{{"timestamp":}},7,"x",{B}]'.encode())
    verdicts = [0, Verdict.MALFORMED, Verdict.NOT_AN_OBJECT, Verdict.NOT_AN_OBJECT, 0]
    assert found.columns.column("verdict").to_pylist() == verdicts


@pytest.mark.parametrize("body", [f"[{A},{B}", f"[{A}]\n[{B}]", f"[{A}]x", f"[{A}]]"])
def test_what_is_not_one_whole_array_is_taken_as_lines(body: str) -> None:
    assert raw(body) == [line.encode() for line in body.split("\n")]


def test_a_broken_first_line_does_not_make_one_object_of_the_rest() -> None:
    found = decoded(f'{{"timestamp":"{STAMP}"\n{A}\n{B}'.encode())
    assert found.columns.column("verdict").to_pylist() == [Verdict.MALFORMED, 0, 0]


def test_lines_are_numbered_as_an_editor_does_it_less_one() -> None:
    assert list(decoded(f"\n{A}\n\nbad\n{B}".encode()).lines) == [1, 3, 4]
    assert list(decoded(f"[{A},{B}]".encode()).lines) == [0, 1]


def test_a_large_post_is_read_in_pieces_to_the_same_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        f'{{"timestamp":"{STAMP}","status":{n},"message":"\\u00e9{n}","u":[{n}]}}' if n % 7 else "bad\x00"
        for n in range(500)
    ]
    body = "\n".join(lines).encode()
    whole = decoded(body)
    monkeypatch.setattr(decode_module, "_CHUNK_BYTES", 1000)
    pieces = decoded(body)
    assert pieces.columns.equals(whole.columns)
    assert pieces.raw.equals(whole.raw)
    assert pieces.keys.equals(whole.keys)
    assert list(pieces.lines) == list(whole.lines)


fragments = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b'"',
        b"\\",
        b":",
        b" ",
        A.encode(),
        B.encode(),
        b"\xff",
        b"\x00",
        b"\xef\xbb\xbf",
        b'"timestamp":1',
        b"null",
        b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5',
        b' "-" "x"',
        b" 0.5",
        b"?",
        b"-",
    ]
)


@settings(deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.lists(fragments, max_size=40).map(b"".join)), st.sampled_from(sorted(FORMATS))
)
def test_no_bytes_break_it_and_no_line_is_lost(body: bytes, format_name: str) -> None:
    found = decoded(body, format_name)
    text = body.removeprefix(b"\xef\xbb\xbf")
    lines = [line.removesuffix(b"\r") for line in text.split(b"\n")]
    lines = [line for line in lines if line.strip(b" \t\r")]
    kept = found.raw.column("raw").to_pylist()
    if format_name != "json" or kept == lines:
        assert kept == lines
    else:  # an array, or one object over several lines: nothing but blanks, commas and the outer brackets is left out
        left = text
        for line in kept:
            before, found_it, left = left.partition(line)
            assert found_it
            assert not before.strip(b" \t\r\n,[")
        assert not left.strip(b" \t\r\n,]")
