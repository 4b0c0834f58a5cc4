"""States -> result columns: merge, filter by key and time, merge to coarser windows, and only then make the numbers.

The statement is a chain of CTEs over the states of both layers. w is the window, k0, k1... the keys, o whether the row is the one of
all other keys (top-n). With `top`, a first chain (prefix `_t_`) makes the column to rank by, over the whole time asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tailrace.errors import Invalid
from tailrace.views.bind_filter import bind_filter
from tailrace.views.dialects.duckdb.answer import hll_columns, output_sql, quantile_columns
from tailrace.views.dialects.duckdb.expression import print_expression, quoted
from tailrace.views.dialects.duckdb.hop import Hop, hop_of
from tailrace.views.dialects.duckdb.merge import merged_scalar, merged_state
from tailrace.views.dialects.duckdb.quantiles import OCTAVE, octave_of, quantile_ctes, same
from tailrace.views.dialects.duckdb.window import window_sql, window_us_sql
from tailrace.views.expression import Expression
from tailrace.views.plan import OTHERS_COLUMN, WINDOW_COLUMN, CompiledView, OutputColumn

TOP_MAX = 10_000
_BINS = ("agg", "bin", "n")
_REGISTERS = ("agg", "register", "rank")
_NO_WINDOW = "CAST(NULL AS TIMESTAMP WITH TIME ZONE)"


def finalize_statement(
    view: CompiledView,
    *,
    scalars: str,
    bins: str | None,
    registers: str | None,
    octaves: str | None = None,
    step_us: int | None = None,
    over_us: int | None = None,
    total: bool = False,
    where: str | None = None,
    time_from: int | None = None,
    time_to: int | None = None,
    top: tuple[str, int] | None = None,
    top_key: str | None = None,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
) -> str:
    """SELECT of the view's columns in its order, ordered by window and keys (NULL last, the row of others after all keys).

    scalars, bins, registers: relations of states, merged or not (None where the view has no such table).
    octaves: what bins count by octave, if it is known; bins then carry their octave.
    step_us: windows to merge to, a multiple of the view's. total: all windows in one row a key, whose window is NULL.
    over_us: hopping windows of this length, one beginning every step, each of all its data, also of that at or after `time_to`.
    where: a condition on key columns. time_from, time_to: windows that start in [from, to), microseconds since 1970.
    top: (column, n): the n largest keys by it over all windows asked for (ties: smaller key first, NULL last), all others merged
    exactly into one row a window with NULL keys; adds the column `_others`: how many keys were merged, 0 for a key's own row.
    top_key: rank by this key column alone: the others then become NULL in it and keep their other keys, so that the status codes of
    the twenty busiest endpoints stand beside those of all other endpoints.
    columns: the numbers wanted, by name; the window and the keys always come. Quantiles and distinct counts that are not wanted cost
    nothing, and are most of what a result costs.
    by: only these of the view's keys; rows that differ in the others alone are merged exactly. `where` may name all of them.

    Raises:
        Invalid: step, top, filter or column that the view cannot answer; its hint says what can.
    """
    condition_view, view = view, coarser(view, by)
    outputs = _wanted(view, columns)
    hop = None
    if over_us is not None:
        _check_hop(total=total)
        hop = hop_of(view, over_us, step_us, time_from, time_to)
        time_from, time_to = hop.data_from, hop.data_to
    window = _window(view, step_us, total) if hop is None else window_us_sql(f"r.{WINDOW_COLUMN}", hop.step_us)
    condition = _condition(condition_view, where, time_from, time_to)
    states = _States(view, scalars, bins, registers, octaves, condition, _ranked_keys(view, top_key))
    shown = "w" if hop is None else "make_timestamptz(w)"
    order = ["w", *_key_names(view)]
    printed = [f"{shown if o.kind == 'window' else _output(view, o)} AS {quoted(o.name)}" for o in outputs]
    if top is None:
        ctes = states.chain("_", window, outputs, None, hop=hop)
    else:
        column, n = _top(view, top)
        ctes = states.chain("_t_", _NO_WINDOW, (column,), None, states.ranked)
        ctes.append(_ranking(states.ranked, column, n))
        ctes += states.chain("_", window, outputs, "_top", hop=hop)
        merged = f"(SELECT greatest(count(*) - {n}, 0) FROM _top)"
        printed.append(f"CAST(CASE WHEN o THEN {merged} ELSE 0 END AS BIGINT) AS {OTHERS_COLUMN}")
        order.insert(1, "o")
    ordering = ", ".join(f"{c} ASC NULLS LAST" for c in order)
    rows = f"\nLIMIT {_checked_limit(limit)}" if limit is not None else ""
    chain = ",\n".join(ctes)
    return f"WITH {chain}\nSELECT {', '.join(printed)}\nFROM _answer\nORDER BY {ordering}{rows}"


def coarser(view: CompiledView, by: Sequence[str] | None) -> CompiledView:
    """The view with these of its keys alone (None: all). Raises Invalid for one that it has not."""
    if by is None:
        return view
    names = {name.lower() for name in by}
    for name in by:
        if all(name.lower() != key.name.lower() for key in view.keys):
            known = ", ".join(key.name for key in view.keys) or "none"
            raise Invalid(f"view `{view.name}` has no key `{name}`", hint=f"its keys: {known}")
    keys = tuple(key for key in view.keys if key.name.lower() in names)
    outputs = tuple(o for o in view.outputs if o.kind != "key" or o.name.lower() in names)
    return replace(view, keys=keys, outputs=outputs)


def extent_statement(
    view: CompiledView, scalars: str, hop: Hop, where: str | None = None, by: Sequence[str] | None = None
) -> str:
    """SELECT of w, n, keys: each step that has states, how many keys it has, and how many keys there are in all. Ordered by w.

    Keys count as an answer with this `by` has them. It costs little beside hopping windows, and says how many there will be.
    """
    condition = _condition(view, where, hop.data_from, hop.data_to)
    step = window_us_sql(f"r.{WINDOW_COLUMN}", hop.step_us)
    keys = ", ".join(f"r.{quoted(k.name)}" for k in coarser(view, by).keys)
    found = f"SELECT DISTINCT {step} AS w, {f'hash({keys})' if keys else '0'} AS h FROM {scalars} AS r{condition}"
    of_all = "(SELECT count(DISTINCT h) FROM found)"
    return f"WITH found AS MATERIALIZED ({found})\nSELECT w, count(*) AS n, {of_all} AS keys FROM found GROUP BY w ORDER BY w"


def rows_statement(
    view: CompiledView, table: str, relation: str, hop: Hop, where: str | None = None, by: Sequence[str] | None = None
) -> str:
    """SELECT of how many rows of `table` (bins or registers) the windows are made of, how many differ but for their time, and how many
    differ but for time and keys. The last two within some per cent.
    """
    own = [f"r.{column}" for column in (_BINS if table == "bins" else _REGISTERS)[:2]]
    keys = [f"r.{quoted(k.name)}" for k in coarser(view, by).keys]
    apart = [f"approx_count_distinct(hash({', '.join(columns)}))" for columns in ([*keys, *own], own)]
    condition = _condition(view, where, hop.data_from, hop.data_to)
    return f"SELECT count(*), {', '.join(apart)} FROM {relation} AS r{condition}"


@dataclass(frozen=True, slots=True)
class _States:
    """The relations, what their rows must fulfil, and the keys that `top` ranks."""

    view: CompiledView
    scalars: str
    bins: str | None
    registers: str | None
    octaves: str | None
    condition: str
    ranked: Sequence[str]

    def chain(
        self,
        prefix: str,
        window: str,
        outputs: Sequence[OutputColumn],
        top: str | None,
        keys: Sequence[str] | None = None,
        hop: Hop | None = None,
    ) -> list[str]:
        """CTEs from the states to `{prefix}answer`: w, keys, with `top` also o, then what `answer.py` reads.

        With `hop`, w is in microseconds, and states are merged to its steps before they are merged to its windows.
        """
        keys = _key_names(self.view) if keys is None else keys
        group = ["w", *keys, *(["o"] if top else [])]
        listed = ", ".join(group)
        rows = self._rows(self.scalars, [s.name for s in self.view.scalars], window, top)
        scalars = f"SELECT {listed}, {', '.join(merged_scalar(self.view, 's'))} FROM ({rows}) AS s GROUP BY {listed}"
        merged = [(s.name, merged_state(s, s.name)) for s in self.view.scalars]
        ctes = _hopped(hop, f"{prefix}scalars", scalars, group, merged)
        joins = ""
        columns = ["s.*"]
        quantiles = quantile_columns(outputs)
        if quantiles:
            assert self.bins is not None, "the view has bins"
            ctes += self._quantiles(prefix, window, top, group, outputs, hop)
            joins += f"\nLEFT JOIN {prefix}quantiles AS q ON {same('s', 'q', group)}"
            columns += [f"q.{name}" for name, _ in quantiles]
        estimates = hll_columns(outputs)
        if estimates:
            assert self.registers is not None, "the view has registers"
            ctes += self._estimates(prefix, window, top, group, estimates, hop)
            joins += f"\nLEFT JOIN {prefix}estimates AS e ON {same('s', 'e', group)}"
            columns += [f"e.{name}" for name, _ in estimates]
        ctes.append(f"{prefix}answer AS (SELECT {', '.join(columns)} FROM {prefix}scalars AS s{joins})")
        return ctes

    def _quantiles(
        self,
        prefix: str,
        window: str,
        top: str | None,
        group: Sequence[str],
        outputs: Sequence[OutputColumn],
        hop: Hop | None,
    ) -> list[str]:
        ctes: list[str] = []
        if hop is not None:
            listed = ", ".join(group)
            rows = self._rows(self.bins, _BINS, window, top)
            merged = f"SELECT {listed}, agg, bin, sum(n) AS n FROM ({rows}) GROUP BY {listed}, agg, bin"
            ctes = _hopped(hop, f"{prefix}bins", merged, [*group, "agg", "bin"], [("n", "sum(n)")])
            bins, octaves = f"SELECT *, {octave_of('bin')} AS {OCTAVE} FROM {prefix}bins", None
        elif self.octaves is None:
            rows = self._rows(self.bins, _BINS, window, top)
            bins, octaves = f"SELECT *, {octave_of('bin')} AS {OCTAVE} FROM ({rows})", None
        else:
            bins = self._rows(self.bins, (*_BINS, OCTAVE), window, top)
            octaves = self._rows(self.octaves, ("agg", OCTAVE, "n"), window, top)
        return [*ctes, *quantile_ctes(prefix, group, outputs, bins, bins if octaves is None else octaves)]

    def _estimates(
        self,
        prefix: str,
        window: str,
        top: str | None,
        group: Sequence[str],
        columns: Sequence[tuple[str, str]],
        hop: Hop | None,
    ) -> list[str]:
        listed = ", ".join(group)
        rows = self._rows(self.registers, _REGISTERS, window, top)
        merged = f"SELECT {listed}, agg, register, max(rank) AS rank FROM ({rows}) GROUP BY {listed}, agg, register"
        ctes: list[str] = []
        if hop is not None:
            ctes = _hopped(hop, f"{prefix}registers", merged, [*group, "agg", "register"], [("rank", "max(rank)")])
            merged = f"FROM {prefix}registers"
        chosen = ", ".join(f"{sql} AS {name}" for name, sql in columns)
        return [*ctes, f"{prefix}estimates AS (SELECT {listed}, {chosen} FROM ({merged}) GROUP BY {listed})"]

    def _rows(self, relation: str | None, states: Sequence[str], window: str, top: str | None) -> str:
        """The states that count, under w, k0... and, with `top`, with the keys of all others set to NULL."""
        carried = ", ".join(f"r.{name}" for name in states)
        names = _key_names(self.view)
        keys = [f"r.{quoted(k.name)}" for k in self.view.keys]
        if top is None:
            columns = [f"{window} AS w", *(f"{k} AS {n}" for k, n in zip(keys, names, strict=True))]
            return f"SELECT {', '.join(columns)}, {carried} FROM {relation} AS r{self.condition}"
        ranked = [(k, n) for k, n in zip(keys, names, strict=True) if n in self.ranked]
        free = [f"{k} AS {n}" for k, n in zip(keys, names, strict=True) if n not in self.ranked]
        columns = [f"{window} AS w", *(f"CASE WHEN _top.kept THEN {k} END AS {n}" for k, n in ranked), *free]
        same = " AND ".join(f"{k} IS NOT DISTINCT FROM _top.{n}" for k, n in ranked)
        return f"SELECT {', '.join(columns)}, NOT _top.kept AS o, {carried} FROM {relation} AS r JOIN _top ON {same}{self.condition}"


def _hopped(
    hop: Hop | None, name: str, grouped: str, group: Sequence[str], merged: Sequence[tuple[str, str]]
) -> list[str]:
    return [f"{name} AS ({grouped})"] if hop is None else hop.ctes(name, grouped, group, merged)


def _check_hop(*, total: bool) -> None:
    if total:
        raise Invalid(
            "`total` and `over` exclude each other", hint="`total` is one window of all; leave one of them out"
        )


def _key_names(view: CompiledView) -> list[str]:
    return [f"k{i}" for i in range(len(view.keys))]


def _output(view: CompiledView, output: OutputColumn) -> str:
    if output.kind == "key":
        return next(f"k{i}" for i, key in enumerate(view.keys) if key.name == output.name)
    return output_sql(output)


def _wanted(view: CompiledView, columns: Sequence[str] | None) -> tuple[OutputColumn, ...]:
    if columns is None:
        return view.outputs
    for name in columns:
        if view.output(name) is None:
            known = ", ".join(o.name for o in view.outputs)
            raise Invalid(f"view `{view.name}` has no column `{name}`", hint=f"its columns are {known}")
    names = {name.lower() for name in columns}
    return tuple(o for o in view.outputs if o.kind in ("window", "key") or o.name.lower() in names)


def tables_read(view: CompiledView, columns: Sequence[str] | None) -> list[str]:
    """The state tables that these columns (None: all) are made of; `scalars` always. Raises Invalid for one that is not there."""
    kinds = {output.kind for output in _wanted(view, columns)}
    return ["scalars", *(t for t, kind in (("bins", "quantile"), ("registers", "distinct")) if kind in kinds)]


def _window(view: CompiledView, step_us: int | None, total: bool) -> str:
    column = f"r.{WINDOW_COLUMN}"
    if total:
        return _NO_WINDOW
    if step_us is None or step_us == view.window_us:
        return column
    if step_us <= 0 or step_us % view.window_us:
        width = f"{view.window_us // 1_000_000}s"
        raise Invalid(
            f"step of `{step_us / 1_000_000:g}s` is not a multiple of the view's window",
            hint=f"use a multiple of {width}",
        )
    return window_sql(column, step_us)


def _condition(view: CompiledView, where: str | None, time_from: int | None, time_to: int | None) -> str:
    conditions = []
    if time_from is not None:
        conditions.append(f"r.{WINDOW_COLUMN} >= make_timestamptz({int(time_from)})")
    if time_to is not None:
        conditions.append(f"r.{WINDOW_COLUMN} < make_timestamptz({int(time_to)})")
    bound: Expression | None = bind_filter(view, where) if where is not None else None
    if bound is not None:
        conditions.append(print_expression(bound))
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _top(view: CompiledView, top: tuple[str, int]) -> tuple[OutputColumn, int]:
    name, n = top
    if not view.keys:
        raise Invalid(f"view `{view.name}` has no keys to rank", hint="leave `top` out")
    ranked = [o for o in view.outputs if o.kind not in ("window", "key")]
    column = next((o for o in ranked if o.name.lower() == name.lower()), None)
    if column is None:
        raise Invalid(f"keys cannot be ranked by `{name}`", hint=f"rank by one of {', '.join(o.name for o in ranked)}")
    if not 1 <= n <= TOP_MAX:
        raise Invalid(f"top `{n}` is not between 1 and {TOP_MAX}", hint="ask for 20, for example")
    return column, int(n)


def _ranked_keys(view: CompiledView, top_key: str | None) -> list[str]:
    """Names of the keys that `top` ranks: all of them, or the one asked for."""
    if top_key is None:
        return _key_names(view)
    found = [f"k{i}" for i, key in enumerate(view.keys) if key.name.lower() == top_key.lower()]
    if not found:
        known = ", ".join(key.name for key in view.keys) or "none"
        raise Invalid(f"view `{view.name}` has no key `{top_key}`", hint=f"its keys: {known}")
    return found


def _ranking(keys: Sequence[str], column: OutputColumn, n: int) -> str:
    order = ", ".join([f"{output_sql(column)} DESC NULLS LAST", *(f"{k} ASC NULLS LAST" for k in keys)])
    return f"_top AS (SELECT {', '.join(keys)}, row_number() OVER (ORDER BY {order}) <= {n} AS kept FROM _t_answer)"


def _checked_limit(limit: int) -> int:
    if limit < 0:
        raise Invalid(f"limit `{limit}` is negative", hint="leave it out, or ask for at least 1 row")
    return int(limit)
