"""The last step of each aggregate: a result column from merged states. Columns s0... (scalars), q0... (bins), u0..., z0... (registers)."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.views.aggregates.distinct import RANK_MAX, REGISTERS
from tailrace.views.aggregates.quantile import SUB_BITS
from tailrace.views.aggregates.variance import SQUARE_BITS
from tailrace.views.plan import OutputColumn

_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)


def output_sql(output: OutputColumn) -> str:
    """SQL of the type `output.sql_type`."""
    match output.kind:
        case "count" | "min" | "max" | "min_n" | "max_n" | "bool_and" | "bool_or":
            return output.states[0]
        case "first" | "last":
            return f"struct_extract({output.states[0]}, 'value')"
        case "sum":
            return _sum(output)
        case "avg":
            total, count = output.states
            # As DuckDB's own avg of a DECIMAL rounds: the sum to a double first, then the division.
            return f"((CAST({total} AS DOUBLE) / {_ten_to(output.scale)}) / nullif({count}, 0))"
        case "var_samp" | "var_pop":
            return _variance(output)
        case "stddev_samp" | "stddev_pop":
            return f"sqrt({_variance(output)})"
        case "quantile":
            return _bucket_middle(_quantile_name(output), output.scale)
        case "distinct":
            return _estimate(output.agg or 0)
    raise AssertionError(f"no SQL for a column of kind `{output.kind}`")


def _sum(output: OutputColumn) -> str:
    """The decimal point put back by a product that moves no digit."""
    state = output.states[0]
    if not output.scale:
        return state
    unit = f"0.{'1'.rjust(output.scale, '0')}"
    return f"CAST({state} * CAST({unit} AS DECIMAL({output.scale},{output.scale})) AS {output.sql_type})"


def _variance(output: OutputColumn) -> str:
    """(n * squares - sum**2) / (n * (n - 1)) or / n**2, in units of 10**(-2 * scale).

    The numerator can have 200 bits, so it is made of whole numbers c2 * 2**120 + c1 * 2**60 + c0: the squares are q2, q1, q0 of 60 bits
    each, the sum s1, s0, and each product stays within 128 bits for up to 2**62 records. Carried upwards, all three are positive, so
    that only the last step rounds. HUGEINT shifts as two's complement does, towards less.
    """
    count, total, low, *high = output.states
    n, mask = f"CAST({count} AS HUGEINT)", 2**SQUARE_BITS - 1
    low = f"CAST({low} AS HUGEINT)"
    rest = f"(CAST({high[0]} AS HUGEINT) + ({low} >> {SQUARE_BITS}))" if high else f"({low} >> {SQUARE_BITS})"
    q2, q1, q0 = f"({rest} >> {SQUARE_BITS})", f"({rest} & {mask})", f"({low} & {mask})"
    absolute = f"abs(CAST({total} AS HUGEINT))"
    s1, s0 = f"({absolute} >> {SQUARE_BITS})", f"({absolute} & {mask})"
    c0 = f"({n} * {q0} - {s0} * {s0})"
    c1 = f"({n} * {q1} - 2 * {s1} * {s0} + ({c0} >> {SQUARE_BITS}))"
    c2 = f"({n} * {q2} - {s1} * {s1} + ({c1} >> {SQUARE_BITS}))"
    upper = f"CAST({c2} AS DOUBLE) * {float(1 << 2 * SQUARE_BITS)!r}"
    lower = f"CAST((({c1} & {mask}) << {SQUARE_BITS}) + ({c0} & {mask}) AS DOUBLE)"
    less = f"({n} - 1)" if output.kind.endswith("_samp") else n
    return f"(({upper} + {lower}) / (CAST(nullif({n} * {less}, 0) AS DOUBLE) * {_ten_to(2 * output.scale)}))"


def quantile_columns(outputs: Sequence[OutputColumn]) -> list[tuple[str, str]]:
    """(name, aggregate) of the bucket that holds each quantile asked for; over rows agg, bin, upto (cumulated n), total."""
    found = ((_quantile_name(output), output.agg, rank) for output, rank in _ranks(outputs))
    columns = {name: f"min(bin) FILTER (WHERE agg = {agg} AND upto >= {rank})" for name, agg, rank in found}
    return list(columns.items())


def quantile_within(outputs: Sequence[OutputColumn]) -> str:
    """Condition over rows agg, n, upto, total, each a bucket or several in order: that one of the quantiles is within."""
    within = {f"agg = {output.agg} AND upto >= {rank} AND upto - n < {rank}": None for output, rank in _ranks(outputs)}
    return " OR ".join(within)


def _ranks(outputs: Sequence[OutputColumn]) -> list[tuple[OutputColumn, str]]:
    """Each quantile, and which of the values in order it is, from 1 on."""
    ranks = []
    for output in outputs:
        if output.kind == "quantile" and output.quantile is not None:
            numerator, denominator = output.quantile
            rank = f"(total * {numerator} + {denominator - 1}) // {denominator}"
            ranks.append((output, rank if numerator else "1"))
    return ranks


def _quantile_name(output: OutputColumn) -> str:
    numerator, denominator = output.quantile or (0, 1)
    return f"q{output.agg}_{numerator}_{denominator}"


def _bucket_middle(bin_: str, scale: int) -> str:
    """(first + last integer of the bucket) / 2 / 10**scale; the doubled middle is an exact integer."""
    magnitude = f"CAST(CASE WHEN {bin_} < 0 THEN -1 - {bin_} ELSE {bin_} END AS BIGINT)"
    shift = f"greatest(({magnitude} // {1 << SUB_BITS}) - 1, 0)"
    doubled = f"(((2 * ({magnitude} - {shift} * {1 << SUB_BITS}) + 1) << CAST({shift} AS INTEGER)) - 1)"
    sign = f"(CASE WHEN {bin_} < 0 THEN -0.5e0 ELSE 0.5e0 END)"
    return f"(CAST({doubled} AS DOUBLE) * {sign} / {_ten_to(scale)})"


def hll_columns(outputs: Sequence[OutputColumn]) -> list[tuple[str, str]]:
    """u: registers in use, z: their sum of 2**(60 - rank), for each distinct count; over rows agg, register, rank."""
    columns: dict[str, str] = {}
    for output in outputs:
        if output.kind == "distinct":
            passing = f"FILTER (WHERE agg = {output.agg})"
            columns[f"u{output.agg}"] = f"count(*) {passing}"
            columns[f"z{output.agg}"] = f"sum(CAST(1 AS BIGINT) << ({RANK_MAX} - rank)) {passing}"
    return list(columns.items())


def _estimate(agg: int) -> str:
    """The formula of `distinct.py`; 0 where no register is in use."""
    used, sum_ = f"coalesce(u{agg}, 0)", f"coalesce(z{agg}, 0)"
    empty = f"({REGISTERS} - {used})"
    whole = f"CAST({sum_} + CAST({empty} AS HUGEINT) * {1 << RANK_MAX} AS DOUBLE)"
    raw = f"({_ALPHA!r}e0 * {REGISTERS**2} * {float(1 << RANK_MAX)!r} / {whole})"
    linear = f"({REGISTERS} * ln({REGISTERS}.0e0 / nullif({empty}, 0)))"
    chosen = f"CASE WHEN {raw} <= {2.5 * REGISTERS!r}e0 AND {empty} > 0 THEN {linear} ELSE {raw} END"
    return f"CAST(round({chosen}) AS BIGINT)"


def _ten_to(scale: int) -> str:
    return f"1e{scale}"
