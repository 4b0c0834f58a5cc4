"""min(x), max(x): of numbers, text (by code point) or the timestamp. State: the value; merge: min or max; no value: NULL.

min(x, n), max(x, n): the n smallest or largest values of a number, as a list in this order, with duplicates. State: that list; merge:
all values of the lists, of which the first n stay.
"""

from __future__ import annotations

from tailrace.views.aggregates.call import AggregateCall
from tailrace.views.expression import Literal
from tailrace.views.plan import OutputColumn

LIST_MAX = 100


def min_(call: AggregateCall) -> OutputColumn:
    return _extreme(call, "min")


def max_(call: AggregateCall) -> OutputColumn:
    return _extreme(call, "max")


def _extreme(call: AggregateCall, function: str) -> OutputColumn:
    if call.node.args.get("count") is not None:
        return _extremes(call, function)
    call.arguments("this")
    argument = call.value()
    if argument.type.kind not in ("integer", "decimal", "text", "timestamp"):
        raise call.error(
            f"`{function}` of {argument.type.kind} is not supported",
            call.node,
            "count(*) FILTER (WHERE ...) may be meant",
        )
    state = call.states.scalar(function, argument, call.filter, argument.type.sql)
    unit = call.unit(argument)
    return OutputColumn(call.name, function, unit, argument.type.sql, states=(state,), scale=argument.type.scale)


def _extremes(call: AggregateCall, function: str) -> OutputColumn:
    call.arguments("this", "count")
    argument = call.number()
    given = call.node.args["count"]
    n = call.binder.bind(given)
    if not (isinstance(n, Literal) and n.type.kind == "integer" and isinstance(n.value, int)):
        raise call.error("how many values must be a number written out", given, f"for example {function}(x, 5)")
    if not 1 <= n.value <= LIST_MAX:
        raise call.error(f"`{n.value}` values cannot be kept", given, f"ask for 1 to {LIST_MAX}")
    sql_type = f"{argument.type.sql}[]"
    state = call.states.scalar(function, argument, call.filter, sql_type, n.value)
    unit, scale = call.unit(argument), argument.type.scale
    return OutputColumn(call.name, f"{function}_n", unit, sql_type, states=(state,), scale=scale)
