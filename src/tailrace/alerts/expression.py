"""The small language of rules: arithmetic and comparisons over the numbers of a view's rows, computed a column at a time.

    100 * server_errors / requests          greatest(a, b), least(a, b), abs(a)          requests >= 50 and endpoint_count < 3

Nothing else: no calls, no attributes, no text. A null, and what is divided by zero, is NaN, and NaN fulfils no comparison.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from tailrace.errors import Invalid

CHARS_MAX = 1_000
NODES_MAX = 100
HINT = "columns, numbers, + - * / ( ), greatest, least, abs; conditions: < <= > >= = <> and or not"
_ARITHMETIC: dict[type[ast.operator], Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
}
_COMPARISON: dict[type[ast.cmpop], Any] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_FUNCTIONS: dict[str, tuple[Any, int, int]] = {
    "greatest": (np.fmax, 2, 10),
    "least": (np.fmin, 2, 10),
    "abs": (np.absolute, 1, 1),
}


@dataclass(frozen=True, slots=True)
class Formula:
    """`columns`: the names it reads, lower case, in the order of first use. `condition`: its values are true or false."""

    text: str
    columns: tuple[str, ...]
    condition: bool

    def of(self, columns: Mapping[str, Any], rows: int) -> Any:
        """`columns`: lower-case name -> float64 array of `rows`. Returns an array of float64, or of bool for a condition."""
        with np.errstate(all="ignore"):
            found = _compute(_parsed(self.text), columns)
        whole: Any = np.broadcast_to(np.asarray(found, np.bool_ if self.condition else np.float64), (rows,)).copy()
        if not self.condition:
            whole[~np.isfinite(whole)] = np.nan
        return whole


def parse_formula(text: str, *, condition: bool = False) -> Formula:
    """Raises Invalid for what is not of this language, and for a number where a condition is wanted or the reverse."""
    tree = _parsed(text)
    nodes = list(ast.walk(tree))
    if len(nodes) > NODES_MAX:
        raise Invalid(f"`{text[:40]}` has too many parts", hint="make a view that has the number as a column")
    if _check(tree, text) != condition:
        wanted = "a condition" if condition else "a number"
        raise Invalid(f"`{text}` is not {wanted}", hint=HINT)
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = [n.id.lower() for n in nodes if isinstance(n, ast.Name) and id(n) not in functions]
    return Formula(text, tuple(dict.fromkeys(names)), condition)


def _parsed(text: str) -> ast.expr:
    if len(text) > CHARS_MAX:
        raise Invalid(f"`{text[:40]}` is longer than {CHARS_MAX} characters", hint="make a view that has the number")
    plain = text.replace("<>", "!=")
    python = "".join("==" if c == "=" and _is_single(plain, at) else c for at, c in enumerate(plain)).strip()
    try:
        return ast.parse(python, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Invalid(f"`{text}` cannot be read", hint=HINT) from error


def _is_single(text: str, at: int) -> bool:
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    return before not in ("<", ">", "!", "=") and after != "="


def _check(node: ast.expr, text: str) -> bool:
    """Whether it is a condition."""
    match node:
        case ast.Constant(value=bool() | str() | bytes()):
            pass
        case ast.Constant(value=int() | float()) | ast.Name():
            return False
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            if not _check(left, text) and not _check(right, text):
                return False
        case ast.UnaryOp(ast.USub() | ast.UAdd(), operand):
            if not _check(operand, text):
                return False
        case ast.UnaryOp(ast.Not(), operand):
            if _check(operand, text):
                return True
        case ast.Compare(left, ops, comparators) if all(type(op) in _COMPARISON for op in ops):
            if not any(_check(each, text) for each in (left, *comparators)):
                return True
        case ast.BoolOp(_, values):
            if all(_check(each, text) for each in values):
                return True
        case ast.Call(ast.Name(name), args, []) if name.lower() in _FUNCTIONS:
            _, least, most = _FUNCTIONS[name.lower()]
            if least <= len(args) <= most and not any(_check(each, text) for each in args):
                return False
    raise Invalid(f"`{text}` is not of the language of rules", hint=HINT)


def _compute(node: ast.expr, columns: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return np.float64(value)  # type: ignore[arg-type]
        case ast.Name(name):
            return columns[name.lower()]
        case ast.BinOp(left, op, right):
            return _ARITHMETIC[type(op)](_compute(left, columns), _compute(right, columns))
        case ast.UnaryOp(ast.Not(), operand):
            return np.logical_not(_compute(operand, columns))
        case ast.UnaryOp(ast.USub(), operand):
            return np.negative(_compute(operand, columns))
        case ast.UnaryOp(_, operand):
            return _compute(operand, columns)
        case ast.Compare(left, ops, comparators):
            sides = [_compute(each, columns) for each in (left, *comparators)]
            pairs = zip(ops, sides, sides[1:], strict=False)
            return reduce(np.logical_and, (_compared(op, a, b) for op, a, b in pairs))
        case ast.BoolOp(op, values):
            both = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return reduce(both, (_compute(each, columns) for each in values))
        case ast.Call(ast.Name(name), args, _):
            return _called(_FUNCTIONS[name.lower()][0], [_compute(each, columns) for each in args])
    raise AssertionError("checked before")


def _called(function: Any, values: list[Any]) -> Any:
    return function(values[0]) if len(values) == 1 else reduce(function, values)


def _compared(op: ast.cmpop, left: Any, right: Any) -> Any:
    """NaN fulfils no comparison, `<>` neither."""
    known = ~(np.isnan(left) | np.isnan(right))
    return np.logical_and(known, _COMPARISON[type(op)](left, right))
