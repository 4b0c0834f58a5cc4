"""`compile_view`: text -> plan, by the passes in order. The one entrance for everything that has a view's SQL in hand."""

from __future__ import annotations

import dataclasses

from sqlglot import exp

from tailrace.errors import ViewError
from tailrace.model.fields import Fields
from tailrace.views.bind import bind
from tailrace.views.check_mergeable import check_mergeable
from tailrace.views.parse import Source, parse_view
from tailrace.views.plan import CompiledView
from tailrace.views.stream import CompiledStream, Streams, inlined, stream_named


def compile_view(sql: str, fields: Fields, streams: Streams | None = None) -> CompiledView:
    """Compile one `CREATE VIEW name AS SELECT ... FROM logs ... GROUP BY ALL`. `streams`: what FROM may name besides `logs`.

    Raises:
        ViewError: it cannot be used; carries line, column and what to write instead.
    """
    try:
        name, tree, source = parse_view(sql)
        check_mergeable(tree, source)
        table = tree.args["from_"].this
        stream = stream_named(table.name, streams or {}, source, table)
        if stream is None:
            return bind(name, tree, source, sql.strip(), fields)
        plan = bind(name, tree, source, sql.strip(), fields, stream.conditions)
        return _standing_alone(plan, stream, source, table, fields)
    except RecursionError as error:
        raise ViewError("the view is nested too deeply", hint="split it, or use IN (...) for a list") from error


def compiled_or_none(sql: str, fields: Fields) -> CompiledView | None:
    """A view that compiled once, perhaps under other fields; None if it does not under these."""
    try:
        return compile_view(sql, fields)
    except ViewError:
        return None


def _standing_alone(
    plan: CompiledView, stream: CompiledStream, source: Source, table: exp.Table, fields: Fields
) -> CompiledView:
    """The plan with its text over `logs`, which must mean the same: it is what the layers keep and compile again."""
    text = inlined(stream, source, table)
    try:
        alone = compile_view(text, fields)
    except ViewError as error:
        message = f"with the conditions of stream `{stream.name}` the view cannot be used: {error.message}"
        raise source.error(message, table, error.hint) from error
    assert alone.version == plan.version, (alone, plan)
    return dataclasses.replace(plan, reads=stream.name, inlined=text)
