"""bool_and(c), bool_or(c): whether a condition held always, or once. State: a boolean; merge: min or max; never true nor false: NULL."""

from __future__ import annotations

from tailrace.views.aggregates.call import AggregateCall
from tailrace.views.plan import OutputColumn


def bool_and(call: AggregateCall) -> OutputColumn:
    return _logical(call, "bool_and", "min")


def bool_or(call: AggregateCall) -> OutputColumn:
    return _logical(call, "bool_or", "max")


def _logical(call: AggregateCall, kind: str, function: str) -> OutputColumn:
    """False is less than true."""
    call.arguments("this")
    argument = call.binder.condition(call.node.this)
    if argument.type.kind == "null":
        raise call.error(f"{kind}(NULL) is always NULL", call.node, f"for example {kind}(status < 500)")
    state = call.states.scalar(function, argument, call.filter, "BOOLEAN")
    return OutputColumn(call.name, kind, None, "BOOLEAN", states=(state,))
