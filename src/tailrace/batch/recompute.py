"""States of a view, computed from lake files and nothing else. The batch layer's own engine; speed has another.

Called by the handover for the epochs it moves over, and for all of history when a view is new: files are taken in bounded chunks
and merged as they come, so the memory it needs grows with the states and not with the records.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from tailrace.batch.base import LakeFile
from tailrace.batch.evolution import EvolvedFiles, path_text
from tailrace.errors import Corrupt, Unavailable
from tailrace.model.fields import Fields
from tailrace.runtime.checked_files import CHECKED
from tailrace.views import CompiledView
from tailrace.views.dialects.duckdb import merge_statement, partial_statements, schemas
from tailrace.views.dialects.duckdb.engine import rows_as_arrow

ROWS_PER_CHUNK = 2_000_000
STATE_ROWS_HELD_MAX = 2_000_000
"""Partial states of this many rows are merged before more are computed."""
_RECORDS = "batch_records"
_STATES = "batch_states"
_ROWS = "batch_rows"
_LOCAL = threading.local()

States = dict[str, pa.Table]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Only records of an offset before `offset_end` (None: all), of event times in [from_us, to_us) (None: no bound)."""

    offset_end: int | None = None
    from_us: int | None = None
    to_us: int | None = None

    def meets(self, file: LakeFile) -> bool:
        """Whether the file may hold such records."""
        if self.offset_end is not None and file.offset_first >= self.offset_end:
            return False
        return (self.to_us is None or file.time_min_us < self.to_us) and (
            self.from_us is None or file.time_max_us >= self.from_us
        )

    def conditions(self) -> list[str]:
        found = []
        if self.offset_end is not None:
            found.append(f"_offset < {self.offset_end:d}")
        if self.from_us is not None:
            found.append(f'"timestamp" >= make_timestamptz({self.from_us:d})')
        if self.to_us is not None:
            found.append(f'"timestamp" < make_timestamptz({self.to_us:d})')
        return found


ALL = Bounds()


def recompute(
    view: CompiledView, files: Sequence[LakeFile], shard_id: str, epoch_first: int, epoch_last: int, fields: Fields
) -> tuple[States, int]:
    """`RecomputeEngine.states` on an engine that the calling thread keeps."""
    return _engine(fields).states(view, files, shard_id, epoch_first, epoch_last)


def offset_range(
    files: Sequence[LakeFile], shard_id: str, epoch_first: int, epoch_last: int, fields: Fields
) -> tuple[int, int] | None:
    """`RecomputeEngine.offsets` on an engine that the calling thread keeps."""
    return _engine(fields).offsets(files, shard_id, epoch_first, epoch_last)


def _engine(fields: Fields) -> RecomputeEngine:
    engine: RecomputeEngine | None = getattr(_LOCAL, "engine", None)
    if engine is None or engine.fields != fields:
        engine = _LOCAL.engine = RecomputeEngine(fields)
    return engine


