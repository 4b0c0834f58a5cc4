"""Syntax tree of a scalar expression -> checked `Expression`: names, types and functions. Used by `bind` and by queries' filters.

Every node type has one handler; what has none is refused. An argument that a handler does not read is refused too, so nothing a
person wrote is ever ignored.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from tailrace.errors import ViewError
from tailrace.views.bind_number import arithmetic, as_wide_decimal, literal_number, negate
from tailrace.views.bind_text import bind_cast, bind_concat, bind_extra, bind_text_function, bind_trim
from tailrace.views.expression import BOOLEAN, NULL, TEXT, Call, Expression, Literal, Type, integer
from tailrace.views.functions import NAMED_TEXT_FUNCTIONS, SCALAR_NAMES, TEXT_FUNCTIONS
from tailrace.views.parse import Source, printed
from tailrace.views.scope import Scope, nearest

DEPTH_MAX = 80

_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt", exp.GTE: "ge",
    exp.NullSafeEQ: "same", exp.NullSafeNEQ: "distinct",
}  # fmt: skip
_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "add",
    exp.Sub: "sub",
    exp.Mul: "mul",
    exp.IntDiv: "idiv",
    exp.Mod: "mod",
}

# Marks of the parser that do not change what a handled node means.
_HARMLESS = frozenset(
    {
        "big_int",
        "safe",
        "typed",
        "coalesce",
        "null_if_pos_overflow",
        "only_json_types",
        "scalar_only",
        "position",
        "ignore_nulls",
        "single_replace",
    }
)


class ExpressionBinder:
    """Binds the expressions of one `source` in one `scope`."""

    def __init__(self, scope: Scope, source: Source) -> None:
        self.scope = scope
        self.source = source
        self._depth = 0

    def bind(self, node: exp.Expr) -> Expression:
        """Raises ViewError with the place and what to write instead."""
        self._depth += 1
        try:
            if self._depth > DEPTH_MAX:
                raise self.error("the expression is nested too deeply", node, "split it, or use IN (...) for a list")
            handler = _HANDLERS.get(type(node))
            if handler is not None:
                return handler(self, node)
            return self._other(node)
        finally:
            self._depth -= 1

    def condition(self, node: exp.Expr) -> Expression:
        """A boolean expression."""
        bound = self.bind(node)
        if bound.type.kind not in ("boolean", "null"):
            raise self.error(f"a condition is needed, this is {bound.type.kind}", node, "compare it with something")
        return bound

    def text(self, node: exp.Expr) -> Expression:
        bound = self.bind(node)
        if bound.type.kind not in ("text", "null"):
            raise self.error(f"text is needed, this is {bound.type.kind}", node, "write CAST(... AS VARCHAR)")
        return bound

    def error(self, message: str, at: exp.Expr | int, hint: str = "") -> ViewError:
        return self.source.error(message, at, hint)

    def only(self, node: exp.Expr, *names: str) -> None:
        """Refuse whatever `node` carries besides `names`."""
        for name, value in node.args.items():
            if name in names or value is None or value is False or value == []:
                continue
            if name in _HARMLESS and not isinstance(value, exp.Expr):
                continue
            raise self.error(f"`{self.word(node)}` is not supported in this form", node)

    def word(self, node: exp.Expr) -> str:
        return self.source.word(node)

    def common_type(self, operands: list[Expression], node: exp.Expr) -> Type:
        """The type that all operands can take; NULL fits any."""
        types = [o.type for o in operands if o.type.kind != "null"]
        if not types:
            return NULL
        if len(set(types)) == 1:
            return types[0]
        kinds = {t.kind for t in types}
        if kinds <= {"integer", "decimal"}:
            scale = max(t.scale for t in types)
            bound = max(t.bound * 10 ** (scale - t.scale) for t in types)
            if "decimal" in kinds:
                return Type("decimal", f"DECIMAL(38,{scale})", scale, bound)
            return integer(bound)
        if len(kinds) > 1:
            one, other = sorted(kinds)[:2]
            hint = "put the number in quotes, or write CAST(... AS INTEGER)" if "text" in kinds else ""
            if "timestamp" in kinds:
                hint = "a time range belongs to the request that reads the view: from= and to="
            raise self.error(f"{one} and {other} cannot be compared or mixed", node, hint)
        return types[0]

    # -- what is none of the handled nodes --------------------------------------------------------------------------

    def _other(self, node: exp.Expr) -> Expression:
        if type(node) in TEXT_FUNCTIONS:
            return bind_text_function(self, node, TEXT_FUNCTIONS[type(node)])
        if isinstance(node, exp.Anonymous) and node.name.lower() in NAMED_TEXT_FUNCTIONS:
            return bind_text_function(self, node, NAMED_TEXT_FUNCTIONS[node.name.lower()])
        if isinstance(node, exp.AggFunc):
            raise self.error(f"aggregate `{self.word(node)}` cannot stand inside another expression", node)
        word = self.word(node)
        if self.source.is_call(node):
            near = nearest(word, SCALAR_NAMES)
            hint = f"did you mean `{near}`?" if near else f"what can be used: {', '.join(SCALAR_NAMES)}"
            raise self.error(f"function `{word}` is not allowed in a view", node, hint)
        if isinstance(node, exp.Placeholder | exp.Parameter):
            raise self.error("a view has no parameters", node, "write the value itself")
        raise self.error(f"`{_shown(node)}` is not supported here", node)


def _shown(node: exp.Expr) -> str:
    text = printed(node)
    return text if len(text) <= 40 else text[:37] + "..."


def _column(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "table")
    table = node.args.get("table")
    if table is not None and table.name.lower() != "logs":
        hint = "a value in extra is read as extra['key']" if table.name.lower() == "extra" else "leave the table out"
        raise binder.error(f"there is no table `{table.name}` here", node, hint)
    if isinstance(node.this, exp.Star):
        raise binder.error("`*` cannot be used here", node, "name the columns")
    column = binder.scope.column(node.name)
    if column is None:
        message, hint = binder.scope.unknown(node.name)
        raise binder.error(message, node, hint)
    return column


def _literal(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    if node.args.get("is_string"):
        return Literal(node.name, TEXT)
    return literal_number(binder, node)


def _paren(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    return binder.bind(node.this)


def _logic(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    parts = list(node.flatten(unnest=False)) if isinstance(node, exp.Connector) else []
    op = "and" if isinstance(node, exp.And) else "or"
    return Call(op, tuple(binder.condition(p) for p in parts), BOOLEAN)


def _not(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    return Call("not", (binder.condition(node.this),), BOOLEAN)


def _comparison(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "expression")
    return compare(binder, _COMPARISONS[type(node)], binder.bind(node.this), binder.bind(node.expression), node)


def compare(binder: ExpressionBinder, op: str, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    """`left op right` with both brought to one type."""
    return Call(op, alike(binder, [left, right], node), BOOLEAN)


def alike(binder: ExpressionBinder, operands: list[Expression], node: exp.Expr) -> tuple[Expression, ...]:
    """The operands, all of one type. A field of the wanted scale is left bare, as comparing it so is cheapest."""
    wanted = binder.common_type(operands, node)
    if wanted.kind != "decimal":
        return tuple(operands)
    return tuple(o if o.type.kind == "null" else as_wide_decimal(binder, o, wanted.scale, node) for o in operands)


def _between(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "low", "high")
    value = binder.bind(node.this)
    low = compare(binder, "ge", value, binder.bind(node.args["low"]), node)
    high = compare(binder, "le", value, binder.bind(node.args["high"]), node)
    return Call("and", (low, high), BOOLEAN)


def _in(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    if node.args.get("query") is not None:
        raise binder.error("a subquery cannot be used in a view", node, "list the values: IN ('a', 'b')")
    binder.only(node, "this", "expressions")
    operands = [binder.bind(node.this), *(binder.bind(e) for e in node.expressions)]
    return Call("in", alike(binder, operands, node), BOOLEAN)


def _is(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "expression")
    value = binder.bind(node.this)
    if isinstance(node.expression, exp.Null):
        return Call("is_null", (value,), BOOLEAN)
    if isinstance(node.expression, exp.Boolean):
        return Call("same", (binder.condition(node.this), Literal(bool(node.expression.this), BOOLEAN)), BOOLEAN)
    raise binder.error("only IS NULL, IS TRUE and IS FALSE are supported", node)


def _like(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "expression", "negate")
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise binder.error("the pattern of LIKE must be a text in quotes", pattern)
    op = "ilike" if isinstance(node, exp.ILike) else "like"
    matched = Call(op, (binder.text(node.this), Literal(pattern.name, TEXT)), BOOLEAN)
    return Call("not", (matched,), BOOLEAN) if node.args.get("negate") else matched


def _case(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "ifs", "default", "true", "false")
    branches = node.args["ifs"] if isinstance(node, exp.Case) else [node]
    default = node.args.get("default" if isinstance(node, exp.Case) else "false")
    subject = binder.bind(node.this) if isinstance(node, exp.Case) and node.this is not None else None
    conditions: list[Expression] = []
    values: list[Expression] = []
    for branch in branches:
        if subject is None:
            conditions.append(binder.condition(branch.this))
        else:
            conditions.append(compare(binder, "eq", subject, binder.bind(branch.this), branch))
        values.append(binder.bind(branch.args["true"]))
    values.append(Literal(None, NULL) if default is None else binder.bind(default))
    result = binder.common_type(values, node)
    values = list(alike(binder, values, node))
    args = [part for pair in zip(conditions, values, strict=False) for part in pair]
    return Call("case", (*args, values[-1]), result)


def _coalesce(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "expressions")
    operands = [binder.bind(node.this), *(binder.bind(e) for e in node.expressions)]
    result = binder.common_type(operands, node)
    return Call("coalesce", alike(binder, operands, node), result)


def _nullif(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "expression")
    value = binder.bind(node.this)
    equal = compare(binder, "eq", value, binder.bind(node.expression), node)
    return Call("case", (equal, Literal(None, NULL), value), value.type)


def _arithmetic(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "expression")
    return arithmetic(binder, _ARITHMETIC[type(node)], binder.bind(node.this), binder.bind(node.expression), node)


def _division(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    raise binder.error(
        "`/` makes a floating point number, which is not the same in every order and engine",
        node,
        "use // for whole numbers, or divide where the result is read",
    )


def _neg(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    return negate(binder, binder.bind(node.this), node)


def _abs(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    return negate(binder, binder.bind(node.this), node, op="abs")


def _subquery(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    raise binder.error("a subquery cannot be used in a view", node, "a view reads logs once, record by record")


_Handler = Callable[[ExpressionBinder, exp.Expr], Expression]

_HANDLERS: dict[type[exp.Expr], _Handler] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: lambda _, node: Literal(bool(node.this), BOOLEAN),
    exp.Null: lambda _, __: Literal(None, NULL),
    exp.Paren: _paren,
    exp.And: _logic,
    exp.Or: _logic,
    exp.Not: _not,
    **dict.fromkeys(_COMPARISONS, _comparison),
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    exp.Between: _between,
    exp.In: _in,
    exp.Is: _is,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Case: _case,
    exp.If: _case,
    exp.Coalesce: _coalesce,
    exp.Nullif: _nullif,
    exp.Div: _division,
    exp.Neg: _neg,
    exp.Abs: _abs,
    exp.Concat: bind_concat,
    exp.DPipe: bind_concat,
    exp.Trim: bind_trim,
    exp.Cast: bind_cast,
    exp.TryCast: bind_cast,
    exp.Bracket: bind_extra,
    exp.JSONExtractScalar: bind_extra,
    exp.JSONExtract: bind_extra,
    exp.Subquery: _subquery,
    exp.Exists: _subquery,
    exp.Select: _subquery,
}
