"""The SELECT of a pump as a tree of sqlglot: what only that dialect has is rewritten in the tokens, which keep their places.

`SELECT STREAM` is a SELECT. `STEP(t BY INTERVAL ...)` is a call with two arguments, and so is the older way of writing it, in which
the time since 1970 is divided and floored. `WINDOWED BY STAGGER (...)` is taken out, and parsed by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from tailrace.views.kinesis_analytics.statements import DIALECT, word
from tailrace.views.parse import Source

FUNCTIONS_NOT_TURNED: dict[str, tuple[str, str]] = {
    "RANDOM_CUT_FOREST": (
        "anomaly scores have no state that merges exactly",
        "keep the numbers in a view and alert on them: avg and stddev, or quantile(x, 0.99)",
    ),
    "RANDOM_CUT_FOREST_WITH_EXPLANATION": (
        "anomaly scores have no state that merges exactly",
        "keep the numbers in a view and alert on them: avg and stddev, or quantile(x, 0.99)",
    ),
    "HOTSPOTS": ("clusters have no state that merges exactly", "read the records: POST /v1/query"),
    "TOP_K_ITEMS_TUMBLING": (
        "a view keeps every key, and the largest are chosen when it is read",
        "write a view with that column as a key and count(*) AS requests, and ask for ?top=10&by=requests",
    ),
    "COUNT_DISTINCT_ITEMS_TUMBLING": (
        "distinct values are counted in a view",
        "write a view with approx_count_distinct(column)",
    ),
    "GROUP_RANK": ("ranks depend on all other rows", "ask for ?top= and ?by= when you read the view"),
    "LAG": ("a record counts by itself", "compare windows when you read the view"),
    **dict.fromkeys(
        ("REGEX_LOG_PARSE", "FAST_REGEX_LOG_PARSER", "VARIABLE_COLUMN_LOG_PARSE", "FIXED_COLUMN_LOG_PARSE",
         "SYS_LOG_PARSE", "W3C_LOG_PARSE"),
        ("lines are parsed when they come in", "use ?format=combined, or [[formats]] with a pattern in tailrace.toml"),
    ),
}  # fmt: skip
"""Functions by name: why they are not turned, and what to do instead."""


class CannotTurnError(Exception):
    """`at`: a node or an offset in the text."""

    def __init__(self, text: str, at: exp.Expr | int, hint: str) -> None:
        super().__init__(text)
        self.text, self.at, self.hint = text, at, hint


@dataclass(frozen=True, slots=True)
class Stagger:
    """WINDOWED BY STAGGER: what it is partitioned by, and its range."""

    partition: tuple[exp.Expr, ...]
    range: exp.Expr
    at: int


def parse_select(tokens: Sequence[Token], source: Source) -> tuple[exp.Select, Stagger | None]:
    """Raises CannotTurnError."""
    _check_functions(tokens)
    plain = [token for at, token in enumerate(tokens) if not _is_stream_word(tokens, at)]
    plain, stagger = _without_stagger(plain, source)
    plain = _steps(_floored_divisions(plain))
    tree = _parse(plain, source)
    if not isinstance(tree, exp.Select):
        raise CannotTurnError("a union of selects", tokens[0].start, "write a view for each of them")
    return tree, stagger


def _check_functions(tokens: Sequence[Token]) -> None:
    for token in tokens:
        found = FUNCTIONS_NOT_TURNED.get(word(token))
        if found is not None:
            raise CannotTurnError(f"{word(token)}: {found[0]}", token.start, found[1])
        if word(token) == "SESSION":
            raise CannotTurnError(
                "a session window: its bounds depend on other records",
                token.start,
                "group by the window and the session's id, and join windows when you read",
            )


def _is_stream_word(tokens: Sequence[Token], at: int) -> bool:
    return at > 0 and word(tokens[at]) == "STREAM" and word(tokens[at - 1]) == "SELECT"


def _parse(tokens: Sequence[Token], source: Source, into: type[exp.Expr] | None = None) -> exp.Expr:
    start = tokens[0].start if tokens else 0
    parser = DIALECT.parser()
    try:
        trees = parser.parse_into(into, list(tokens), source.text) if into else parser.parse(list(tokens), source.text)
    except ParseError as error:
        detail = error.errors[0] if error.errors else {}
        line, column = detail.get("line"), detail.get("col")
        at = next((token.start for token in tokens if (token.line, token.col) == (line, column)), start)
        near = str(detail.get("highlight") or "")[:60]
        raise CannotTurnError(
            f"this cannot be parsed near `{near}`", at, "write the view by hand: docs/views.md"
        ) from error
    except RecursionError as error:
        raise CannotTurnError("an expression that is too long", start, "split it") from error
    if len(trees) != 1 or trees[0] is None:
        raise CannotTurnError("nothing to parse", start, "write the view by hand: docs/views.md")
    return trees[0]


def _closing(tokens: Sequence[Token], opening: int) -> int:
    """Index of the bracket that closes the one at `opening`; past the end if none does."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += (word(tokens[at]) == "(") - (word(tokens[at]) == ")")
        if depth == 0:
            return at
    return len(tokens)


