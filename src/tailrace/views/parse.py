"""Text -> (name, syntax tree), with a `Source` that knows where each node stands. First pass of the compiler.

Only syntax is judged here: one statement, `CREATE VIEW name AS SELECT ...` or `CREATE STREAM name AS SELECT ...`, within sizes that no
honest one reaches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from tailrace.errors import ViewError

TEXT_MAX = 50_000
TOKENS_MAX = 4_000
NESTING_MAX = 60
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED_NAMES = frozenset({"logs"})

_DIALECT = Dialect.get_or_raise("duckdb")
_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_EXAMPLES = {
    "view": "write `CREATE VIEW name AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start, endpoint, "
    "count(*) AS requests FROM logs GROUP BY ALL`",
    "stream": "write `CREATE STREAM name AS SELECT * FROM logs WHERE status >= 500`",
}
_BEGINNING = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*CREATE\s+(?:OR\s+REPLACE\s+)?STREAM\b(?:\s+(\w+))?", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Source:
    """A text and its tokens; turns offsets and nodes into lines and columns, both from 1."""

    text: str
    tokens: tuple[Token, ...]

    def position(self, offset: int) -> tuple[int, int]:
        before = self.text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def offset(self, node: exp.Expr) -> int:
        """Where `node` begins; 0 if that cannot be told."""
        named = self._name_token(node)
        if named is not None:
            return named.start
        inner = self._first_positioned(node)
        if inner is not None:
            return inner
        # Words without arguments carry no position: look for the first word of what the node prints.
        words = printed(node).upper().split()
        return next((t.start for t in self.tokens if words and t.text.upper() == words[0]), 0)

    def keyword_offset(self, *words: str, before: int | None = None) -> int:
        """Where the last of these keywords at or before `before` (default: the end) stands; 0 if nowhere."""
        limit = len(self.text) if before is None else before
        found = [t.start for t in self.tokens if t.start <= limit and t.text.upper().split(" ")[0] in words]
        return found[-1] if found else 0

    def word(self, node: exp.Expr) -> str:
        """A function's name as the person wrote it."""
        token = self._name_token(node)
        return token.text if token is not None else node.name if isinstance(node, exp.Anonymous) else node.key

    def is_call(self, node: exp.Expr) -> bool:
        """Whether `node` was written as a function, with a name."""
        return isinstance(node, exp.Func) and self._name_token(node) is not None

    def arguments_written(self, node: exp.Expr) -> int:
        """How many arguments stand between the brackets of a call; 0 if `node` is none, or they are not set apart by commas."""
        name = self._name_token(node) if isinstance(node, exp.Func) else None
        index = next((i for i, t in enumerate(self.tokens) if t is name), len(self.tokens))
        depth = count = 0
        for token in self.tokens[index + 1 :]:
            depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
            if depth <= 0:
                break
            count += depth == 1 and token.token_type is TokenType.COMMA
        return count + 1 if count else 0

    def _first_positioned(self, node: exp.Expr) -> int | None:
        return min((n.meta["start"] for n in node.walk() if "start" in n.meta), default=None)

    def _name_token(self, node: exp.Expr) -> Token | None:
        """The token of a function's name: where the node says, or before the bracket that its first argument follows."""
        at = node.meta.get("start")
        if at is not None or not isinstance(node, exp.Func):
            return next((t for t in self.tokens if t.start == at), None)
        inner = self._first_positioned(node)
        if inner is None:
            names = type(node).sql_names()
            return next((t for t in self.tokens if t.text.upper() in names), None)
        index = next((i for i, t in enumerate(self.tokens) if t.start == inner), 0)
        if index >= 2 and self.tokens[index - 1].token_type is TokenType.L_PAREN:
            name = self.tokens[index - 2]
            return name if re.fullmatch(r"\w+", name.text) else None
        return None

    def error(self, message: str, at: exp.Expr | int, hint: str = "") -> ViewError:
        line, column = self.position(at if isinstance(at, int) else self.offset(at))
        return ViewError(message, line=line, column=column, hint=hint)


def printed(node: exp.Expr) -> str:
    """The node as SQL, for messages only."""
    return node.sql("duckdb", unsupported_level=ErrorLevel.IGNORE)


def is_stream(text: str) -> bool:
    """Whether the text begins as a stream does, whatever follows."""
    return _BEGINNING.match(text) is not None


def heading(text: str) -> str | None:
    """The name that a stream's text begins with, also where the rest cannot be parsed."""
    found = _BEGINNING.match(text)
    return found[1].lower() if found and found[1] else None


def parse_view(text: str) -> tuple[str, exp.Select, Source]:
    """The view's lower-case name, its SELECT, and its source. Raises ViewError."""
    return _statement(text, "view")


def parse_stream(text: str) -> tuple[str, exp.Select, Source]:
    """The stream's lower-case name, its SELECT, and its source. Raises ViewError."""
    return _statement(text, "stream")


def _statement(text: str, kind: str) -> tuple[str, exp.Select, Source]:
    source = Source(text, _tokens(text))
    name, start = _header(source, kind)
    end = _one_statement(source, start, kind)
    body = source.tokens[start:end]
    if not body:
        raise source.error("the SELECT is missing", len(text), _EXAMPLES[kind])
    tree = _parse(source, body)
    if not isinstance(tree, exp.Select):
        hint = f"a {kind} is one SELECT over logs" if isinstance(tree, exp.SetOperation) else _EXAMPLES[kind]
        raise source.error(f"a {kind} must be a single SELECT", body[0].start, hint)
    return name, tree, source


