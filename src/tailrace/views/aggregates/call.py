"""A call of an aggregate as `bind` hands it over, and what every aggregate asks of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from tailrace.errors import ViewError
from tailrace.views.aggregates.states import StateCollector
from tailrace.views.bind_expression import ExpressionBinder
from tailrace.views.bind_number import storable
from tailrace.views.expression import Column, Expression
from tailrace.views.plan import OutputColumn
from tailrace.views.scope import RecordScope

COUNT_TYPE = "BIGINT"
SUM_TYPE = "DECIMAL(38,0)"


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """`node`: the call without its FILTER. `name`: of the output column."""

    name: str
    node: exp.Expr
    filter: Expression | None
    binder: ExpressionBinder
    scope: RecordScope
    states: StateCollector

    def arguments(self, *names: str) -> None:
        self.binder.only(self.node, *names)

    def number(self) -> Expression:
        """The argument as a number of at most 18 digits."""
        bound = self.binder.bind(self.node.this)
        if not bound.type.is_number:
            hint = "a field that is text: CAST(... AS DECIMAL(18,3))" if bound.type.kind == "text" else ""
            raise self.error(
                f"`{self.binder.word(self.node)}` needs a number, this is {bound.type.kind}", self.node.this, hint
            )
        return storable(self.binder, bound, self.node.this)

    def value(self) -> Expression:
        """The argument, of any type that can be stored."""
        bound = self.binder.bind(self.node.this)
        return storable(self.binder, bound, self.node.this) if bound.type.is_number else bound

    def unit(self, argument: Expression) -> str | None:
        """The unit of the field that the argument is, if it is one."""
        field = self.scope.field(argument.name) if isinstance(argument, Column) else None
        return (field.unit or None) if field else None

    def error(self, message: str, at: exp.Expr, hint: str = "") -> ViewError:
        return self.binder.error(message, at, hint)


Aggregate = Callable[[AggregateCall], OutputColumn]
"""Registers the states it needs with the call's collector and returns the output column made of them."""
