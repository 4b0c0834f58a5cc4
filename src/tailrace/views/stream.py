"""`CREATE STREAM name AS SELECT * FROM logs WHERE condition`: a named, deterministic condition over the records.

A stream holds nothing. Whatever reads it reads `logs` with its condition, put in when that is compiled: so a view over a stream is
exact over all of history, and is another version as soon as the condition is another one. A stream may read a stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from tailrace.errors import ViewError
from tailrace.model.fields import Fields
from tailrace.views.bind_expression import ExpressionBinder
from tailrace.views.check_mergeable import check_from, check_nodes
from tailrace.views.expression import Expression, conjunction
from tailrace.views.parse import Source, parse_stream
from tailrace.views.scope import RecordScope, nearest

LOGS = "logs"
CHAIN_MAX = 16
"""Streams over streams."""
_CLAUSES = {"group": "GROUP BY", "order": "ORDER BY", "joins": "a join", "with_": "WITH", "sample": "TABLESAMPLE"}
_VIEW_INSTEAD = "a stream only chooses records: SELECT * FROM logs WHERE ...; do the rest in a view over it"


@dataclass(frozen=True, slots=True)
class StreamText:
    """A stream by itself, before its source is looked for. `place`: line and column of it. `text`: its condition as written."""

    name: str
    sql: str
    reads: str
    place: tuple[int, int]
    condition: Expression
    text: str


@dataclass(frozen=True, slots=True)
class CompiledStream:
    """`reads`: `logs` or another stream. `conditions`, and `texts` as they are written: its sources' first, its own last."""

    name: str
    sql: str
    reads: str
    conditions: tuple[Expression, ...]
    texts: tuple[str, ...]

    @property
    def condition(self) -> Expression:
        whole = conjunction(self.conditions)
        assert whole is not None, "a stream has a condition"
        return whole

    @property
    def definition(self) -> str:
        """A text that compiles to the same condition by itself, over `logs`."""
        return f"CREATE STREAM {self.name} AS SELECT * FROM {LOGS} WHERE {all_of(self.texts)}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A stream that is there and cannot be read, and why. `circle`: the streams that read one another, if that is it."""

    name: str
    reason: str
    hint: str
    circle: tuple[str, ...] = ()


Streams = Mapping[str, CompiledStream | Unusable]
"""By lower-case name."""


def parse_stream_text(sql: str, fields: Fields) -> StreamText:
    """Raises ViewError with line, column and what to write instead."""
    try:
        name, tree, source = parse_stream(sql)
        _check_stream(tree, source)
        where = tree.args["where"]
        condition = ExpressionBinder(RecordScope(fields), source).condition(where.this)
    except RecursionError as error:
        raise ViewError("the stream is nested too deeply", hint="use IN (...) for a list of values") from error
    table = tree.args["from_"].this
    begin, end = condition_span(source, table)
    return StreamText(
        name, sql.strip(), table.name.lower(), source.position(source.offset(table)), condition, sql[begin:end].strip()
    )


def _check_stream(tree: exp.Select, source: Source) -> None:
    for name, value in tree.args.items():
        if value and name not in ("expressions", "from_", "where"):
            what = _CLAUSES.get(name, name.strip("_").upper())
            words = ("JOIN", ",") if name == "joins" else (what.split(" ")[0],)
            raise source.error(f"{what} is not supported in a stream", source.keyword_offset(*words), _VIEW_INSTEAD)
    for node in tree.walk(bfs=False):
        if isinstance(node, exp.Query) and node is not tree:
            opened = source.keyword_offset("SELECT", "FROM", before=source.offset(node))
            raise source.error("a subquery cannot be used in a stream", opened, "a stream reads logs record by record")
    check_from(tree, source)
    (first, *more) = tree.expressions
    if more or not isinstance(first, exp.Star) or any(first.args.values()):
        wrong = more[0] if isinstance(first, exp.Star) and more else first
        raise source.error(
            "a stream has all columns", wrong, "write SELECT *, and choose columns where the stream is read"
        )
    if tree.args.get("where") is None:
        end = len(source.text.rstrip().rstrip(";"))
        raise source.error("the condition is missing", end, "add WHERE ...; all records are read as `logs`")
    check_nodes(tree.args["where"], source)


def condition_span(source: Source, table: exp.Table) -> tuple[int, int]:
    """Where the text of the condition begins and ends that follows WHERE, up to GROUP BY or the end. Empty without WHERE."""
    after = _after(source, table)
    end = next((t.start for t in after if t.token_type in (TokenType.GROUP_BY, TokenType.SEMICOLON)), len(source.text))
    if not after or after[0].token_type is not TokenType.WHERE:
        return end, end
    return after[0].end + 1, end


