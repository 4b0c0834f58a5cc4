"""A condition on records, as live tail takes it: parsed, bound to the typed fields and `extra`, and to nothing else."""

from __future__ import annotations

from tailrace.errors import Invalid
from tailrace.model.fields import Fields
from tailrace.views.bind_expression import ExpressionBinder
from tailrace.views.expression import Expression
from tailrace.views.parse import parse_condition
from tailrace.views.scope import RecordScope


def bind_record_filter(where: str, fields: Fields) -> Expression:
    """Raises Invalid (ViewError with a place) for what is not a condition on a record."""
    try:
        tree, source = parse_condition(where)
        return ExpressionBinder(RecordScope(fields), source).condition(tree)
    except RecursionError as error:
        raise Invalid("the filter is nested too deeply", hint="use IN (...) for a list of values") from error
