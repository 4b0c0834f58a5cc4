"""Fields of a panel: a column of the view, or plain arithmetic over columns, perhaps with a name. The page computes them.

field  = [ name "=" ] sum
sum    = product { ("+" | "-") product }
product = factor { ("*" | "/") factor }
factor = "-" factor | number | column | "(" sum ")"
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tailrace.errors import Invalid

HINT = "write a column, or for example error_rate = server_errors / requests"
DEPTH_MAX = 32
_TOKEN = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?)|([A-Za-z_][A-Za-z0-9_]*)|([-+*/()=]))")


@dataclass(frozen=True, slots=True)
class Field:
    """`columns`: those that it is made of, each once, in the order of the text. `name`: None where the text gives none."""

    name: str | None
    columns: tuple[str, ...]


def parse_field(text: str) -> Field:
    """Raises Invalid with the place of what cannot be read."""
    tokens = _tokens(text)
    name = None
    if len(tokens) > 1 and tokens[1][1] == "=" and tokens[0][1].isidentifier():
        name = tokens[0][1]
        tokens = tokens[2:]
    reader = _Reader(text, tokens)
    reader.sum(0)
    reader.end()
    return Field(name, tuple(dict.fromkeys(reader.columns)))


def _tokens(text: str) -> list[tuple[int, str]]:
    """(place from 0, text) of each."""
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise Invalid(f"`{text[place]}` at character {place + 1} of `{text}` is no part of a field", hint=HINT)
        found.append((match.end() - len(match[0].lstrip()), match[0].lstrip()))
        at = match.end()
    return found


class _Reader:
    def __init__(self, text: str, tokens: list[tuple[int, str]]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0
        self.columns: list[str] = []

    def sum(self, depth: int) -> None:
        self.product(depth)
        while self._peek() in ("+", "-"):
            self._take()
            self.product(depth)

    def product(self, depth: int) -> None:
        self.factor(depth)
        while self._peek() in ("*", "/"):
            self._take()
            self.factor(depth)

    def factor(self, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise Invalid(f"`{self._text[:60]}` is nested too deeply", hint=HINT)
        token = self._take()
        if token == "-":
            self.factor(depth + 1)
        elif token == "(":
            self.sum(depth + 1)
            if self._take() != ")":
                raise self._wrong(self._next - 1, "a closing bracket is missing")
        elif token.isidentifier():
            self.columns.append(token)
        elif not token[:1].isdigit():
            raise self._wrong(self._next - 1, "a column or a number is missing")

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._wrong(self._next, f"`{self._tokens[self._next][1]}` does not belong there")

    def _peek(self) -> str:
        """Empty at the end."""
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    def _wrong(self, token: int, what: str) -> Invalid:
        place = self._tokens[token][0] + 1 if token < len(self._tokens) else len(self._text) + 1
        return Invalid(f"{what} at character {place} of `{self._text}`", hint=HINT)
