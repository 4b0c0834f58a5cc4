"""What the parts of the binder ask of it. They are called by it, so it is named here as a shape."""

from __future__ import annotations

from typing import Protocol

from sqlglot import exp

from tailrace.errors import ViewError
from tailrace.views.expression import Expression
from tailrace.views.parse import Source
from tailrace.views.scope import Scope


class Binder(Protocol):
    """See `bind_expression.ExpressionBinder`."""

    scope: Scope
    source: Source

    def bind(self, node: exp.Expr) -> Expression: ...

    def text(self, node: exp.Expr) -> Expression: ...

    def error(self, message: str, at: exp.Expr | int, hint: str = "") -> ViewError: ...

    def only(self, node: exp.Expr, *names: str) -> None: ...

    def word(self, node: exp.Expr) -> str: ...