def _after(source: Source, table: exp.Table) -> tuple[Token, ...]:
    """The tokens that follow the name of the table."""
    at = source.offset(table)
    return tuple(t for t in source.tokens if t.start > at)


def all_of(texts: Iterable[str]) -> str:
    """One text of conditions. Each may end with a comment."""
    return " AND ".join(f"({text}\n)" for text in texts)


def inlined(stream: CompiledStream, source: Source, table: exp.Table) -> str:
    """The text of a view over `stream`, as one over `logs`."""
    text, at = source.text, source.offset(table)
    begin, end = condition_span(source, table)
    own = [text[begin:end]] if begin < end else []
    return f"{text[:at]}{LOGS}\nWHERE {all_of([*stream.texts, *own])}\n{text[end:]}".strip()


def stream_named(name: str, streams: Streams, source: Source, at: exp.Expr | int) -> CompiledStream | None:
    """The stream that a FROM means, None for `logs`. Raises ViewError where there is none, or none that can be read."""
    if name.lower() == LOGS:
        return None
    found = streams.get(name.lower())
    if found is None:
        hint = f"{_known(name, streams)} Or make it: CREATE STREAM {name} AS SELECT * FROM logs WHERE ..."
        raise source.error(f"there is no stream `{name}`; views of views are not supported", at, hint)
    if isinstance(found, Unusable):
        raise source.error(f"stream `{found.name}` cannot be read: {found.reason}", at, found.hint)
    return found


def link_streams(texts: Iterable[StreamText], unread: Mapping[str, Unusable] | None = None) -> Streams:
    """Each stream with the conditions of its sources. One whose source is missing, or that reads itself, is unusable.

    `unread`: streams that cannot be parsed, by name; a text of the same name counts instead.
    """
    by_name = {text.name: text for text in texts}
    linked: dict[str, CompiledStream | Unusable] = {n: u for n, u in (unread or {}).items() if n not in by_name}
    for name in by_name:
        _link(name, by_name, linked, ())
    return linked


def _link(
    name: str, texts: Mapping[str, StreamText], linked: dict[str, CompiledStream | Unusable], way: tuple[str, ...]
) -> CompiledStream | Unusable:
    if name in linked:
        return linked[name]
    text = texts[name]
    made: CompiledStream | Unusable
    if name in way:
        circle = (*way[way.index(name) :], name)
        return Unusable(name, f"it reads itself: {' -> '.join(circle)}", "let it read `logs`", circle)
    if len(way) >= CHAIN_MAX:
        return Unusable(name, f"more than {CHAIN_MAX} streams read one another", "let it read `logs`")
    if text.reads == LOGS:
        made = CompiledStream(name, text.sql, LOGS, (text.condition,), (text.text,))
    elif text.reads not in texts and text.reads not in linked:
        others = [other for other in texts if other != name]
        made = Unusable(name, f"there is no stream `{text.reads}`", _known(text.reads, others))
    else:
        of = _link(text.reads, texts, linked, (*way, name))
        if isinstance(of, Unusable) and name in of.circle:
            made = Unusable(name, of.reason, of.hint, of.circle)
        elif isinstance(of, Unusable):
            made = Unusable(name, f"its source `{of.name}` cannot be read: {of.reason}", of.hint)
        else:
            made = CompiledStream(name, text.sql, text.reads, (*of.conditions, text.condition), (*of.texts, text.text))
    linked[name] = made
    return made


def _known(name: str, streams: Iterable[str]) -> str:
    """What could be read instead of `name`."""
    listed = sorted(streams)
    near = nearest(name, [LOGS, *listed])
    if near:
        return f"did you mean `{near}`?"
    return (
        f"there are `logs` and the streams {', '.join(listed)}." if listed else "write FROM logs; there are no streams."
    )


def compile_stream(
    sql: str, fields: Fields, beside: Iterable[StreamText] = (), unread: Mapping[str, Unusable] | None = None
) -> CompiledStream:
    """Compile one stream. `beside`, `unread`: the other streams, as `link_streams` takes them.

    Raises:
        ViewError: it cannot be used; carries line, column and what to write instead.
    """
    text = parse_stream_text(sql, fields)
    found = link_streams([*beside, text], unread)[text.name]
    if isinstance(found, Unusable):
        line, column = text.place
        raise ViewError(found.reason, line=line, column=column, hint=found.hint)
    return found
