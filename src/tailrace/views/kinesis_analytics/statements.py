"""The statements of an application: streams with their columns, pumps with what they insert where, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from tailrace.views.parse import NESTING_MAX, Source

TEXT_MAX = 500_000
STATEMENT_TOKENS_MAX = 4_000
DIALECT = Dialect.get_or_raise("")
_QUOTED = TokenType.IDENTIFIER


@dataclass(frozen=True, slots=True)
class Name:
    """`key`: names are the same if these are: upper case unless it was `quoted`. `shown`: as it was written."""

    key: str
    shown: str
    at: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class StreamColumn:
    name: Name
    type: str


@dataclass(frozen=True, slots=True)
class CreateStream:
    name: Name
    columns: tuple[StreamColumn, ...]


@dataclass(frozen=True, slots=True)
class Pump:
    """`columns`: those of the target that are named; empty: all, in their order. `select`: tokens from SELECT on."""

    name: Name
    target: Name
    columns: tuple[Name, ...]
    select: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """Something else, or one of the above that does not read: `problem` says why."""

    words: str
    at: int
    problem: str = ""


Statement = CreateStream | Pump | Other


def read(text: str) -> tuple[Source, list[Statement]]:
    """Raises ViewError for a text that cannot be cut into statements."""
    bare = Source(text, ())
    if len(text) > TEXT_MAX:
        raise bare.error(f"the text is longer than `{TEXT_MAX}` characters", 0)
    try:
        tokens = tuple(DIALECT.tokenize(text))
    except TokenError as error:
        raise bare.error("a quote or a comment is opened and not closed", 0, "close it") from error
    source = Source(text, tokens)
    return source, [_statement(part) for part in _parts(tokens) if part]


def _parts(tokens: Sequence[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _statement(tokens: list[Token]) -> Statement:
    words = [word(token) for token in tokens[:6]]
    at = tokens[0].start
    if len(tokens) > STATEMENT_TOKENS_MAX or _depth(tokens) > NESTING_MAX:
        return Other(" ".join(words[:4]), at, "the statement is too long, or nested too deeply")
    reader = _Reader(tokens)
    reader.skip("CREATE")
    reader.skip("OR")
    reader.skip("REPLACE")
    try:
        if words[0] == "CREATE" and reader.skip("STREAM"):
            return _stream(reader)
        if words[0] == "CREATE" and reader.skip("PUMP"):
            return _pump(reader)
    except ValueError as error:
        return Other(" ".join(words[:4]), at, str(error))
    return Other(" ".join(words[:3]), at)


def word(token: Token) -> str:
    """In upper case; of a quoted name nothing, as it is no word of the language."""
    return "" if token.token_type in (_QUOTED, TokenType.STRING) else token.text.upper()


def _depth(tokens: Sequence[Token]) -> int:
    depth = deepest = 0
    for token in tokens:
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        deepest = max(deepest, depth)
    return deepest


class _Reader:
    """Takes tokens one after another. Raises ValueError where something else is expected."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at = tokens, 0

    def skip(self, wanted: str) -> bool:
        found = self.at < len(self.tokens) and word(self.tokens[self.at]) == wanted
        self.at += found
        return found

    def need(self, wanted: str) -> None:
        if not self.skip(wanted):
            raise ValueError(f"`{wanted}` is expected {self._where()}")

    def name(self) -> Name:
        """The last part of a name with dots."""
        while True:
            if self.at >= len(self.tokens) or not (
                self.tokens[self.at].token_type is _QUOTED or self.tokens[self.at].text[:1].isalpha()
            ):
                raise ValueError(f"a name is expected {self._where()}")
            token = self.tokens[self.at]
            self.at += 1
            if not self.skip("."):
                return name_of(token)

    def names(self) -> tuple[Name, ...]:
        found = [self.name()]
        while self.skip(","):
            found.append(self.name())
        self.need(")")
        return tuple(found)

    def type(self) -> str:
        """Everything up to the next column."""
        depth, words = 0, []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if depth == 0 and word(token) in (",", ")"):
                break
            depth += (word(token) == "(") - (word(token) == ")")
            words.append(token.text.upper())
            self.at += 1
        return " ".join(words)

    def _where(self) -> str:
        if self.at < len(self.tokens):
            return f"before `{self.tokens[self.at].text[:60]}`"
        return "at the end"


def name_of(token: Token) -> Name:
    quoted = token.token_type is _QUOTED
    return Name(token.text if quoted else token.text.upper(), token.text, token.start, quoted)


def _stream(reader: _Reader) -> CreateStream:
    name, columns = reader.name(), []
    if reader.skip("("):
        while True:
            columns.append(StreamColumn(reader.name(), reader.type()))
            if not reader.skip(","):
                break
        reader.need(")")
    return CreateStream(name, tuple(columns))


def _pump(reader: _Reader) -> Pump:
    name = reader.name()
    if not reader.skip("STARTED"):
        reader.skip("STOPPED")
    reader.need("AS")
    reader.need("INSERT")
    reader.need("INTO")
    target = reader.name()
    columns = reader.names() if reader.skip("(") else ()
    select = tuple(reader.tokens[reader.at :])
    if not select or word(select[0]) != "SELECT":
        raise ValueError("`SELECT` is expected after INSERT INTO")
    return Pump(name, target, columns, select)
