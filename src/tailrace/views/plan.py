"""What a view is, as values: keys, window, states, outputs. Made by `compile`, read by dialects, speed, batch and serving.

A `CompiledView` is pure data: hashable, picklable, free of any engine's text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.views.expression import Column, Expression, ExtraText, canonical, inputs

STATE_FORMAT = 1
"""Raise it when the same plan makes other state bytes: buckets, registers, fixed point, the functions' meaning."""

WINDOW_COLUMN = "window_start"
"""The window's column in every state table, whatever the view calls it."""

OTHERS_COLUMN = "_others"
"""Last column of a top-n result: how many keys were merged into the row."""


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A GROUP BY column besides the window. NULL is a key value of its own."""

    name: str
    sql_type: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class ScalarState:
    """A column `s0`, `s1`... of the scalars table: a function over the records that pass `filter`, merged by `merge`: sum | min | max.

    `function`: count | sum | squares | squares_low | squares_high | min | max. `argument` is None for `count(*)`. A sum is an integer
    in units of 10**-scale, or of their squares; all but count are NULL where no record counted. `n`: the state is the list of
    the n smallest or largest values; 0: it is one value.
    """

    name: str
    merge: str
    sql_type: str
    function: str
    argument: Expression | None
    filter: Expression | None
    n: int = 0


@dataclass(frozen=True, slots=True)
class BinAgg:
    """Log buckets of `argument`; `index` is the column `agg` of the bins table."""

    index: int
    argument: Expression
    filter: Expression | None


@dataclass(frozen=True, slots=True)
class RegisterAgg:
    """HyperLogLog registers of `argument` as text; `index` is the column `agg` of the registers table."""

    index: int
    argument: Expression
    filter: Expression | None


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A result column. `kind`: window | key | count | sum | avg | min | max | quantile | distinct | first | last | min_n | max_n |
    stddev_samp | stddev_pop | var_samp | var_pop | bool_and | bool_or.

    `states`: the scalar states it is made of, in the order its aggregate names them. `agg`: its index in bins or registers.
    `quantile`: the fraction asked for, as (numerator, denominator). `scale`: digits after the point of its argument.
    """

    name: str
    kind: str
    unit: str | None
    sql_type: str
    states: tuple[str, ...] = ()
    agg: int | None = None
    quantile: tuple[int, int] | None = None
    scale: int = 0


@dataclass(frozen=True, slots=True)
class CompiledView:
    """One view. `window_us` divides a day; windows start at multiples of it since 1970-01-01 UTC. `sql` is the text as written.

    `reads`: `logs`, or the stream that it reads. `inlined`: the same view as a text over `logs`, where `sql` reads a stream.
    """

    name: str
    version: str
    sql: str
    keys: tuple[KeyColumn, ...]
    window_us: int
    outputs: tuple[OutputColumn, ...]
    scalars: tuple[ScalarState, ...]
    bin_aggs: tuple[BinAgg, ...]
    register_aggs: tuple[RegisterAgg, ...]
    where: Expression | None
    reads: str = "logs"
    inlined: str = ""

    @property
    def definition(self) -> str:
        """A text that compiles to this plan by itself, whatever becomes of the streams."""
        return self.inlined or self.sql

    def inputs(self) -> frozenset[Column | ExtraText]:
        """What it reads of a record."""
        roots = [self.where, *(k.expression for k in self.keys)]
        roots += [root for s in self.scalars for root in (s.argument, s.filter)]
        roots += [root for b in self.bin_aggs for root in (b.argument, b.filter)]
        roots += [root for r in self.register_aggs for root in (r.argument, r.filter)]
        return frozenset(found for root in roots if root is not None for found in inputs(root))

    def output(self, name: str) -> OutputColumn | None:
        """The output of that name, in any case."""
        return next((o for o in self.outputs if o.name.lower() == name.lower()), None)


def plan_version(view: CompiledView, readings: Sequence[Sequence[str]] = ()) -> str:
    """First 16 hex digits of SHA-256 over the normalised plan of `view`; its own `version` and `sql` are not part of it.

    `readings`: what else decides what the view's fields hold in records that were stored under other settings (`scope.readings`).

    The view's name is part of it, since states are stored by version; the case of names, comments and white space are not.
    """
    plan = {
        "state_format": STATE_FORMAT,
        "name": view.name.lower(),
        "window_us": view.window_us,
        "where": canonical(view.where),
        "keys": [[k.name.lower(), k.sql_type, canonical(k.expression)] for k in view.keys],
        "scalars": [
            [s.function, s.merge, s.sql_type, canonical(s.argument), canonical(s.filter), *([s.n] if s.n else [])]
            for s in view.scalars
        ],
        "bins": [[canonical(b.argument), canonical(b.filter)] for b in view.bin_aggs],
        "registers": [[canonical(r.argument), canonical(r.filter)] for r in view.register_aggs],
        "outputs": [[o.name.lower(), o.kind, o.sql_type, o.states, o.agg, o.quantile, o.scale] for o in view.outputs],
    }
    if readings:
        plan["readings"] = readings
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
