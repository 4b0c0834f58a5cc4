"""The search language: reads what it prints, finds what a plain filter finds, and says where a mistake is."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.serving.search.bind import PROSE, compile_search
from tailrace.serving.search.needed import needed_words
from tailrace.serving.search.parse import parse_search
from tailrace.serving.search.tree import (
    And,
    Compare,
    Everything,
    Exists,
    Match,
    Not,
    Or,
    Query,
    Range,
    SearchError,
    Text,
    Words,
    show,
)
from tailrace.views.dialects.duckdb.expression import print_expression

_pieces = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
_bare = st.lists(st.one_of(st.just(""), _pieces), min_size=1, max_size=3).filter(lambda p: any(p)).map(tuple)
_text = st.one_of(_bare.map(Text), _pieces.map(lambda t: Text((t,), quoted=True)))
_field = st.one_of(st.sampled_from(["status", "a.b", "and", "x-y"]), _pieces)
_bound = st.one_of(st.sampled_from(["100", "-1.5", "2026-11-23T10:00:00Z", "to"]), _pieces.filter(lambda t: t != "*"))
_leaf: st.SearchStrategy[Query] = st.one_of(
    st.just(Everything()),
    _text.map(Words),
    st.builds(Match, _field, _text),
    st.builds(Compare, _field, st.sampled_from([">", ">=", "<", "<="]), _bound),
    st.builds(Range, _field, st.none() | _bound, st.none() | _bound),
    st.builds(Exists, _field),
)


def _several(inner: st.SearchStrategy[Query]) -> st.SearchStrategy[tuple[Query, ...]]:
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


_queries = st.recursive(
    _leaf, lambda q: st.one_of(st.builds(Not, q), st.builds(And, _several(q)), st.builds(Or, _several(q))), max_leaves=8
)


@given(_queries)
def test_reads_what_it_prints(query: Query) -> None:
    assert parse_search(show(query)) == query


# -- against a plain filter ----------------------------------------------------------------------------------------------

_VOCABULARY = ["timeout", "Time", "time_out", "/api/login", "a b", "10.0.0.1", "x-1", "", "caf\u00e9", "ERROR", "500"]
_records = st.lists(
    st.fixed_dictionaries(
        {
            "endpoint": st.none() | st.sampled_from(_VOCABULARY),
            "level": st.none() | st.sampled_from(["ERROR", "error", "info"]),
            "status": st.none() | st.sampled_from([0, 5, 200, 500, 503]),
            "response_ms": st.none() | st.sampled_from([Decimal("0.500"), Decimal(100), Decimal("200.125")]),
            "message": st.none() | st.lists(st.sampled_from(_VOCABULARY), max_size=3).map(" ".join),
            "extra": st.none()
            | st.fixed_dictionaries(
                {}, optional={"plan": st.sampled_from(["pro", "5"]), "u": st.just({"age": 41}), "w": st.just("Time")}
            ).map(json.dumps),
        }
    ),
    max_size=6,
)
_known = st.one_of(
    st.sampled_from([*_VOCABULARY[:7], "login", "api", "out", "503", "time*", "*out", "t*e", "caf*"]).map(
        lambda t: Words(Text(tuple(t.split("*"))))
    ),
    st.sampled_from(["time", "a b", "api/login"]).map(lambda t: Words(Text((t,), quoted=True))),
    st.builds(Match, st.sampled_from(["endpoint", "level", "message"]), st.sampled_from(["error", "/api/*", "time", "*o*"]).map(
        lambda t: Text(tuple(t.split("*"))))),
    st.builds(Match, st.just("level"), st.just(Text(("ERROR",), quoted=True))),
    st.builds(Match, st.sampled_from(["status", "response_ms"]), st.sampled_from(["5*", "500", "100"]).map(
        lambda t: Text(tuple(t.split("*"))))),
    st.builds(Match, st.sampled_from(["plan", "u.age", "extra.w"]), st.sampled_from(["pro", "41", "TIME"]).map(
        lambda t: Text((t,)))),
    st.builds(Compare, st.sampled_from(["status", "response_ms", "u.age", "plan"]), st.sampled_from([">", ">=", "<", "<="]),
              st.sampled_from(["5", "100", "200.125", "41"])),
    st.builds(Range, st.sampled_from(["status", "u.age"]), st.none() | st.just("5"), st.none() | st.just("500")),
    st.builds(Exists, st.sampled_from(["status", "level", "plan", "u.age"])),
)  # fmt: skip
_asked = st.recursive(
    _known,
    lambda q: st.one_of(st.builds(Not, q), st.builds(And, _several(q)), st.builds(Or, _several(q))),
    max_leaves=6,
)
_NUMBERS = {"status", "response_ms"}
_CONNECTION = duckdb.connect(config={"threads": 1})


def _value(record: dict[str, Any], field: str) -> Any:
    if field in record:
        return record[field]
    value: Any = json.loads(record["extra"] or "{}")
    for key in field.removeprefix("extra.").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _has_words(value: str | None, text: Text) -> bool:
    body = r"\w*".join(re.escape(part.lower()) for part in text.parts)
    first, last = text.parts[0][:1], text.parts[-1][-1:]
    start = r"(?<!\w)" if re.match(r"\w", first) else ""
    end = r"(?!\w)" if re.match(r"\w", last) else ""
    return value is not None and re.search(start + body + end, value.lower()) is not None


def _whole(value: str | None, text: Text) -> bool:
    if value is None or text.quoted:
        return value == text.plain
    return re.fullmatch(".*".join(re.escape(p.lower()) for p in text.parts), value.lower(), re.DOTALL) is not None


def _number(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(value)
    except ArithmeticError:
        return None


def _holds(query: Query, record: dict[str, Any]) -> bool:
    match query:
        case Everything():
            return True
        case And(of):
            return all(_holds(each, record) for each in of)
        case Or(of):
            return any(_holds(each, record) for each in of)
        case Not(of):
            return not _holds(of, record)
        case Words(text):
            texts = [record[n] for n in ("endpoint", "level", "message", "extra")]
            status = None if record["status"] is None else str(record["status"])
            whole = status is not None and (_has_words(status, text) if text.is_wild else status == text.plain)
            return whole or any(_has_words(t, text) for t in texts)
        case Match(field, text) if field in PROSE:
            return _has_words(record[field], text)
        case Match(field, text) if field in _NUMBERS and not text.is_wild:
            return record[field] is not None and record[field] == Decimal(text.plain)
        case Match(field, text):
            value = _value(record, field)
            if field == "response_ms" and value is not None:
                value = f"{value:.3f}"
            return _whole(None if value is None else str(value), text)
        case Compare(field, op, bound):
            number, other = _number(_value(record, field)), Decimal(bound)
            if number is None:
                return False
            return {">": number > other, ">=": number >= other, "<": number < other, "<=": number <= other}[op]
        case Range(field, low, high):
            if low is None and high is None:
                return _value(record, field) is not None
            ends = [(">=", low), ("<=", high)]
            return all(_holds(Compare(field, op, end), record) for op, end in ends if end is not None)
        case Exists(field):
            return _value(record, field) is not None


@settings(max_examples=80, deadline=None)
@given(_asked, _records)
def test_finds_what_a_plain_filter_finds(query: Query, records: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(records, schema=DEFAULT_FIELDS.record_schema())
    table = table.append_column("n", pa.array(range(table.num_rows), pa.int64()))
    _, condition = compile_search(show(query), DEFAULT_FIELDS)
    sql = "TRUE" if condition is None else print_expression(condition)
    _CONNECTION.register("records", table)
    found = _CONNECTION.execute(f"SELECT n FROM records AS r WHERE {sql} ORDER BY n").fetchall()
    assert [n for (n,) in found] == [n for n, record in enumerate(records) if _holds(query, record)]


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("(a or b", 1, "never closed"),
        ("a )", 3, "does not belong here"),
        ('x "open', 3, "never closed"),
        ("status:", 1, "a value is missing"),
        ("status:abc", 8, "is a number"),
        ("a and", 6, "missing at the end"),
        ("a or and b", 6, "cannot go on with `and`"),
        ("status:[1 2]", 11, "`TO` is missing"),
        ("timestamp:>yesterday", 12, "is not a time"),
        ("st*us:5", 1, "a field has no wildcard"),
        ("status:1..2..3", 8, "a range has two ends"),
        ("_x..y:1", 1, "is no field"),
    ],
)
def test_says_where_a_mistake_is(text: str, column: int, says: str) -> None:
    with pytest.raises(SearchError, match=re.escape(says)) as caught:
        compile_search(text, DEFAULT_FIELDS)
    assert (caught.value.line, caught.value.column) == (1, column)
    assert caught.value.hint
    assert caught.value.as_json()["error"]["column"] == column


def test_counts_lines_of_a_search() -> None:
    with pytest.raises(SearchError) as caught:
        parse_search("a\n and (b")
    assert (caught.value.line, caught.value.column) == (2, 6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Timeout", ["timeout"]),
        ('"connection reset by 10.0.0.1"', ["connection", "reset", "by", "10", "0", "0", "1"]),
        ("conn*", []),
        ("a*b c", ["c"]),
        ("endpoint:/api/v1/*", ["api", "v1"]),
        ("trace_id:ab12", ["ab12"]),
        ("plan:pro", []),
        ("not x", []),
        ("status:500", ["500"]),
        ("status:>500", []),
        ("caf\u00e9", []),
    ],
)
def test_knows_which_words_a_record_must_have(text: str, words: list[str]) -> None:
    needed = needed_words(parse_search(text), DEFAULT_FIELDS)
    assert sorted(set(words)) == sorted(needed.words if needed else [])


def test_either_of_two_words_is_enough() -> None:
    needed = needed_words(parse_search("(x or y) z"), DEFAULT_FIELDS)
    assert needed is not None
    assert [needed.may_match(there.__contains__) for there in ("xz", "yz", "xy", "z")] == [True, True, False, False]
