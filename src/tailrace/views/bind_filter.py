"""A query's `where`: a condition on a view's key columns, parsed, bound to them and to nothing else."""

from __future__ import annotations

from tailrace.errors import Invalid
from tailrace.views.bind_expression import ExpressionBinder
from tailrace.views.expression import Expression
from tailrace.views.parse import parse_condition
from tailrace.views.plan import CompiledView
from tailrace.views.scope import KeyScope


def bind_filter(view: CompiledView, where: str) -> Expression:
    """Raises Invalid (ViewError with a place) for what is not a condition, or reads anything but the view's keys."""
    try:
        tree, source = parse_condition(where)
        return ExpressionBinder(KeyScope(view.name, view.keys), source).condition(tree)
    except RecursionError as error:
        raise Invalid("the filter is nested too deeply", hint="use IN (...) for a list of values") from error
