"""Lines that share a shape are read a column at a time. The outcome must be that of the careful way, bit for bit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats import json as json_format
from tailrace.formats.json_template import learn
from tailrace.model.verdict import Verdict
from tests.formats.decoding import STAMP, decoded, rows

ALONE = 1 << 30


def alone_and_by_shape(lines: list[bytes], earlier: list[bytes] | None = None) -> tuple[list[object], list[object]]:
    """Columns and raw of the lines, read one at a time, and read by shape wherever two lines share one.

    `earlier`: a post that came before them, whose shapes are remembered.
    """
    results = []
    body = b"\n".join(lines)
    before = json_format._ROWS_MIN
    try:
        for smallest in (ALONE, 1):
            json_format._ROWS_MIN = smallest
            json_format._Recent.shapes = ()
            decoded(b"\n".join(earlier or []))
            found = decoded(body)
            results.append([found.columns.to_pylist(), found.raw.to_pylist(), found.keys.to_pylist()])
    finally:
        json_format._ROWS_MIN = before
    return results[0], results[1]


scalars = st.sampled_from(
    [
        "null", "true", "false", "0", "-0", "-1", "200", "41.4", "0.0005", "2.6004", "1e3", "1e400", "01", "1.", "-", "NaN",
        "123456789012345678", "1234567890123456789", '""', '"x"', '"200"', '"é"', '"a b"', '"say \\"hi\\""', '"\\\\"',
        '"\\ud83d"', '"\\x"', '"tab\tin"', '"/a?x=1"', '"?"', "[]", "[1,2]", "[ 1 ]", "{}", '{"b":1}', '{"b":"c"}',
        '["x","y"]', '[{"d":[]},"e"]', "[1,{", '"open', "", '"2026-11-22T10:00:00.5Z"', '"17/May/2015:10:05:03 +0000"',
        "1795341600123", "1 ", "[[[[[[[[1]]]]]]]]",
    ]
)  # fmt: skip
keys = st.sampled_from(
    [
        "timestamp",
        "@timestamp",
        "ts",
        "status",
        "status_code",
        "response_ms",
        "endpoint",
        "message",
        "msg",
        "user",
        "q",
        "a\\u0062",
        "",
    ]
)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")])


@st.composite
def posts(draw: st.DrawFn) -> list[bytes]:
    """Lines of a few shapes, with values of every sort in the same places."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.lists(keys, min_size=1, max_size=5))
        comma, colon = draw(separators)
        for _ in range(draw(st.integers(1, 6))):
            members = [f'"timestamp"{colon}"{STAMP}"'] if draw(st.booleans()) else []
            members += [f'"{name}"{colon}{draw(scalars)}' for name in names]
            lines.append(("{" + comma.join(members) + "}").encode())
    order = draw(st.permutations(range(len(lines))))
    return [lines[at] for at in order]


@settings(deadline=None)
@given(posts())
def test_reading_by_shape_changes_nothing(lines: list[bytes]) -> None:
    alone, by_shape = alone_and_by_shape(lines)
    assert by_shape == alone


@settings(deadline=None)
@given(posts(), st.data())
def test_nor_do_bytes_changed_at_random(lines: list[bytes], data: st.DataObject) -> None:
    body = bytearray(b"\n".join(lines * 2))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.sampled_from(b'"\\{}[],: \t\r\n0a\x00\x01\xc3\xa9n'))
    alone, by_shape = alone_and_by_shape(bytes(body).split(b"\n"))
    assert by_shape == alone


@settings(deadline=None)
@given(posts(), posts(), st.data())
def test_nor_do_the_shapes_of_earlier_posts(lines: list[bytes], earlier: list[bytes], data: st.DataObject) -> None:
    mixed = data.draw(st.permutations(lines + earlier[: data.draw(st.integers(0, len(earlier)))]))
    alone, by_shape = alone_and_by_shape(mixed, earlier)
    assert by_shape == alone


@pytest.mark.parametrize("deviation", [b"", b'"', b"\\", b" ", b"1", b"x"])
def test_every_byte_of_a_line_is_looked_at(deviation: bytes) -> None:
    line = f'{{"timestamp":"{STAMP}","status":200,"user":{{"id":7,"name":"x"}},"tags":[1,2],"message":"m"}}'.encode()
    changed = [line[:at] + deviation + line[at + 1 :] for at in range(len(line))]
    alone, by_shape = alone_and_by_shape([line, *changed, line])
    assert by_shape == alone


def test_lines_of_several_shapes_come_out_in_their_order() -> None:
    lines = []
    for n in range(300):
        record: dict[str, object] = {"timestamp": STAMP, "status": n}
        if n % 3 == 0:
            record |= {"user": {"id": n, "roles": ["a", f"r{n}"]}, "message": f"line {n}"}
        if n % 5 == 0:
            record = {"message": 'say "hi"\n', **record}
        lines.append("broken" if n % 50 == 49 else json.dumps(record))
    found = rows("\n".join(lines))
    assert [row["status"] for row in found] == [None if n % 50 == 49 else n for n in range(300)]
    assert found[45]["message"] == "line 45"
    assert found[45]["extra"] == '{"user":{"id": 45, "roles": ["a", "r45"]}}'
    assert found[50]["message"] == 'say "hi"\n'
    assert {row["verdict"] for row in found[49::50]} == {Verdict.MALFORMED}
    alone, by_shape = alone_and_by_shape([line.encode() for line in lines])
    assert by_shape == alone


def test_most_lines_of_a_usual_post_are_read_by_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one: list[int] = []
    real = json_format.tokenize_rows

    def counting(lines, rows, *rest):
        one_by_one.extend(rows.tolist())
        return real(lines, rows, *rest)

    monkeypatch.setattr(json_format, "tokenize_rows", counting)
    usual = f'{{"timestamp": "{STAMP}", "status": 200, "user": {{"id": "u"}}, "message": "say \\"hi\\""}}'
    found = rows("\n".join([usual] * 100 + ["broken"] + [usual] * 100))
    assert one_by_one == [100]
    assert sum(row["message"] == 'say "hi"' for row in found) == 200


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b'{"a":1,"b":"x"}', 2),
        (b'{"a":[1,2,3],"b":{"c":{}}}', 2),
        (b'{"a":[1,{"b":"x"}]}', 2),
        (b'{"a":["x","y",[]]}', 3),
        (b'{"a":[1,2,{"b":"x"}]}', None),
        (b"{}", None),
        (b'{"a":"' + b"x" * 20_000 + b'"}', None),
    ],
)
def test_a_shape_has_one_place_for_each_value(line: bytes, values: int | None) -> None:
    template = learn(line)
    assert (None if template is None else len(template.slots)) == values
