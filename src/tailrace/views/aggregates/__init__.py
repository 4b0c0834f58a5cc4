"""The aggregates that merge: one file each, listed here by the parser's node for them.

Each says what states it needs and how its output column reads; states that are the same are kept once (`states.py`).
"""

from __future__ import annotations

from sqlglot import exp

from tailrace.views.aggregates import avg, count, distinct, extremes, quantile, total
from tailrace.views.aggregates.call import Aggregate, AggregateCall
from tailrace.views.aggregates.states import StateCollector

AGGREGATES: dict[type[exp.Expr], Aggregate] = {
    exp.Count: count.count,
    exp.Sum: total.sum_,
    exp.Avg: avg.avg,
    exp.Min: extremes.min_,
    exp.Max: extremes.max_,
    exp.Quantile: quantile.quantile,
    exp.ApproxDistinct: distinct.approx_count_distinct,
}

AGGREGATE_NAMES = ("count", "sum", "avg", "min", "max", "quantile", "approx_count_distinct")

__all__ = ["AGGREGATES", "AGGREGATE_NAMES", "Aggregate", "AggregateCall", "StateCollector"]
