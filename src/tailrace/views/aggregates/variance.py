"""variance(x), var_samp(x), var_pop(x), stddev(x), stddev_samp(x), stddev_pop(x): exact up to the one division and root.

States: count(x), the sum and the sum of squares of x in units of 10**-scale; merge: sum. A square of 18 digits does not leave room for
the sum of many in 38, so a number that can be that large keeps its squares in two states, `square = high * 2**60 + low` with low below
2**60: either sum stays below 2**60 times the records, and so within 38 digits for 10**19 of them. The numerator
`n * squares - sum**2` is made exactly from whole numbers (`answer.py`); then come one division by `n * (n - 1)` or `n * n` and the
root. No value: NULL; of one value, the sample forms are NULL too.
"""

from __future__ import annotations

from collections.abc import Callable

from tailrace.views.aggregates.call import COUNT_TYPE, SUM_TYPE, AggregateCall
from tailrace.views.plan import OutputColumn

SQUARE_BITS = 60
"""Bits of a square that its low part has."""

_NARROW_MAX = 2**63 - 1
"""A square up to this is kept in one state."""


def _variance(kind: str) -> Callable[[AggregateCall], OutputColumn]:
    def bound(call: AggregateCall) -> OutputColumn:
        """Output states: the count, the sum, then the squares: whole, or their low and high part."""
        call.arguments("this")
        argument = call.number()
        narrow = argument.type.bound**2 <= _NARROW_MAX
        functions = ("squares",) if narrow else ("squares_low", "squares_high")
        states = (
            call.states.scalar("count", argument, call.filter, COUNT_TYPE),
            call.states.scalar("sum", argument, call.filter, SUM_TYPE),
            *(call.states.scalar(function, argument, call.filter, SUM_TYPE) for function in functions),
        )
        unit = call.unit(argument) if kind.startswith("stddev") else None
        return OutputColumn(call.name, kind, unit, "DOUBLE", states=states, scale=argument.type.scale)

    return bound


var_samp = _variance("var_samp")
var_pop = _variance("var_pop")
stddev_samp = _variance("stddev_samp")
stddev_pop = _variance("stddev_pop")
