"""first(x), last(x), arg_min(x, timestamp), arg_max(x, timestamp): x of the earliest or latest record by event time.

State: the pair (timestamp, x), the smallest or the largest; merge: min or max of pairs, by time and then by x. So of several records
at the same microsecond the smallest x is first and the largest last, and the order of arrival cannot matter. NULL x is left
out; no value: NULL.
"""

from __future__ import annotations

from sqlglot import exp

from tailrace.views.aggregates.call import AggregateCall
from tailrace.views.expression import TIMESTAMP, Call, Column, Type
from tailrace.views.plan import OutputColumn

_TIME = Column("timestamp", TIMESTAMP)


def first(call: AggregateCall) -> OutputColumn:
    call.arguments("this")
    return _ordered(call, "first", "min")


def last(call: AggregateCall) -> OutputColumn:
    call.arguments("this")
    return _ordered(call, "last", "max")


def arg_min(call: AggregateCall) -> OutputColumn:
    _check_order(call, "first(x)")
    return _ordered(call, "first", "min")


def arg_max(call: AggregateCall) -> OutputColumn:
    _check_order(call, "last(x)")
    return _ordered(call, "last", "max")


def _check_order(call: AggregateCall, same: str) -> None:
    call.arguments("this", "expression")
    order = call.node.args.get("expression")
    word = call.binder.word(call.node)
    if order is None:
        raise call.error(f"`{word}` needs to know the order", call.node, f"write {word}(x, timestamp), or {same}")
    if call.binder.bind(order) != _TIME:
        raise call.error(
            f"`{word}` can only go by `timestamp`", order, f"write {word}(x, timestamp), which is the same as {same}"
        )


def _ordered(call: AggregateCall, kind: str, function: str) -> OutputColumn:
    if isinstance(call.node.this, exp.Star):
        raise call.error(f"`{call.binder.word(call.node)}` needs a value", call.node, "name the column")
    argument = call.value()
    if argument.type.kind not in ("integer", "decimal", "text", "timestamp"):
        raise call.error(
            f"`{call.binder.word(call.node)}` of {argument.type.kind} is not supported",
            call.node,
            "write CASE WHEN ... THEN 'yes' ELSE 'no' END",
        )
    pair = Type("pair", f"STRUCT(us BIGINT, value {argument.type.sql})")
    state = call.states.scalar(function, Call("pair", (_TIME, argument), pair), call.filter, pair.sql)
    unit = call.unit(argument)
    return OutputColumn(call.name, kind, unit, argument.type.sql, states=(state,), scale=argument.type.scale)
