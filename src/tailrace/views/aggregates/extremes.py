"""min(x), max(x): of numbers, text (by code point) or the timestamp. State: the value; merge: min or max; no value: NULL."""

from __future__ import annotations

from tailrace.views.aggregates.call import AggregateCall
from tailrace.views.plan import OutputColumn


def min_(call: AggregateCall) -> OutputColumn:
    return _extreme(call, "min")


def max_(call: AggregateCall) -> OutputColumn:
    return _extreme(call, "max")


def _extreme(call: AggregateCall, function: str) -> OutputColumn:
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
