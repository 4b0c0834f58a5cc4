"""`compile_view`: text -> plan, by the passes in order. The one entrance for everything that has a view's SQL in hand."""

from __future__ import annotations

from tailrace.errors import ViewError
from tailrace.model.fields import Fields
from tailrace.views.bind import bind
from tailrace.views.check_mergeable import check_mergeable
from tailrace.views.parse import parse_view
from tailrace.views.plan import CompiledView


def compile_view(sql: str, fields: Fields) -> CompiledView:
    """Compile one `CREATE VIEW name AS SELECT ... FROM logs ... GROUP BY ALL`.

    Raises:
        ViewError: it cannot be used; carries line, column and what to write instead.
    """
    try:
        name, tree, source = parse_view(sql)
        check_mergeable(tree, source)
        return bind(name, tree, source, sql.strip(), fields)
    except RecursionError as error:
        raise ViewError("the view is nested too deeply", hint="split it, or use IN (...) for a list") from error


def compiled_or_none(sql: str, fields: Fields) -> CompiledView | None:
    """A view that compiled once, perhaps under other fields; None if it does not under these."""
    try:
        return compile_view(sql, fields)
    except ViewError:
        return None
