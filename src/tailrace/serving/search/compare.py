"""What is different here? The fields whose values are spread otherwise in a selection than in the rest.

Measure: the Jensen-Shannon divergence of the two distributions, in bits: 0 where they are the same, 1 where they share no value. What two
samples of one distribution differ by on average is taken off. NULL is a value of its own. Numbers with many values are cut at quantiles
of both sides. Of other fields, the values most frequent on either side stand by themselves and the rest are one, so that rare values
cannot make a difference by chance. A field in which nearly every record has a value of its own, such as a trace id, is left out and named.

Source: Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tailrace.batch.evolution import quoted
from tailrace.errors import Invalid
from tailrace.model.fields import FieldKind
from tailrace.serving.search.asked import CompareAsked, FieldsAsked, Scope
from tailrace.serving.search.ground import Sample, Search
from tailrace.serving.search.page import column_sql
from tailrace.serving.search.values import search_fields
from tailrace.views.scope import RecordScope

_OWN_VALUES_MAX = 20
"""Values of a side that stand by themselves."""
_UNIQUE_SHARE = 0.5
_MANY_NUMBERS = 30
_EXTRA_MAX = 30
_SIDES = ("selection", "baseline")
_TABLE = "_compared"

Counts = Mapping[str | None, tuple[int, int]]
"""Value -> records of the selection, of the baseline."""


def search_compare(search: Search, asked: CompareAsked) -> dict[str, Any]:
    """Raises as `search_page` does; Invalid where a side has no records."""
    search.take(asked.selection.at)
    baseline = asked.baseline or Scope()
    names = _names(search, asked)
    samples = _load(search, asked.selection, baseline, names, asked.sample_rows)
    sizes = dict(search.rows(f"SELECT side, count(*) FROM {_TABLE} GROUP BY side"))
    totals = (sizes.get(0, 0), sizes.get(1, 0))
    for total, side in zip(totals, _SIDES, strict=True):
        if not total:
            raise Invalid(f"the {side} has no records", hint="select more, or a longer time to compare with")
    found, left_out = [], []
    for number, name in enumerate(names):
        compared = _field(search, number, name, totals)
        if compared is None:
            left_out.append(name)
        else:
            found.append(compared)
    found.sort(key=lambda each: (-each["difference"], each["field"]))
    return {
        "measure": "jensen-shannon divergence, bits, less what chance makes",
        "fields": found[: asked.limit],
        "left_out": left_out,
        "position": search.position,
    } | {
        side: {"records": sample.scaled(total)} | sample.as_json()
        for side, sample, total in zip(_SIDES, samples, totals, strict=True)
    }


def divergence(counts: Counts) -> float:
    """Jensen-Shannon, base 2, of the two distributions; both have records."""
    ones, others = sum(a for a, _ in counts.values()), sum(b for _, b in counts.values())
    total = 0.0
    for a, b in counts.values():
        p, q = a / ones, b / others
        middle = (p + q) / 2
        total += sum(x / 2 * math.log2(x / middle) for x in (p, q) if x)
    return min(1.0, max(0.0, total))


def by_chance(values: int, totals: tuple[int, int]) -> float:
    """What the divergence of two samples of one distribution is on average, to first order."""
    return (values - 1) / (8 * math.log(2)) * sum(1 / total for total in totals)


def _names(search: Search, asked: CompareAsked) -> list[str]:
    """Fields that are compared: those asked for, or all but the time, and those found in `extra`."""
    if asked.fields:
        for name in asked.fields:
            column_sql(RecordScope(search.fields), name)
        return list(dict.fromkeys(asked.fields))
    names = [field.name for field in search.fields.all if field.kind is not FieldKind.TIMESTAMP]
    scope = asked.selection
    there = search_fields(
        search, FieldsAsked(query=scope.query, sql=scope.sql, from_=scope.from_, to=scope.to, at=scope.at)
    )
    extra = [field["name"] for field in there["fields"] if field["name"].startswith("extra.")]
    return names + extra[:_EXTRA_MAX]


def _load(search: Search, selection: Scope, baseline: Scope, names: list[str], rows_max: int) -> tuple[Sample, Sample]:
    """Make the table of both sides: `side`, then a column a field."""
    scope = RecordScope(search.fields)
    columns = ", ".join(f"{column_sql(scope, name)[1]} AS c{n}" for n, name in enumerate(names))
    chosen = search.wanted(selection.query, selection.sql, selection.times())
    rest = search.wanted(baseline.query, baseline.sql, baseline.times())
    one, one_sample = search.sampled(search.part(chosen), rows_max)
    other, other_sample = search.sampled(search.part(rest), rows_max)
    search.rows(
        f"CREATE TEMP TABLE {_TABLE} AS "
        f"SELECT 0 AS side, {columns} FROM {search.relation(one)} AS r WHERE {chosen.condition} UNION ALL "
        f"SELECT 1 AS side, {columns} FROM {search.relation(other)} AS r "
        f"WHERE {rest.condition} AND (CASE WHEN {chosen.condition} THEN FALSE ELSE TRUE END)"
    )
    return one_sample, other_sample


def _field(search: Search, number: int, name: str, totals: tuple[int, int]) -> dict[str, Any] | None:
    field = RecordScope(search.fields).field(name)
    column = f"c{number}"
    [(distinct, present)] = search.rows(f"SELECT approx_count_distinct({column}), count({column}) FROM {_TABLE}")
    numeric = field is not None and field.kind in (FieldKind.INTEGER, FieldKind.DECIMAL)
    if numeric and distinct > _MANY_NUMBERS:
        counts = _binned(search, column)
    elif present and distinct > _UNIQUE_SHARE * present and distinct > _MANY_NUMBERS:
        return None
    else:
        counts = _most_frequent(search, column)
    values = sorted(counts.items(), key=lambda item: -abs(item[1][0] / totals[0] - item[1][1] / totals[1]))
    return {
        "field": name,
        "unit": (field.unit or None) if field else None,
        "binned": numeric and distinct > _MANY_NUMBERS,
        "difference": round(max(0.0, divergence(counts) - by_chance(len(counts), totals)), 6),
        "values": [
            {"value": value, "others": value == _OTHERS, "selection": a, "baseline": b,
             "selection_share": a / totals[0], "baseline_share": b / totals[1]}
            for value, (a, b) in values
        ],
    }  # fmt: skip


_OTHERS = "\0others"


def _most_frequent(search: Search, column: str) -> Counts:
    rows = search.rows(
        f"WITH n AS (SELECT CAST({column} AS VARCHAR) AS v, count(*) FILTER (WHERE side = 0) AS a, "
        f"count(*) FILTER (WHERE side = 1) AS b FROM {_TABLE} GROUP BY ALL), "
        "ranked AS (SELECT *, row_number() OVER (ORDER BY a DESC, v) AS ra, row_number() OVER (ORDER BY b DESC, v) AS rb FROM n) "
        f"SELECT CASE WHEN least(ra, rb) <= {_OWN_VALUES_MAX} THEN v ELSE $1 END, CAST(sum(a) AS BIGINT), "
        "CAST(sum(b) AS BIGINT) FROM ranked GROUP BY ALL",
        [_OTHERS],
    )
    return {value: (a, b) for value, a, b in rows}


def _binned(search: Search, column: str) -> Counts:
    """Bins `[low, high)` between the deciles of both sides together, each side counting the same."""
    [(cuts,)] = search.rows(
        f"SELECT list_sort(list_distinct(list_concat(quantile_disc({column}, [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) FILTER (WHERE side = 0), "
        f"quantile_disc({column}, [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) FILTER (WHERE side = 1)))) FROM {_TABLE}"
    )
    cuts = [c for c in cuts or [] if c is not None]
    arms = " ".join(f"WHEN {quoted(column)} < {cut} THEN {n}" for n, cut in enumerate(cuts))
    bin_sql = f"CASE WHEN {column} IS NULL THEN -1 {arms} ELSE {len(cuts)} END"
    rows = search.rows(
        f"SELECT {bin_sql} AS bin, count(*) FILTER (WHERE side = 0), count(*) FILTER (WHERE side = 1) FROM {_TABLE} GROUP BY ALL"
    )
    return {_bin_name(number, cuts): (a, b) for number, a, b in rows}


def _bin_name(number: int, cuts: list[Any]) -> str | None:
    """`100..200`: from 100 on, before 200."""
    if number < 0:
        return None
    low = (
        f"{cuts[number - 1].normalize():f}"
        if number and hasattr(cuts[0], "normalize")
        else str(cuts[number - 1])
        if number
        else ""
    )
    high = (
        ""
        if number == len(cuts)
        else f"{cuts[number].normalize():f}"
        if hasattr(cuts[0], "normalize")
        else str(cuts[number])
    )
    return f"{low}..{high}"
