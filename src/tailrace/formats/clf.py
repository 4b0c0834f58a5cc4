"""Access logs: Common and Combined Log Format of nginx and Apache, with an optional trailing response time.

`ip ident user [time] "METHOD target PROTOCOL" status bytes`, then perhaps `"referer" "user agent"`, then perhaps
`"forwarded for"` (nginx's stock `main` format), then perhaps a response time. Apache's `vhost:port` in front is known too.
A `-` is no value. Text is kept as logged: escapes such as `\\x22` are not undone.

The response time is the first bare number behind the known parts, or is labelled (`rt=0.123`). With a decimal point it is
seconds (nginx `$request_time`), without one microseconds (Apache `%D`); `Options.response_time` overrules the shape.
Whatever else stands there is kept in `extra` as `rest`. This file reads one line at a time; `clf_columns` reads the usual
shapes a column at a time, to the same outcome (property test).
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from tailrace.formats.arrays import gather, json_objects, json_strings
from tailrace.formats.base import ABSENT, LITERAL, STRING, Limits, Lines, Options, Record, Side, Tokens, dead
from tailrace.formats.clf_columns import read_columns
from tailrace.model.fields import Fields
from tailrace.model.verdict import Verdict

NAMES = (
    "protocol", "vhost", "ip", "ident", "user", "timestamp", "method", "endpoint", "request", "status", "bytes", "referer",
    "user_agent", "forwarded_for", "response_ms", "rest",
)  # fmt: skip
"""What a line may hold, in the order in which `extra` names it. Those that are fields of the stream go there instead."""

# Every part is bounded or cannot match the byte behind it, so that no line, however made, costs more than its length.
_QUOTED = rb'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rb"(?:(?P<vhost>[\w.-]+:\d+) )?(?P<ip>\S+) (?P<ident>\S+) (?P<user>.{1,256}?) \[(?P<timestamp>[^\"]{0,64}?)\] "
    + _QUOTED.replace(b"(", b"(?P<request>", 1)
    + rb" (?P<status>\d+|-) (?P<bytes>\d+|-)(?: "
    + _QUOTED.replace(b"(", b"(?P<referer>", 1)
    + b" "
    + _QUOTED.replace(b"(", b"(?P<user_agent>", 1)
    + b"(?: "
    + _QUOTED.replace(b"(", b"(?P<forwarded_for>", 1)
    + rb")?)?(?P<rest> .*)?",
    re.DOTALL,
)
_REQUEST = re.compile(rb"(?P<method>[A-Z][A-Z_-]*) (?P<endpoint>\S.*?)(?: (?P<protocol>HTTP/\S*))?", re.DOTALL)
_PIECE = re.compile(rb" (?:([A-Za-z_][\w.-]*)=)?(?:" + _QUOTED + rb"|([^\s\"]+))(?= |$)")
_TIME = re.compile(rb"\d+(\.\d+)?")
_COUNT = re.compile(rb"0|[1-9]\d{0,17}")
_LABELS = (b"rt", b"request_time", b"response_time", b"urt", b"upstream_response_time")
_SHIFTS = {"s": 3, "ms": 0, "us": -3}

Span = tuple[int, int]


def tokenize(lines: Lines, fields: Fields, limits: Limits, options: Options) -> Record:
    """Names that are no fields go to `extra`; fields that access logs do not have (such as `service`) are absent."""
    found = {name: Tokens.absent(lines.count) for name in NAMES}
    time = found["response_ms"]
    time.shift = np.zeros(lines.count, np.int64)
    left = read_columns(lines, np.flatnonzero(lines.verdict == 0), found)
    malformed = [row for row in left.tolist() if not _read_line(lines, row, found)]
    dead(lines, np.array(malformed, np.int64), Verdict.MALFORMED)
    time.shift = np.full(lines.count, _SHIFTS[options.response_time]) if options.response_time else time.shift
    taken = {name: each.name for each in fields.all for name in (each.name, each.key) if name in NAMES}
    tokens = {each.name: Tokens.absent(lines.count) for each in fields.all}
    tokens |= {field: found[name] for name, field in taken.items()}
    rest = [(name, _as_json(lines, found[name])) for name in NAMES if name not in taken]
    return Record(tokens, json_objects([(n, values) for n, values in rest if values is not None], lines.count), Side(0))


def _as_json(lines: Lines, tokens: Tokens) -> pa.Array | None:
    absent = tokens.kind == ABSENT
    if absent.all():
        return None
    texts = gather(lines.buffer, tokens.start, tokens.end, absent, pa.string())
    return texts if (tokens.kind[~absent] == LITERAL).all() else json_strings(texts)


def _read_line(lines: Lines, row: int, found: dict[str, Tokens]) -> bool:
    """False if the line is no access log line."""
    base, line = int(lines.start[row]), lines.text(row)
    match = _LINE.fullmatch(line)
    if match is None:
        return False
    for name in (
        "vhost",
        "ip",
        "ident",
        "user",
        "timestamp",
        "status",
        "bytes",
        "referer",
        "user_agent",
        "forwarded_for",
    ):
        _put(found[name], row, base, match.span(name), line)
    if found["bytes"].kind[row] and _COUNT.fullmatch(match["bytes"]):
        found["bytes"].kind[row] = LITERAL
    start, end = match.span("request")
    request = _REQUEST.fullmatch(line, start, end)
    for name in ("method", "endpoint", "protocol") if request else ():
        _put(found[name], row, base, request.span(name), line)  # type: ignore[union-attr]
    if not request:
        _put(found["request"], row, base, (start, end), line)
    if match["rest"]:
        _read_rest(line, match.start("rest"), row, base, found)
    return True


def _put(tokens: Tokens, row: int, base: int, span: Span, line: bytes) -> None:
    start, end = span
    if start >= 0 and line[start:end] != b"-":
        tokens.start[row], tokens.end[row], tokens.kind[row] = base + start, base + end, STRING


def _read_rest(line: bytes, start: int, row: int, base: int, found: dict[str, Tokens]) -> None:
    """The response time, if what follows is a list of pieces and one of them is that; and the others."""
    pieces = []
    at = start
    while at < len(line):
        piece = _PIECE.match(line, at)
        if piece is None:
            break
        pieces.append(piece)
        at = piece.end()
    time = _time_piece(pieces) if at == len(line) else None
    if time is not None:
        group = 2 if time[2] is not None else 3
        _put(found["response_ms"], row, base, time.span(group), line)
        found["response_ms"].shift[row] = 3 if b"." in time[group] else -3
        if len(pieces) == 1:
            return
    _put(found["rest"], row, base, (start + 1, len(line)), line)


def _time_piece(pieces: list[re.Match[bytes]]) -> re.Match[bytes] | None:
    """The labelled one by the order of the labels, else the first bare number."""
    timed = [piece for piece in pieces if _TIME.fullmatch(piece[2] if piece[2] is not None else piece[3])]
    labelled = [piece for piece in timed if piece[1] in _LABELS]
    if labelled:
        return min(labelled, key=lambda piece: _LABELS.index(piece[1]))
    return next((piece for piece in timed if piece[1] is None and piece[3] is not None), None)
