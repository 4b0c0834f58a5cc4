"""The aggregates that merge: one file each, listed here by the parser's node for them.

Each says what states it needs and how its output column reads; states that are the same are kept once (`states.py`).
"""

from __future__ import annotations

from sqlglot import exp

from tailrace.views.aggregates import avg, count, distinct, extremes, logical, ordered, quantile, total, variance
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
    exp.Variance: variance.var_samp,
    exp.VariancePop: variance.var_pop,
    exp.Stddev: variance.stddev_samp,
    exp.StddevSamp: variance.stddev_samp,
    exp.StddevPop: variance.stddev_pop,
    exp.LogicalAnd: logical.bool_and,
    exp.LogicalOr: logical.bool_or,
    exp.First: ordered.first,
    exp.Last: ordered.last,
    exp.ArgMin: ordered.arg_min,
    exp.ArgMax: ordered.arg_max,
}

AGGREGATE_NAMES = (
    "count", "sum", "avg", "min", "max", "quantile", "approx_count_distinct", "first", "last", "arg_min", "arg_max",
    "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "bool_and", "bool_or",
)  # fmt: skip

__all__ = ["AGGREGATES", "AGGREGATE_NAMES", "Aggregate", "AggregateCall", "StateCollector"]
