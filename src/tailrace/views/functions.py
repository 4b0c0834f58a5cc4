"""The whitelist of text functions: how each is called, what it takes and what it gives.

A function belongs here only if it is deterministic, cannot fail for any record, and means the same in every engine that prints it.
Numbers that place or count characters, and patterns, must be literals, so that they are checked while the view is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from tailrace.views.expression import BOOLEAN, TEXT, Type, integer


@dataclass(frozen=True, slots=True)
class TextFunction:
    """`op`: its canonical name. `slots`: the syntax node's arguments in order. `takes`: what each may be, one letter an argument.

    t: text expression; s: text literal; p: regular expression literal; r: replacement literal; i: whole number literal.
    The last `optional` arguments may be left out.
    """

    op: str
    slots: tuple[str, ...]
    takes: str
    result: Type
    optional: int = 0
    usage: str = ""


_LENGTH = integer(2**31)

TEXT_FUNCTIONS: dict[type[exp.Expr], TextFunction] = {
    exp.Lower: TextFunction("lower", ("this",), "t", TEXT, usage="lower(text)"),
    exp.Upper: TextFunction("upper", ("this",), "t", TEXT, usage="upper(text)"),
    exp.Length: TextFunction("length", ("this",), "t", _LENGTH, usage="length(text)"),
    exp.Substring: TextFunction(
        "substr", ("this", "start", "length"), "tii", TEXT, optional=1, usage="substr(text, first, length)"
    ),
    exp.Left: TextFunction("left", ("this", "expression"), "ti", TEXT, usage="left(text, length)"),
    exp.Right: TextFunction("right", ("this", "expression"), "ti", TEXT, usage="right(text, length)"),
    exp.Replace: TextFunction(
        "replace", ("this", "expression", "replacement"), "tss", TEXT, usage="replace(text, 'a', 'b')"
    ),
    exp.SplitPart: TextFunction(
        "split_part", ("this", "delimiter", "part_index"), "tsi", TEXT, usage="split_part(text, '/', 2)"
    ),
    exp.StartsWith: TextFunction("starts_with", ("this", "expression"), "tt", BOOLEAN, usage="starts_with(text, 'a')"),
    exp.EndsWith: TextFunction("ends_with", ("this", "expression"), "tt", BOOLEAN, usage="ends_with(text, 'a')"),
    exp.Contains: TextFunction("contains", ("this", "expression"), "tt", BOOLEAN, usage="contains(text, 'a')"),
    exp.RegexpLike: TextFunction(
        "regexp_matches", ("this", "expression"), "tp", BOOLEAN, usage="regexp_matches(text, 'pattern')"
    ),
    exp.RegexpFullMatch: TextFunction(
        "regexp_full_match", ("this", "expression"), "tp", BOOLEAN, usage="regexp_full_match(text, 'pattern')"
    ),
    exp.RegexpExtract: TextFunction(
        "regexp_extract",
        ("this", "expression", "group"),
        "tpi",
        TEXT,
        optional=1,
        usage="regexp_extract(text, 'pattern', 1)",
    ),
    exp.RegexpReplace: TextFunction(
        "regexp_replace",
        ("this", "expression", "replacement", "modifiers"),
        "tprs",
        TEXT,
        optional=1,
        usage="regexp_replace(text, 'pattern', 'replacement', 'g')",
    ),
}

NAMED_TEXT_FUNCTIONS: dict[str, TextFunction] = {
    "network": TextFunction("network", ("0",), "t", TEXT, usage="network(ip)"),
}
"""Functions that the parser has no node for; their slots are argument numbers."""

HEAVY_OPS = frozenset(
    {"network", "regexp_matches", "regexp_full_match", "regexp_extract", "regexp_replace", "lower", "upper"}
)
"""Worth computing once for a distinct value instead of once a record."""

OTHER_NAMES = (
    "coalesce", "nullif", "if", "concat", "trim", "ltrim", "rtrim", "abs", "cast", "try_cast",
)  # fmt: skip

SCALAR_NAMES: tuple[str, ...] = tuple(
    sorted({f.op for f in (*TEXT_FUNCTIONS.values(), *NAMED_TEXT_FUNCTIONS.values())} | set(OTHER_NAMES))
)
"""Every scalar function that can be written, for messages and docs."""
