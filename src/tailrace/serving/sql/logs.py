"""`logs`: every record once, from the lake where it has them and from the stream after that.

A query sees one moment: a lake snapshot, and each shard's end as it was just after. The lake's marks say where the stream takes
over, so no record is in both and none in neither, whatever batch commits meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.batch.base import Lake, LakeFile, LakeSnapshot
from tailrace.batch.evolution import EvolvedFiles, quoted
from tailrace.errors import Corrupt
from tailrace.model.fields import LAKE_COLUMNS, Fields
from tailrace.runtime.checked_files import CHECKED
from tailrace.serving.sql.blocks import BlockCache
from tailrace.serving.sql.prune import needed_files
from tailrace.stream.base import StreamBackend

LOGS = "logs"
_TAIL = "_tailrace_tail"


def logs_schema(fields: Fields) -> pa.Schema:
    """The columns of `logs`: the record's, then where it stood in the stream."""
    return pa.schema([*fields.record_schema(), *(pa.field(n, t) for n, t in LAKE_COLUMNS)])


@dataclass(frozen=True, slots=True)
class TailRange:
    """Lines of a shard that the stream has and the lake has not: offsets [first, end)."""

    shard_id: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class LogsMoment:
    """What a query's `logs` consists of."""

    lake: LakeSnapshot
    tail: tuple[TailRange, ...]

    @property
    def tail_lines(self) -> int:
        return sum(r.end - r.first for r in self.tail)


def take_moment(stream: StreamBackend, lake: Lake) -> LogsMoment:
    """The lake first: what it takes over later is still in the stream, and counted there."""
    snapshot = lake.current()
    ends = [(shard.id, snapshot.mark(shard.id).last_offset + 1) for shard in stream.shards()]
    return LogsMoment(snapshot, tuple(TailRange(s, first, stream.end(s).next_offset) for s, first in ends))


class TailRelation:
    """The stream's part, read when the engine asks and again for each time a statement names `logs`.

    `failure`: what the stream raised, since the engine passes on no more than its text.
    """

    def __init__(self, cache: BlockCache, ranges: Sequence[TailRange]) -> None:
        self._cache = cache
        self._ranges = ranges
        self.failure: Exception | None = None

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        reader = pa.RecordBatchReader.from_batches(self._cache.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for part in self._ranges:
                for records in self._cache.records(part.shard_id, part.first, part.end):
                    yield from records.to_batches()
        except Exception as error:
            self.failure = error
            raise


class LogsRelation:
    """Makes `logs` on a connection, for one statement at one moment."""

    def __init__(self, cache: BlockCache, moment: LogsMoment, fields: Fields) -> None:
        self.tail = TailRelation(cache, moment.tail)
        self._fields = fields
        self._evolved: EvolvedFiles | None = None
        self._moment = moment
        self._columns = cache.schema
        self.files: list[LakeFile] = sorted(moment.lake.files, key=lambda f: f.time_max_us, reverse=True)

    @property
    def rows(self) -> int:
        """Records that the statement may have to look at: those of its files and of the tail."""
        return sum(f.rows for f in self.files) + self._moment.tail_lines

    def open(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._evolved = EvolvedFiles(connection, self._fields)
        if self._moment.tail_lines:
            connection.register(_TAIL, self.tail)
        try:
            connection.execute(self._definition())
        except duckdb.Error:
            self.check(lambda: False)
            raise

    def narrow(self, connection: duckdb.DuckDBPyConnection, plan: Any) -> None:
        """Leave out the lake files that a statement with this plan cannot need, by the times it asks for."""
        needed = needed_files(plan, self.files)
        if len(needed) < len(self.files):
            self.files = needed
            connection.execute(self._definition())

    def check(self, stopped: Callable[[], bool]) -> None:
        """Compare the bytes of the files with their checksums, where this process has not done so yet. Raises Corrupt."""
        for file in self.files:
            if stopped():
                return
            try:
                CHECKED.check(file.path, file.checksum)
            except Corrupt as error:
                raise Corrupt(file.path.name, "the lake's file is not as it was written") from error

    def _definition(self) -> str:
        """Newest first, so that a statement for the newest rows can stop early."""
        parts = []
        if self._moment.tail_lines:
            parts.append(f"SELECT {self._list(set(self._columns.names))} FROM {_TAIL}")
        if self.files and self._evolved is not None:
            parts += self._evolved.selects(self.files)
        if not parts:
            parts.append(f"SELECT {self._list(frozenset())} WHERE false")
        return f"CREATE OR REPLACE TEMP VIEW {LOGS} AS " + " UNION ALL ".join(parts)

    def _list(self, have: AbstractSet[str]) -> str:
        return ", ".join(
            quoted(f.name) if f.name in have else f"CAST(NULL AS {_sql_type(f.type)}) AS {quoted(f.name)}"
            for f in self._columns
        )


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_string(kind):
        return "VARCHAR"
    return "BIGINT" if pa.types.is_int64(kind) else "INTEGER"
