"""What is printed for a view, word for word: a change of these files is a change of what runs.

`python -m tests.views.test_printed_sql --rewrite` writes them anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import compile_view, shipped_views
from tailrace.views.dialects.duckdb import finalize_statement, merge_statement, partial_statements, schemas
from tailrace.views.dialects.duckdb.fuse import fuse, plan_parts
from tailrace.views.dialects.duckdb.row_plan import RowPlan
from tests.views.rig import SECOND_US, Engine, empty_states, table

FOLDER = Path(__file__).with_name("golden")
OWN = {name: (FOLDER / f"{name}.sql").read_text(encoding="utf-8") for name in ("own_words", "spread_words")}
VIEWS = {**dict(shipped_views()), **OWN}


def printed(name: str) -> str:
    """Every statement of the view, each under a heading."""
    view = compile_view(VIEWS[name], DEFAULT_FIELDS)
    relations = {table: f"in_{table}" if table in schemas(view) else None for table in ("scalars", "bins", "registers")}
    ranked = next(o.name for o in view.outputs if o.kind not in ("window", "key"))
    asked: dict[str, dict[str, object]] = {
        "finalize": {},
        "finalize, steps of a day, one day, 10 rows": {
            "step_us": 86_400 * SECOND_US, "time_from": 0, "time_to": 86_400 * SECOND_US, "limit": 10,
        },
    }  # fmt: skip
    if view.keys:
        asked["finalize, total, top 3"] = {"total": True, "top": (ranked, 3)}
    parts = {f"partial {t}": sql for t, sql in partial_statements(view, "records").items()}
    parts |= {f"fused {i}": f.statement for i, f in enumerate(fuse(plan_parts([view], RowPlan()), "rows"))}
    parts |= {f"merge {t}": merge_statement(view, t, "states") for t in schemas(view)}
    parts |= {heading: finalize_statement(view, **relations, **options) for heading, options in asked.items()}  # type: ignore[arg-type]
    return "".join(f"-- {heading}\n{sql};\n\n" for heading, sql in parts.items())


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_printed_as_committed(name: str) -> None:
    assert printed(name) == (FOLDER / f"{name}.duckdb.sql").read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {f.name.removesuffix(".duckdb.sql") for f in FOLDER.glob("*.duckdb.sql")} == VIEWS.keys()


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_the_engine_takes_it(engine: Engine, name: str) -> None:
    """On no records: types and names are checked by the engine, and by the rig against the schemas."""
    view = compile_view(VIEWS[name], DEFAULT_FIELDS)
    states = engine.partial(view, table([]))
    assert engine.merge(view, states)
    assert engine.finalize(view, empty_states(view)).num_rows == 0


if __name__ == "__main__" and "--rewrite" in sys.argv:
    for each in VIEWS:
        (FOLDER / f"{each}.duckdb.sql").write_text(printed(each), encoding="utf-8")
