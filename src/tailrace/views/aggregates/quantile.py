"""quantile(x, q): exact counts in logarithmic buckets; the answer is within 1 % of the value at rank ceil(q * n).

State: rows (bin, n); merge: sum of n. A value v >= 0 in units of 10**-scale goes into

    shift = max(bit_length(v) - 7, 0)        bin = shift * 64 + (v >> shift)

so the first 128 buckets hold one integer each and later ones are at most 1/64 of their value wide; v < 0 goes into
-1 - bin(-v). Only integers are used, so every engine puts a value into the same bucket. The answer is the middle of the bucket,
half a width (at most 0.8 %) from any value in it.
Source: the same layout as HdrHistogram's (sub-buckets of a power of two), with 64 sub-buckets.
"""

from __future__ import annotations

from decimal import Decimal

from sqlglot import exp

from tailrace.views.aggregates.call import AggregateCall
from tailrace.views.expression import Literal
from tailrace.views.plan import OutputColumn

SUB_BITS = 6
"""log2 of the buckets in one power of two."""

_DIGITS_MAX = 6


def quantile(call: AggregateCall) -> OutputColumn:
    call.arguments("this", "quantile")
    given = call.node.args.get("quantile")
    if given is None:
        raise call.error("`quantile` needs to know which", call.node, "for example quantile(x, 0.99)")
    argument = call.number()
    agg = call.states.bins(argument, call.filter)
    unit = call.unit(argument)
    fraction = _fraction(call, given)
    return OutputColumn(call.name, "quantile", unit, "DOUBLE", agg=agg, quantile=fraction, scale=argument.type.scale)


def _fraction(call: AggregateCall, node: exp.Expr) -> tuple[int, int]:
    """`q` as an exact fraction, so that the rank is an exact integer too."""
    if isinstance(node, exp.Array):
        raise call.error(
            "one quantile a column",
            node,
            "write quantile(x, 0.5) AS p50, quantile(x, 0.9) AS p90: they share one state",
        )
    bound = call.binder.bind(node)
    if not (isinstance(bound, Literal) and isinstance(bound.value, int) and bound.type.is_number):
        raise call.error("the quantile must be a number written out", node, "for example quantile(x, 0.99)")
    value = Decimal(bound.value).scaleb(-bound.type.scale)
    if not 0 <= value <= 1 or bound.type.scale > _DIGITS_MAX:
        percent = f"for {value} percent write {value / 100}" if 1 < value <= 100 else "for example quantile(x, 0.99)"
        raise call.error(f"quantile `{value}` is not between 0 and 1 with at most {_DIGITS_MAX} digits", node, percent)
    return bound.value, 10**bound.type.scale
