"""Numbers: exact integers and decimals whose size is known while the view is compiled, so that no record can overflow them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from sqlglot import exp

from tailrace.views.binder import Binder
from tailrace.views.expression import RAW_MAX, WIDE_MAX, Call, Expression, Literal, Type, decimal, integer

SCALE_MAX = 18
_INT64_MAX = 2**63 - 1
_SMALLER = "CAST it to a smaller DECIMAL first; a value that does not fit becomes NULL"


def literal_number(binder: Binder, node: exp.Expr) -> Literal:
    """`500`, `0.25`, `1e3`: exact. Trailing zeros after the point are dropped, so 0.50 is 0.5."""
    try:
        value = Decimal(node.name.replace("_", ""))
    except InvalidOperation as error:
        raise binder.error(f"`{node.name}` is not a number", node) from error
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or len(digits) + abs(exponent) > 36:
        raise binder.error(f"`{node.name}` has too many digits", node, "36 digits are the limit")
    scale = max(-exponent, 0)
    raw = int(value.scaleb(scale))
    while scale and raw % 10 == 0:
        raw, scale = raw // 10, scale - 1
    if scale > SCALE_MAX:
        raise binder.error(f"`{node.name}` has more than {SCALE_MAX} digits after the point", node)
    return Literal(raw, decimal(scale, abs(raw)) if scale else integer(abs(raw)))


def rescaled(literal: Literal, scale: int) -> Literal:
    """The same number with at least `scale` digits after the point."""
    assert isinstance(literal.value, int)
    raw = literal.value * 10 ** (scale - literal.type.scale)
    return Literal(raw, decimal(scale, abs(raw)))


def as_wide_decimal(binder: Binder, operand: Expression, scale: int, node: exp.Expr) -> Expression:
    """`operand` with `scale` digits after the point; unchanged where it has them already."""
    if operand.type.kind == "decimal" and operand.type.scale == scale:
        return operand
    bound = operand.type.bound * 10 ** (scale - operand.type.scale)
    if bound > WIDE_MAX:
        raise binder.error("the numbers are too large to be compared or mixed exactly", node, _SMALLER)
    if isinstance(operand, Literal):
        return rescaled(operand, scale)
    return Call("widen", (operand,), Type("decimal", f"DECIMAL(38,{scale})", scale, bound))


def arithmetic(binder: Binder, op: str, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    """`left op right`. Division and remainder: whole numbers only, by a literal that is not 0, rounded towards 0."""
    for side in (left, right):
        if not side.type.is_number:
            raise binder.error(
                f"a number is needed, this expression mixes in {side.type.kind}", node, "CAST it to INTEGER first"
            )
    if op in ("idiv", "mod"):
        return _whole_division(binder, op, left, right, node)
    scale = left.type.scale + right.type.scale if op == "mul" else max(left.type.scale, right.type.scale)
    if op == "mul":
        bound = left.type.bound * right.type.bound
    else:
        left_bound, right_bound = (t.bound * 10 ** (scale - t.scale) for t in (left.type, right.type))
        bound = left_bound + right_bound
    if left.type.kind == right.type.kind == "integer":
        return Call(op, (left, right), _checked_integer(binder, bound, node))
    if bound > WIDE_MAX or scale > SCALE_MAX:
        raise binder.error("the result can have too many digits", node, _SMALLER)
    if op != "mul":
        left, right = (as_wide_decimal(binder, side, scale, node) for side in (left, right))
    return Call(op, (left, right), Type("decimal", f"DECIMAL(38,{scale})", scale, bound))


def negate(binder: Binder, operand: Expression, node: exp.Expr, op: str = "neg") -> Expression:
    """`-operand` or `abs(operand)`."""
    if not operand.type.is_number:
        raise binder.error(f"a number is needed, this is {operand.type.kind}", node)
    if isinstance(operand, Literal):
        assert isinstance(operand.value, int)
        return Literal(-operand.value if op == "neg" else abs(operand.value), operand.type)
    if operand.type.kind == "integer":
        return Call(op, (operand,), _checked_integer(binder, operand.type.bound, node))
    return Call(
        op, (operand,), Type("decimal", f"DECIMAL(38,{operand.type.scale})", operand.type.scale, operand.type.bound)
    )


def storable(binder: Binder, operand: Expression, node: exp.Expr) -> Expression:
    """The number as it is stored in keys and states: at most 18 digits. A computed decimal that needs more becomes NULL."""
    if operand.type.kind == "integer" and operand.type.bound > RAW_MAX:
        raise binder.error("the number can have more than 18 digits", node, _SMALLER)
    if operand.type.kind == "decimal" and operand.type.sql != f"DECIMAL(18,{operand.type.scale})":
        bound = min(operand.type.bound, RAW_MAX)
        return Call("narrow", (operand,), decimal(operand.type.scale, bound))
    return operand


def _whole_division(binder: Binder, op: str, left: Expression, right: Expression, node: exp.Expr) -> Expression:
    name = "//" if op == "idiv" else "%"
    if left.type.kind != "integer":
        raise binder.error(f"`{name}` is for whole numbers", node, "use CASE WHEN x < 100 THEN ... to group decimals")
    if not isinstance(right, Literal) or right.type.kind != "integer" or not right.value:
        raise binder.error(
            f"`{name}` needs a whole number that is not 0 on its right", node, f"for example status {name} 100"
        )
    assert isinstance(right.value, int)
    divisor = abs(right.value)
    if divisor > _INT64_MAX:
        raise binder.error("the divisor is too large", node)
    bound = left.type.bound // divisor if op == "idiv" else min(left.type.bound, divisor - 1)
    return Call(op, (left, right), _checked_integer(binder, bound, node))


def _checked_integer(binder: Binder, bound: int, node: exp.Expr) -> Type:
    if bound > _INT64_MAX:
        raise binder.error("the result can pass 64 bits", node, "CAST one side to DECIMAL(18,0)")
    return integer(bound)
