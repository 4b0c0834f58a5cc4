"""A view's numbers in plain Python: exact fractions, no SQL, nothing of the compiler. Slow, and easy to believe.

Buckets and registers come from the oracle's own code, which was written from their definitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from tests.oracle.sketches import bucket, bucket_bounds, estimate, histogram, ranked_bucket, register_of, registers
from tests.views.rig import Record, Row

Getter = Callable[[Record], Any]


def always(_: Record) -> bool:
    return True


@dataclass(frozen=True)
class Aggregate:
    """`kind` as in the view's outputs. `scale`: digits after the point of its argument. `n`: values of a list."""

    name: str
    kind: str
    argument: Getter | None = None
    passes: Getter = always
    scale: int = 0
    quantile: str = "0.5"
    n: int = 0


@dataclass(frozen=True)
class PlainView:
    """The same view twice: as `sql`, and as Python functions."""

    sql: str
    window_us: int
    keys: tuple[Getter, ...]
    aggregates: tuple[Aggregate, ...]
    where: Getter = always

    def groups(self, records: Sequence[Record]) -> dict[Row, list[Record]]:
        """(window start in microseconds, keys...) -> its records. Python's floor division holds before 1970 too."""
        found: dict[Row, list[Record]] = defaultdict(list)
        for record in records:
            if self.where(record):
                window = record.at_us // self.window_us * self.window_us
                found[(window, *(key(record) for key in self.keys))].append(record)
        return found

    def answer(self, records: Sequence[Record], width_us: int | None = None) -> dict[Row, Row]:
        """(window, keys...) -> numbers. `width_us`: the step; 0 for all windows in one, whose start is None."""
        merged: dict[Row, list[Record]] = defaultdict(list)
        for (window, *keys), members in self.groups(records).items():
            start = window if width_us is None else None if width_us == 0 else window // width_us * width_us
            merged[(start, *keys)] += members
        return {key: tuple(number(a, members) for a in self.aggregates) for key, members in merged.items()}


def values(aggregate: Aggregate, records: Sequence[Record]) -> list[Any]:
    """The argument of each record that passes the filter, without NULLs."""
    passing = [record for record in records if aggregate.passes(record) is True]
    if aggregate.argument is None:
        return [True for _ in passing]
    return [value for value in map(aggregate.argument, passing) if value is not None]


def units(aggregate: Aggregate, records: Sequence[Record]) -> list[int]:
    return [int(Fraction(value) * 10**aggregate.scale) for value in values(aggregate, records)]


def text(value: Any) -> str:
    """As SQL prints it: all decimal places, and no negative zero."""
    if isinstance(value, Decimal) and not value:
        value = abs(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def number(aggregate: Aggregate, records: Sequence[Record]) -> Any:
    """Floats come as Fraction: the exact number that a float must be near to."""
    found = values(aggregate, records)
    match aggregate.kind:
        case "count":
            return len(found)
        case "distinct":
            return estimate(registers(map(text, found)))
    if not found:
        return None
    unit = Fraction(1, 10**aggregate.scale)
    if aggregate.kind in ("first", "last"):
        return ordered(aggregate, records)
    match aggregate.kind:
        case "var_samp" | "var_pop" | "stddev_samp" | "stddev_pop":
            return spread(aggregate.kind, [value * unit for value in units(aggregate, records)])
        case "bool_and":
            return all(found)
        case "bool_or":
            return any(found)
        case "min_n" | "max_n":
            return sorted(found, reverse=aggregate.kind == "max_n")[: aggregate.n]
        case "min":
            return min(found)
        case "max":
            return max(found)
        case "sum":
            return Decimal(sum(units(aggregate, records))).scaleb(-aggregate.scale)
        case "avg":
            return Fraction(sum(units(aggregate, records)), len(found)) * unit
        case "quantile":
            chosen = ranked_bucket(histogram(units(aggregate, records)), Fraction(aggregate.quantile))
            assert chosen is not None
            return Fraction(sum(bucket_bounds(chosen)), 2) * unit
    raise AssertionError(aggregate.kind)


def ordered(aggregate: Aggregate, records: Sequence[Record]) -> Any:
    """The value of the smallest or largest pair (time, value)."""
    assert aggregate.argument is not None
    passing = [record for record in records if aggregate.passes(record) is True]
    pairs = [(r.at_us, value) for r in passing if (value := aggregate.argument(r)) is not None]
    return (min if aggregate.kind == "first" else max)(pairs)[1]


def spread(kind: str, found: Sequence[Fraction]) -> Fraction | None:
    """From the definition: the mean square of the distance from the mean. The root has 40 digits."""
    degrees = len(found) - kind.endswith("_samp")
    if not degrees:
        return None
    mean = sum(found, Fraction(0)) / len(found)
    variance = sum(((value - mean) ** 2 for value in found), Fraction(0)) / degrees
    if kind.startswith("var"):
        return variance
    with localcontext(prec=40):
        return Fraction((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())


def bin_rows(view: PlainView, aggregate: Aggregate, agg: int, records: Sequence[Record]) -> list[Row]:
    """The rows of the bins table for one aggregate."""
    return [
        (*key, agg, number_, n)
        for key, members in view.groups(records).items()
        for number_, n in histogram(units(aggregate, members)).items()
    ]


def register_rows(view: PlainView, aggregate: Aggregate, agg: int, records: Sequence[Record]) -> list[Row]:
    """The rows of the registers table for one aggregate."""
    return [
        (*key, agg, register, rank)
        for key, members in view.groups(records).items()
        for register, rank in registers(map(text, values(aggregate, members))).items()
    ]


def agrees(got: Any, wanted: Any) -> bool:
    """Exact, but for a float: within a few units in the last place of the exact fraction."""
    if isinstance(got, float) and isinstance(wanted, Fraction):
        return abs(Fraction(got) - wanted) <= abs(wanted) * Fraction(1, 10**14)
    return type(got) is type(wanted) and got == wanted


def differences(got: Mapping[Row, Row], wanted: Mapping[Row, Row]) -> list[str]:
    found = [f"{key}: got {got.get(key)}, wanted {wanted.get(key)}" for key in got.keys() ^ wanted.keys()]
    for key in got.keys() & wanted.keys():
        found += [
            f"{key}, column {i}: got {a!r}, wanted {b!r}"
            for i, (a, b) in enumerate(zip(got[key], wanted[key], strict=True))
            if not agrees(a, b)
        ]
    return found


__all__ = [
    "Aggregate",
    "PlainView",
    "bin_rows",
    "bucket",
    "differences",
    "number",
    "register_of",
    "register_rows",
    "text",
    "units",
    "values",
]
