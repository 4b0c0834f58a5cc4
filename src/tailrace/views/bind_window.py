"""`time_bucket(INTERVAL '10 seconds', timestamp)`: the one time window of a view, aligned to 1970-01-01 UTC."""

from __future__ import annotations

import re

from sqlglot import exp

from tailrace.views.bind_expression import ExpressionBinder
from tailrace.views.parse import printed

DAY_S = 86_400
_UNIT_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": DAY_S}
_EPOCH = re.compile(r"1970-01-01([T ]00:00(:00(\.0+)?)?)?(Z|\+00(:?00)?)?")
_TRUNCATIONS = (exp.TimestampTrunc, exp.DateTrunc, exp.TsOrDsToDate)
_USE = "write time_bucket(INTERVAL '10 seconds', timestamp) AS window_start"


def window_us(binder: ExpressionBinder, node: exp.Expr) -> int | None:
    """Width in microseconds if `node` is the time window, None if it is something else. Raises ViewError for a bad window."""
    if isinstance(node, _TRUNCATIONS):
        raise binder.error("windows are made with time_bucket", node, _USE)
    if not isinstance(node, exp.DateBin):
        return None
    binder.only(node, "this", "expression", "unit", "zone", "origin")
    column = node.expression
    if not (isinstance(column, exp.Column) and column.name.lower() == "timestamp"):
        raise binder.error("the window must be over the field `timestamp`", column, _USE)
    _check_origin(binder, node)
    seconds = _interval_s(binder, node.this)
    if seconds <= 0 or DAY_S % seconds:
        hint = "for example 1, 5, 10, 15 or 30 seconds, 1, 5 or 15 minutes, 1 or 6 hours, 1 day"
        raise binder.error("a window must be a whole number of seconds that divides a day", node.this, hint)
    return seconds * 1_000_000


def _check_origin(binder: ExpressionBinder, node: exp.Expr) -> None:
    for name in ("unit", "zone", "origin"):
        origin = node.args.get(name)
        if origin is None:
            continue
        literal = origin.this if isinstance(origin, exp.Cast) else origin
        if not (isinstance(literal, exp.Literal) and literal.is_string and _EPOCH.fullmatch(literal.name)):
            raise binder.error("windows begin at 1970-01-01 UTC", origin, "leave the origin out")


def _interval_s(binder: ExpressionBinder, node: exp.Expr) -> int:
    if not isinstance(node, exp.Interval) or node.this is None:
        raise binder.error("the window's width must be an INTERVAL", node, _USE)
    unit = node.args.get("unit")
    number = node.this.this if isinstance(node.this, exp.Paren) else node.this
    name = unit.name.upper().removesuffix("S") if unit is not None else ""
    if not isinstance(number, exp.Literal) or not re.fullmatch(r"\d{1,9}", number.name) or name not in _UNIT_S:
        shown = printed(node)
        raise binder.error(f"`{shown}` cannot be a window", node, "use whole seconds, minutes, hours or one day")
    return int(number.name) * _UNIT_S[name]