class RecomputeEngine:
    """One in-memory DuckDB; for one thread. `fields`: under which records are read, whenever they were written. `spill_dir`: where
    it may put what does not fit `memory_bytes_max` (None: nowhere)."""

    def __init__(
        self, fields: Fields, threads: int = 1, memory_bytes_max: int = 1 << 30, spill_dir: Path | None = None
    ) -> None:
        self.fields = fields
        self._connection = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": f"{memory_bytes_max >> 20}MiB",
                "temp_directory": str(spill_dir) if spill_dir else "",
                "preserve_insertion_order": False,
                "python_enable_replacements": False,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            }
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._files = EvolvedFiles(self._connection, fields)

    def states(
        self,
        view: CompiledView,
        files: Iterable[LakeFile],
        shard_id: str,
        epoch_first: int,
        epoch_last: int,
        bounds: Bounds = ALL,
    ) -> tuple[States, int]:
        """The view's state tables over the records of `shard_id` in those epochs and `bounds`, a row a key; and how many those are.

        `files`: lake files, of which those that hold such records are read. Raises Corrupt if one cannot be.
        """
        mine = [
            f for f in files if f.shard_id == shard_id and f.epoch_first <= epoch_last and f.epoch_last >= epoch_first
        ]
        mine = [f for f in mine if bounds.meets(f)]
        wanted = schemas(view)
        held: dict[str, list[pa.Table]] = {name: [schema.empty_table()] for name, schema in wanted.items()}
        records = 0
        for chunk in in_chunks(mine, ROWS_PER_CHUNK):
            records += self._open(chunk, epoch_first, epoch_last, bounds)
            for name, sql in partial_statements(view, _RECORDS).items():
                held[name].append(self._run(sql, chunk).cast(wanted[name]))
                if len(held[name]) > 2 and sum(t.num_rows for t in held[name]) > STATE_ROWS_HELD_MAX:
                    held[name] = [self._merge(view, name, held[name])]
        return {name: self._merge(view, name, parts) for name, parts in held.items()}, records

    def states_of(self, view: CompiledView, records: pa.Table, bounds: Bounds = ALL) -> tuple[States, int]:
        """The same of records in memory that are in `bounds`: `records` has the columns of a lake file of now."""
        where = " AND ".join(bounds.conditions()) or "true"
        self._connection.register(_ROWS, records)
        try:
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {_RECORDS} AS SELECT * FROM {_ROWS} WHERE {where}")
            count = int(self._run(f"SELECT count(*) AS n FROM {_RECORDS}", ())["n"][0].as_py())
            found = {name: self._run(sql, ()) for name, sql in partial_statements(view, _RECORDS).items()}
        finally:
            self._connection.execute(f"DROP VIEW IF EXISTS {_RECORDS}")
            self._connection.unregister(_ROWS)
        return {name: found[name].cast(schema) for name, schema in schemas(view).items()}, count

    def offsets(
        self, files: Sequence[LakeFile], shard_id: str, epoch_first: int, epoch_last: int
    ) -> tuple[int, int] | None:
        """First and last offset of the records of `shard_id` in those epochs; None if there are none."""
        mine = [
            f for f in files if f.shard_id == shard_id and f.epoch_first <= epoch_last and f.epoch_last >= epoch_first
        ]
        found: list[tuple[int, int]] = []
        for file in mine:
            if epoch_first <= file.epoch_first and file.epoch_last <= epoch_last:
                found.append((file.offset_first, file.offset_last))
                continue
            CHECKED.check(file.path, file.checksum)
            sql = (
                f"SELECT min(_offset) AS a, max(_offset) AS b FROM read_parquet({path_text(file)})"
                f" WHERE _epoch BETWEEN {epoch_first:d} AND {epoch_last:d}"
            )
            [row] = self._run(sql, [file]).to_pylist()
            if row["a"] is not None:
                found.append((row["a"], row["b"]))
        if not found:
            return None
        return min(first for first, _ in found), max(last for _, last in found)

    def epoch_from(self, file: LakeFile, offset: int) -> int | None:
        """The epoch of the file's first record at or after `offset`. Raises Corrupt if the file cannot be read."""
        CHECKED.check(file.path, file.checksum)
        sql = f"SELECT min(_epoch) AS e FROM read_parquet({path_text(file)}) WHERE _offset >= {offset:d}"
        found: int | None = self._run(sql, [file])["e"][0].as_py()
        return found

    def interrupt(self) -> None:
        """Make what runs now end with the engine's InterruptException; from any thread."""
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def _open(self, files: Sequence[LakeFile], epoch_first: int, epoch_last: int, bounds: Bounds) -> int:
        """Make `batch_records` the records of these epochs and bounds in `files`; their number."""
        conditions = bounds.conditions()
        if any(f.epoch_first < epoch_first or f.epoch_last > epoch_last for f in files):
            conditions.append(f"_epoch BETWEEN {epoch_first:d} AND {epoch_last:d}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        for file in files:
            CHECKED.check(file.path, file.checksum)
        with _reading(files):
            relation = " UNION ALL ".join(select + where for select in self._files.selects(files))
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {_RECORDS} AS {relation}")
            return int(self._run(f"SELECT count(*) AS n FROM {_RECORDS}", files)["n"][0].as_py())

    def _merge(self, view: CompiledView, name: str, parts: Sequence[pa.Table]) -> pa.Table:
        """One row a key. A single part has that already."""
        filled = [p for p in parts if p.num_rows]
        if len(filled) < 2:
            return (filled or parts)[0]
        self._connection.register(_STATES, pa.concat_tables(filled))
        try:
            merged = self._run(merge_statement(view, name, _STATES), ())
        finally:
            self._connection.unregister(_STATES)
        return merged.cast(schemas(view)[name])

    def _run(self, sql: str, files: Sequence[LakeFile]) -> pa.Table:
        with _reading(files):
            return rows_as_arrow(self._connection, sql)


@contextmanager
def _reading(files: Sequence[LakeFile]) -> Iterator[None]:
    """Turns the engine's complaints about a file into Corrupt, those about memory into Unavailable."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise Unavailable(
            f"a view's states do not fit the batch engine's memory: {str(error).splitlines()[0]}",
            hint="group by fewer keys or wider windows",
        ) from error
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException) as error:
        named = next((f.path for f in files if str(f.path) in str(error)), files[0].path if files else "states")
        raise Corrupt(str(named), str(error).splitlines()[0]) from error


def in_chunks(files: Sequence[LakeFile], rows_max: int) -> Iterator[list[LakeFile]]:
    """Neighbours of at most `rows_max` rows together, or a single larger file."""
    chunk: list[LakeFile] = []
    rows = 0
    for file in files:
        if chunk and rows + file.rows > rows_max:
            yield chunk
            chunk, rows = [], 0
        chunk.append(file)
        rows += file.rows
    if chunk:
        yield chunk
