"""State tables that can be computed by one statement, and that statement.

Tables of the same window and filter whose keys are subsets of one another are fused: the one with most keys is grouped from the
records, the others from its groups. So a view by endpoint costs next to nothing beside one by endpoint and status.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tailrace.model.fields import EXTRA
from tailrace.views.dialects.duckdb.expression import print_expression
from tailrace.views.dialects.duckdb.merge import merged_state
from tailrace.views.dialects.duckdb.partial import binned_sql, grouped_sql, state_sql, where_sql
from tailrace.views.dialects.duckdb.row_plan import Hashed, RowPlan
from tailrace.views.expression import TEXT, Column, Expression, inputs
from tailrace.views.plan import CompiledView, ScalarState


@dataclass(frozen=True, slots=True)
class Part:
    """One state table of one view: its scalars, or one agg of its bins or registers. All expressions are over prepared columns.

    `keys`: by the view's names. `states`: of scalars. `argument`: of bins. `hashed`: of registers.
    """

    view: CompiledView
    table: str
    agg: int
    window: Column
    where: Expression | None
    keys: tuple[tuple[str, Expression], ...]
    states: tuple[ScalarState, ...] = ()
    filter: Expression | None = None
    argument: Expression | None = None
    hashed: Hashed | None = None

    def fuses_with(self, other: Part) -> bool:
        """Whether this part's groups can be merged from the groups of `other`."""
        return self._what() == other._what() and {e for _, e in self.keys} <= {e for _, e in other.keys}

    def _what(self) -> tuple[object, ...]:
        return (self.table, self.window, self.where, self.filter, self.argument, self.hashed)


@dataclass(frozen=True, slots=True)
class Cut:
    """How a part is taken out of a statement's result: the rows whose column g is `grouping` (None: all), these columns.

    `keys`: (column, name, what it was made of). `states`: (column, name).
    """

    part: Part
    grouping: int | None
    keys: tuple[tuple[str, str, Expression], ...]
    states: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Fused:
    """`statement` reads the columns `reads` of the relation `source`; its result has a column w, the window in microseconds."""

    source: str
    statement: str
    reads: tuple[Column, ...]
    cuts: tuple[Cut, ...]


def plan_parts(views: Iterable[CompiledView], rows: RowPlan) -> list[Part]:
    """The parts of all views. A view whose registers need a value of more than one column has no part for them."""
    parts: list[Part] = []
    for view in views:
        window, where = rows.window(view.window_us), rows.condition(view.where)
        keys = tuple((k.name, rows.key(k.expression)) for k in view.keys)
        states = tuple(_over_rows(s, rows) for s in view.scalars)
        parts.append(Part(view, "scalars", 0, window, where, keys, states))
        for agg in view.bin_aggs:
            passing, argument = rows.condition(agg.filter), rows.value(agg.argument)
            parts.append(Part(view, "bins", agg.index, window, where, keys, filter=passing, argument=argument))
        hashes = [rows.hashed(agg.argument) for agg in view.register_aggs]
        if None not in hashes:
            for register, hashed in zip(view.register_aggs, hashes, strict=True):
                passing = rows.condition(register.filter)
                parts.append(
                    Part(view, "registers", register.index, window, where, keys, filter=passing, hashed=hashed)
                )
    return parts


def _over_rows(state: ScalarState, rows: RowPlan) -> ScalarState:
    return replace(state, argument=rows.condition(state.argument), filter=rows.condition(state.filter))


def fuse(parts: Iterable[Part], prefix: str) -> list[Fused]:
    """A statement for each chain of parts that fuse, each over a relation of its own, whose name begins with `prefix`."""
    chains: list[list[Part]] = []
    for part in sorted(parts, key=lambda p: -len(p.keys)):
        chain = next((c for c in chains if part.fuses_with(c[0])), None)
        if chain is None:
            chains.append([part])
        else:
            chain.append(part)
    return [_fused(chain, f"{prefix}_rows_{i}") for i, chain in enumerate(chains)]