def parse_condition(text: str) -> tuple[exp.Expr, Source]:
    """A bare boolean expression, as in a request's `where`. Raises ViewError."""
    source = Source(text, _tokens(text))
    if not source.tokens:
        raise source.error("the filter is empty", 0, "leave `where` out, or write for example endpoint = '/login'")
    if any(t.token_type is TokenType.SEMICOLON for t in source.tokens):
        raise source.error(
            "a filter is one expression, without `;`", source.keyword_offset(";"), "end it before the `;`"
        )
    return _parse(source, source.tokens, exp.Condition), source


def _tokens(text: str) -> tuple[Token, ...]:
    bare = Source(text, ())
    if len(text) > TEXT_MAX:
        raise bare.error(f"the text is longer than `{TEXT_MAX}` characters", 0)
    if "\0" in text:
        raise bare.error("the text holds a NUL character", text.index("\0"), "remove it")
    try:
        tokens = tuple(_DIALECT.tokenize(text))
    except TokenError as error:
        raise bare.error(
            "a quote or a comment is opened and not closed",
            _unclosed(text),
            "close it; a quote inside text is doubled: 'it''s'",
        ) from error
    if len(tokens) > TOKENS_MAX:
        raise bare.error(f"more than `{TOKENS_MAX}` words", tokens[TOKENS_MAX].start)
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        if depth > NESTING_MAX:
            raise bare.error(f"nested deeper than `{NESTING_MAX}` brackets", token.start)
    return tokens


def _unclosed(text: str) -> int:
    """Where the quote or block comment that never ends begins."""
    at = 0
    while at < len(text):
        opened = re.compile(r"--[^\n]*|/\*|'|\"").search(text, at)
        if opened is None:
            break
        if opened.group().startswith("--"):
            at = opened.end()
            continue
        mark = "*/" if opened.group() == "/*" else opened.group()
        end = text.find(mark, opened.end())
        if end < 0:
            return opened.start()
        at = end + len(mark)
    return max(len(text) - 1, 0)


def _header(source: Source, kind: str) -> tuple[str, int]:
    """Name, and the index of the first token after `AS`. `kind`: view or stream."""
    example, wanted = _EXAMPLES[kind], ("CREATE", kind.upper())
    words = [t.text.upper() for t in source.tokens]
    at = 3 if words[:3] == ["CREATE", "OR", "REPLACE"] else 1
    if not words or words[0] != "CREATE" or words[at : at + 1] != [kind.upper()]:
        wrong = next((t.start for t, w in zip(source.tokens, wanted, strict=False) if t.text.upper() != w), 0)
        raise source.error(f"a {kind} starts with {' '.join(wanted)}", wrong, example)
    if len(words) <= at + 1:
        raise source.error(f"the {kind}'s name is missing", len(source.text), example)
    token = source.tokens[at + 1]
    name = token.text.lower()
    if not NAME.fullmatch(name):
        hint = "use letters, digits and `_`, a letter first, at most 63 characters"
        raise source.error(f"`{token.text}` cannot be a {kind}'s name", token.start, hint)
    if name in RESERVED_NAMES:
        raise source.error(f"`{name}` is taken: it is the records themselves", token.start, "choose another name")
    if words[at + 2 : at + 3] != ["AS"]:
        where = source.tokens[at + 2].start if len(words) > at + 2 else len(source.text)
        raise source.error(f"expected AS after the {kind}'s name", where, example)
    return name, at + 3


def _one_statement(source: Source, start: int, kind: str) -> int:
    """Index of the `;` that ends the statement, or of the end; nothing may follow it."""
    ends = [i for i, t in enumerate(source.tokens) if i >= start and t.token_type is TokenType.SEMICOLON]
    if not ends:
        return len(source.tokens)
    after = [t for t in source.tokens[ends[0] :] if t.token_type is not TokenType.SEMICOLON]
    if after:
        raise source.error("a file holds one statement", after[0].start, f"put the next {kind} into a file of its own")
    return ends[0]


def _parse(source: Source, tokens: tuple[Token, ...], into: type[exp.Expr] | None = None) -> exp.Expr:
    parser = _DIALECT.parser()
    try:
        trees = parser.parse_into(into, list(tokens), source.text) if into else parser.parse(list(tokens), source.text)
    except ParseError as error:
        raise _syntax_error(source, error) from error
    except RecursionError as error:
        raise source.error("the expression is too long to parse", 0, "split it, or use IN (...) for a list") from error
    if len(trees) != 1 or trees[0] is None:
        raise source.error("nothing to parse", 0)
    return trees[0]


def _syntax_error(source: Source, error: ParseError) -> ViewError:
    detail = error.errors[0] if error.errors else {}
    highlight = str(detail.get("highlight") or "")
    line, column = detail.get("line"), detail.get("col")
    description = str(detail.get("description") or error).split(" but got <Token")[0].split(" for <class")[0]
    if description.startswith("Invalid expression"):
        description = "this cannot stand here"
    elif description.startswith("Required keyword"):
        description = "something is missing before it"
    near = f" near `{highlight}`" if highlight else ""
    # Its line may be too high after a `$`, and its column is that of the token's last character: only the token's own place is right.
    at = next((token.start for token in source.tokens if (token.line, token.col) == (line, column)), 0)
    return source.error(f"syntax error{near}: {_lower_first(description)}", at)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
