"""sum(x): exact, in fixed point. State: an integer in units of 10**-scale; merge: sum; no value: NULL."""

from __future__ import annotations

from tailrace.views.aggregates.call import SUM_TYPE, AggregateCall
from tailrace.views.plan import OutputColumn


def sum_(call: AggregateCall) -> OutputColumn:
    call.arguments("this")
    argument = call.number()
    state = call.states.scalar("sum", argument, call.filter, SUM_TYPE)
    scale = argument.type.scale
    return OutputColumn(call.name, "sum", call.unit(argument), f"DECIMAL(38,{scale})", states=(state,), scale=scale)