def _without_stagger(tokens: list[Token], source: Source) -> tuple[list[Token], Stagger | None]:
    begins = next((at for at, token in enumerate(tokens) if word(token) == "WINDOWED"), None)
    if begins is None:
        return tokens, None
    opening = begins + 3
    words = [word(token) for token in tokens[begins : opening + 1]]
    if words != ["WINDOWED", "BY", "STAGGER", "("]:
        raise CannotTurnError("a window of a kind that is not known", tokens[begins].start, "STAGGER is")
    end = _closing(tokens, opening)
    inner = tokens[opening + 1 : end]
    parted = next((at for at, token in enumerate(inner) if word(token) == "PARTITION BY"), None)
    ranged = next((at for at, token in enumerate(inner) if word(token) == "RANGE"), None)
    if ranged is None or end >= len(tokens):
        raise CannotTurnError("a stagger window without RANGE", tokens[begins].start, "RANGE INTERVAL '1' MINUTE")
    partition: tuple[exp.Expr, ...] = ()
    if parted is not None and parted < ranged:
        parts = _steps(_floored_divisions(inner[parted + 1 : ranged]))
        partition = tuple(_parse([*_select_word(parts), *parts], source).expressions)
    length = _parse([*_select_word(inner), *inner[ranged + 1 :]], source).expressions
    if len(length) != 1:
        raise CannotTurnError("a stagger window without a length", inner[ranged].start, "RANGE INTERVAL '1' MINUTE")
    return tokens[:begins] + tokens[end + 1 :], Stagger(partition, length[0], tokens[begins].start)


def _select_word(tokens: Sequence[Token]) -> list[Token]:
    at = tokens[0].start if tokens else 0
    return [Token(TokenType.SELECT, "SELECT", 1, 1, at, at)]


def _like(token: Token, kind: TokenType, text: str) -> Token:
    """Another token in the same place."""
    return Token(kind, text, token.line, token.col, token.start, token.end)


def _steps(tokens: list[Token]) -> list[Token]:
    """STEP(t BY i) as STEP(t, i)."""
    made = list(tokens)
    for at, token in enumerate(tokens[:-1]):
        if word(token) == "STEP" and word(tokens[at + 1]) == "(":
            for inner in range(at + 2, _closing(tokens, at + 1)):
                if word(tokens[inner]) == "BY":
                    made[inner] = _like(tokens[inner], TokenType.COMMA, ",")
    return made


def _floored_divisions(tokens: list[Token]) -> list[Token]:
    """FLOOR((t - TIMESTAMP '1970-01-01 00:00:00') SECOND / 10 TO SECOND) as STEP(t, INTERVAL '10' SECOND)."""
    at = 0
    while at < len(tokens) - 2:
        if [word(token) for token in tokens[at : at + 3]] == ["FLOOR", "(", "("]:
            inner_end, end = _closing(tokens, at + 2), _closing(tokens, at + 1)
            behind = [word(token) for token in tokens[inner_end + 1 : end]]
            minus = next((i for i in range(at + 3, inner_end) if word(tokens[i]) == "-"), None)
            if (
                minus is not None
                and len(behind) == 5
                and behind[1] == "/"
                and behind[3] == "TO"
                and behind[0] == behind[4]
            ):
                unit, number = tokens[inner_end + 1], tokens[inner_end + 3]
                tokens = [
                    *tokens[:at],
                    _like(tokens[at], TokenType.VAR, "STEP"),
                    tokens[at + 1],
                    *tokens[at + 3 : minus],
                    _like(unit, TokenType.COMMA, ","),
                    _like(unit, TokenType.INTERVAL, "INTERVAL"),
                    _like(number, TokenType.STRING, number.text),
                    unit,
                    *tokens[end:],
                ]
        at += 1
    return tokens
