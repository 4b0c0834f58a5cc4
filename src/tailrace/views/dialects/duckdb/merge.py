"""States -> states: one GROUP BY whose result does not depend on how the rows were cut up or ordered."""

from __future__ import annotations

from tailrace.views.dialects.duckdb.expression import quoted
from tailrace.views.plan import WINDOW_COLUMN, CompiledView, ScalarState


def merged_scalar(view: CompiledView, row: str) -> list[str]:
    """Each scalar state of `row`, merged, under its own name."""
    return [f"{merged_state(s, f'{row}.{s.name}')} AS {s.name}" for s in view.scalars]


def merged_state(state: ScalarState, column: str) -> str:
    """An aggregate that merges the states in `column`."""
    if not state.n:
        return f"CAST({state.merge}({column}) AS {state.sql_type})"
    ordered = "list_reverse_sort" if state.merge == "max" else "list_sort"
    return f"list_slice({ordered}(flatten(list({column}) FILTER (WHERE {column} IS NOT NULL))), 1, {state.n})"


def merge_statement(view: CompiledView, table: str, source: str) -> str:
    """SELECT that merges the rows of `source` (states of `table`: scalars, bins or registers), a row a key, columns in order."""
    key = [f"r.{WINDOW_COLUMN}", *(f"r.{quoted(k.name)}" for k in view.keys)]
    match table:
        case "scalars":
            merged = merged_scalar(view, "r")
        case "bins":
            key += ["r.agg", "r.bin"]
            merged = ["CAST(sum(r.n) AS BIGINT) AS n"]
        case "registers":
            key += ["r.agg", "r.register"]
            merged = ["max(r.rank) AS rank"]
        case _:
            raise AssertionError(f"no state table `{table}`")
    ordinals = ", ".join(str(i + 1) for i in range(len(key)))
    return f"SELECT {', '.join([*key, *merged])}\nFROM {source} AS r\nGROUP BY {ordinals}"