def _fused(chain: Sequence[Part], source: str) -> Fused:
    keys = {e: f"k{i}" for i, e in enumerate(dict.fromkeys(e for _, e in chain[0].keys))}
    sets = list(dict.fromkeys(tuple(name for e, name in keys.items() if e in _key_set(part)) for part in chain))
    states = {
        _what(s): (f"u{i}", s) for i, s in enumerate({_what(s): s for part in chain for s in part.states}.values())
    }
    columns = [f"{print_expression(chain[0].window)} AS w", *(f"{print_expression(e)} AS {k}" for e, k in keys.items())]
    base, own, merged = _base(chain[0], columns, list(states.values()), source)
    statement = base if len(sets) == 1 else _rolled_up(base, list(keys.values()), own, merged, sets)
    cuts = []
    for part in chain:
        missing = [i for i, e in enumerate(keys) if e not in _key_set(part)]
        grouping = sum(1 << (len(keys) - 1 - i) for i in missing) if len(sets) > 1 else None
        taken = tuple((states[_what(s)][0], s.name) for s in part.states) or tuple((c, c) for c in _OWN[part.table])
        cuts.append(Cut(part, grouping, tuple((keys[e], name, e) for name, e in part.keys), taken))
    return Fused(source, statement, _reads(chain), tuple(cuts))


_OWN = {"bins": ("bin", "n"), "registers": ("register", "rank")}


def _what(state: ScalarState) -> tuple[object, ...]:
    return (state.function, state.argument, state.filter, state.n)


def _key_set(part: Part) -> set[Expression]:
    return {e for _, e in part.keys}


def _base(
    part: Part, columns: Sequence[str], states: Sequence[tuple[str, ScalarState]], source: str
) -> tuple[str, list[str], list[str]]:
    """Groups of the records by all keys; the keys besides these; and how their states merge."""
    records = f"{source} AS r"
    if part.argument is not None:
        present = f"{print_expression(part.argument)} IS NOT NULL"
        names = [c.rsplit(" AS ", 1)[1] for c in columns]
        binned = binned_sql(
            columns, names, part.argument, f"FROM {records}{where_sql(part.where, part.filter, present)}"
        )
        base = grouped_sql([*names, "bin"], ["count(*) AS n"], f"({binned})")
        return base, ["bin"], ["CAST(sum(n) AS BIGINT) AS n"]
    if part.hashed is not None:
        register, rank = print_expression(part.hashed.register), print_expression(part.hashed.rank)
        records += where_sql(part.where, part.filter, f"{register} IS NOT NULL")
        base = grouped_sql([*columns, f"{register} AS register"], [f"max({rank}) AS rank"], records)
        return base, ["register"], ["max(rank) AS rank"]
    base = grouped_sql(columns, [f"{state_sql(s)} AS {u}" for u, s in states], records + where_sql(part.where))
    return base, [], [f"{merged_state(s, u)} AS {u}" for u, s in states]


def _rolled_up(
    base: str, keys: Sequence[str], own: Sequence[str], merged: Sequence[str], sets: Sequence[tuple[str, ...]]
) -> str:
    """The groups of `base`, and those merged over fewer keys; g tells which, as SQL's GROUPING does."""
    columns = [f"CAST(GROUPING({', '.join(keys)}) AS BIGINT) AS g", "w", *keys, *own, *merged]
    groupings = ", ".join(f"({', '.join(['w', *kept, *own])})" for kept in sets)
    return f"WITH base AS MATERIALIZED ({base})\nSELECT {', '.join(columns)}\nFROM base\nGROUP BY GROUPING SETS ({groupings})"


def _reads(chain: Sequence[Part]) -> tuple[Column, ...]:
    """The prepared columns that the chain's expressions read."""
    found: dict[Column, None] = {}
    for part in chain:
        hashed = (part.hashed.register, part.hashed.rank) if part.hashed else ()
        of_states = [e for s in part.states for e in (s.argument, s.filter)]
        for expression in (
            part.window,
            part.where,
            part.filter,
            part.argument,
            *hashed,
            *of_states,
            *(e for _, e in part.keys),
        ):
            for read in inputs(expression) if expression is not None else ():
                found.setdefault(read if isinstance(read, Column) else Column(EXTRA, TEXT))
    return tuple(found)
