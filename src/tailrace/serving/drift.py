"""Compare the batch states of an epoch range with the speed states of the same epochs, row by row. Equal, or a finding."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tailrace.states.tables import StateTables
from tailrace.views.dialects.duckdb.engine import registered, rows_as_arrow, thread_engine

SAMPLE_MAX = 20


def compare(batch: StateTables, speed: StateTables) -> tuple[int, list[dict[str, object]]]:
    """Number of state rows (keys) whose values differ or that only one side has, and up to 20 of them with both values.

    Both sides hold merged states: one row a key. A key here is everything but the value columns.
    """
    differing = 0
    sample: list[dict[str, object]] = []
    for name in batch:
        rows = _differences(batch[name], speed[name])
        if rows is None:
            continue
        differing += rows.num_rows
        shown = rows.slice(0, SAMPLE_MAX - len(sample)).to_pylist()
        sample += [{"table": name, **{k: None if v is None else str(v) for k, v in row.items()}} for row in shown]
    return differing, sample


def _differences(batch: pa.Table, speed: pa.Table) -> pa.Table | None:
    """One row a key that differs, with both sides' values; None if there is none, which costs no join."""
    keys, values = _key_and_value_columns(batch.column_names)
    match = " AND ".join(f"b.{_q(k)} IS NOT DISTINCT FROM s.{_q(k)}" for k in keys)
    differ = " OR ".join(f"b.{_q(v)} IS DISTINCT FROM s.{_q(v)}" for v in values) or "false"
    shown = ", ".join(
        [f"coalesce(b.{_q(k)}, s.{_q(k)}) AS {_q(k)}" for k in keys]
        + [f"b.{_q(v)} AS {_q('batch_' + v)}, s.{_q(v)} AS {_q('speed_' + v)}" for v in values]
    )
    connection = thread_engine()
    with registered(connection, batch_states=batch, speed_states=speed):
        # A key stands once on either side, so as many rows here as there, and none that is not there, is equality.
        if batch.num_rows == speed.num_rows and not connection.execute(_NOT_IN_SPEED).fetchall():
            return None
        return rows_as_arrow(
            connection,
            f"SELECT {shown} FROM (SELECT *, 1 AS present FROM batch_states) b"
            f" FULL OUTER JOIN (SELECT *, 1 AS present FROM speed_states) s ON {match}"
            f" WHERE b.present IS NULL OR s.present IS NULL OR {differ}",
        )


_NOT_IN_SPEED = "SELECT 1 FROM (SELECT * FROM batch_states EXCEPT SELECT * FROM speed_states) LIMIT 1"


def _key_and_value_columns(names: list[str]) -> tuple[list[str], list[str]]:
    """Value columns are the scalars `s0`.., the count `n` of bins, the `rank` of registers; they stand last."""
    if "register" in names:
        values: list[Any] = ["rank"]
    elif "bin" in names:
        values = ["n"]
    else:
        values = names[_first_scalar(names) :]
    return [n for n in names if n not in values], values


def _first_scalar(names: list[str]) -> int:
    at = len(names)
    while at > 1 and names[at - 1][0] == "s" and names[at - 1][1:].isdigit():
        at -= 1
    return at


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
