"""A search as a value, and its one canonical text: `parse(show(query)) == query`.

Docs of the language: docs/explore.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tailrace.errors import Invalid

KEYWORDS = frozenset({"and", "or", "not", "to"})
_PLAIN = re.compile(r"[^\s()\[\]\"\\:*<>-][^\s()\[\]\"\\:*]*")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class SearchError(Invalid):
    """A search cannot be read; `line` and `column` count from 1, `length` is how much of the text is meant."""

    code = "search_error"

    def __init__(self, message: str, *, line: int = 1, column: int = 1, length: int = 1, hint: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {message}", hint=hint)
        self.line = line
        self.column = column
        self.length = length

    def as_json(self) -> dict[str, dict[str, str]]:
        found = super().as_json()
        place: dict[str, object] = {"line": self.line, "column": self.column, "length": self.length}
        return {"error": {**found["error"], **place}}  # type: ignore[dict-item]


@dataclass(frozen=True, slots=True)
class Text:
    """What a value must be. `parts`: the text between its wildcards, so one part has none. `quoted`: case counts, no wildcards."""

    parts: tuple[str, ...]
    quoted: bool = False

    @property
    def plain(self) -> str:
        """The text where there is no wildcard."""
        return "*".join(self.parts)

    @property
    def is_wild(self) -> bool:
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True)
class Everything:
    """All records."""


@dataclass(frozen=True, slots=True)
class Words:
    """Free text anywhere in the line."""

    text: Text


@dataclass(frozen=True, slots=True)
class Match:
    """`field:value`."""

    field: str
    text: Text


@dataclass(frozen=True, slots=True)
class Compare:
    """`field:>500`. `op`: > >= < <=."""

    field: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Range:
    """`field:[low TO high]`, both inclusive; None is open."""

    field: str
    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Exists:
    """`field:*`."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    of: Query


@dataclass(frozen=True, slots=True)
class And:
    of: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    of: tuple[Query, ...]


Query = Everything | Words | Match | Compare | Range | Exists | Not | And | Or


def leaves(query: Query) -> Iterator[Query]:
    """What is asked of a record, from left to right."""
    match query:
        case Not(of):
            yield from leaves(of)
        case And(of) | Or(of):
            for each in of:
                yield from leaves(each)
        case _:
            yield query


def show(query: Query) -> str:
    """The canonical text of a search."""
    match query:
        case Everything():
            return "*"
        case Words(text):
            return _text(text)
        case Match(field, text):
            return f"{_field(field)}:{_text(text)}"
        case Compare(field, op, value):
            return f"{_field(field)}:{op}{_value(value)}"
        case Range(field, low, high):
            return f"{_field(field)}:[{_bound(low)} TO {_bound(high)}]"
        case Exists(field):
            return f"{_field(field)}:*"
        case Not(of):
            return f"not {_operand(of)}"
        case And(of):
            return " and ".join(_operand(each) for each in of)
        case Or(of):
            return " or ".join(_operand(each) for each in of)


def _operand(query: Query) -> str:
    return f"({show(query)})" if isinstance(query, And | Or) else show(query)


def _field(name: str) -> str:
    return name if _FIELD.fullmatch(name) and name.lower() not in KEYWORDS else _quoted(name)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: Text) -> str:
    if text.quoted:
        return _quoted(text.plain)
    if not text.is_wild and text.plain.lower() in KEYWORDS:
        return "\\" + text.plain
    return "*".join(_escaped(part) for part in text.parts)


def _escaped(part: str) -> str:
    return re.sub(r"([\s()\[\]\"\\:*<>.-])", r"\\\1", part) if not _is_plain(part) else part


def _is_plain(part: str) -> bool:
    return part == "" or (_PLAIN.fullmatch(part) is not None and ".." not in part and not part.startswith(("=", ".")))


def _value(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and ".." not in value and value.lower() not in KEYWORDS else _quoted(value)


def _bound(value: str | None) -> str:
    return "*" if value is None else _value(value)
