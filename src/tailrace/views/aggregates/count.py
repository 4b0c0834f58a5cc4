"""count(*): records. count(x): records whose x is not NULL. State: one integer; merge: sum; nothing counted: 0."""

from __future__ import annotations

from sqlglot import exp

from tailrace.views.aggregates.call import COUNT_TYPE, AggregateCall
from tailrace.views.expression import Expression, Literal
from tailrace.views.plan import OutputColumn


def count(call: AggregateCall) -> OutputColumn:
    call.arguments("this")
    argument: Expression | None = None
    if call.node.this is not None and not isinstance(call.node.this, exp.Star):
        argument = call.value()
        if isinstance(argument, Literal):
            if argument.value is None:
                raise call.error("count(NULL) is always 0", call.node, "write count(*)")
            argument = None
    state = call.states.scalar("count", argument, call.filter, COUNT_TYPE)
    return OutputColumn(call.name, "count", None, COUNT_TYPE, states=(state,))
