"""Records -> states of one micro-batch, by the views' own SQL. Owned by the speed layer; batch has its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.states.tables import StateTables, concat_states
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import merge_statement, schemas
from tailrace.views.dialects.duckdb.engine import open_engine, registered, rows_as_arrow
from tailrace.views.dialects.duckdb.program import PartialProgram

PROGRAMS_MAX = 32
"""Sets of views whose programs are kept prepared; which views are due together changes with who looks at what."""
_STATES = "speed_states"


class PartialEngine:
    """One in-memory DuckDB connection; for one thread."""

    def __init__(self) -> None:
        self._connection = open_engine()
        self._programs: dict[tuple[str, ...], PartialProgram] = {}

    def partial(self, view: CompiledView, records: pa.Table) -> StateTables:
        """The view's states of `records` (good records only, with the fields that it reads)."""
        return self.partials([view], records)[view.version]

    def partials(self, views: Sequence[CompiledView], records: pa.Table) -> Mapping[str, StateTables]:
        """View version -> its states. Views that are due together share work, which about halves what they cost."""
        return self._program(views).run(records)

    def _program(self, views: Sequence[CompiledView]) -> PartialProgram:
        """Prepared once; the one that was not needed for longest makes room."""
        versions = tuple(view.version for view in views)
        program = self._programs.pop(versions, None) or PartialProgram(views, self._connection)
        self._programs[versions] = program
        if len(self._programs) > PROGRAMS_MAX:
            self._programs.pop(next(iter(self._programs))).close()
        return program

    def merge(self, view: CompiledView, parts: Sequence[StateTables]) -> StateTables:
        """One row a key. The order of `parts` does not matter."""
        wanted = schemas(view)
        merged: dict[str, pa.Table] = {}
        for name, table in concat_states(parts, wanted).items():
            with registered(self._connection, **{_STATES: table}):
                statement = merge_statement(view, name, _STATES)
                merged[name] = rows_as_arrow(self._connection, statement).cast(wanted[name])
        return merged


def good_records(columns: pa.Table) -> pa.Table:
    """The records of a block: its rows with verdict 0, without the verdict."""
    verdicts = columns["verdict"]
    bare = columns.drop_columns(["verdict"])
    if pc.max(verdicts).as_py() in (0, None):
        return bare
    return bare.filter(pc.equal(verdicts, 0))


def newest_event_us(records: pa.Table) -> int | None:
    newest = pc.max(records["timestamp"].cast(pa.int64())).as_py()
    return None if newest is None else int(newest)
