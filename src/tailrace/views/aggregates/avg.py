"""avg(x): states sum(x) and count(x), both exact; the one division is made when the number is read. No value: NULL."""

from __future__ import annotations

from tailrace.views.aggregates.call import COUNT_TYPE, SUM_TYPE, AggregateCall
from tailrace.views.plan import OutputColumn


def avg(call: AggregateCall) -> OutputColumn:
    """Output states: the sum, then the count."""
    call.arguments("this")
    argument = call.number()
    total = call.states.scalar("sum", argument, call.filter, SUM_TYPE)
    count = call.states.scalar("count", argument, call.filter, COUNT_TYPE)
    return OutputColumn(
        call.name, "avg", call.unit(argument), "DOUBLE", states=(total, count), scale=argument.type.scale
    )
