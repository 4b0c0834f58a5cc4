"""The records that one search is about, at one moment, as relations of the engine: all of them, a part, a sample.

`open` takes the moment (or the one a position names) and works out which row groups can matter; nothing is read before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.batch.evolution import EvolvedFiles, quoted
from tailrace.config.settings import QuerySettings, Settings
from tailrace.errors import Invalid, TailraceError
from tailrace.model.position import parse_position, position_token
from tailrace.model.window import iso
from tailrace.serving.search.bind import bind_search
from tailrace.serving.search.needed import NeededWords, needed_words
from tailrace.serving.search.parse import parse_search
from tailrace.serving.search.pieces import EARLIEST_US, LATEST_US, Footers, Piece, Times, pieces_of
from tailrace.serving.sql.blocks import BlockCache
from tailrace.serving.sql.engine import SqlEngine
from tailrace.serving.sql.failures import ENGINE_ERRORS, translate
from tailrace.serving.sql.logs import LogsMoment, TailRange, TailRelation, take_moment
from tailrace.stream.base import StreamBackend
from tailrace.views.dialects.duckdb.expression import print_expression
from tailrace.views.expression import Expression
from tailrace.views.record_filter import bind_record_filter


@dataclass(frozen=True, slots=True)
class Wanted:
    """`condition`: SQL over a record `r`; `needed`: words that each of them has."""

    condition: str
    times: Times
    needed: NeededWords | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Of the records, those in these row groups, and the stream's part if `tail`. `rows`: how many that may be to look at."""

    pieces: tuple[Piece, ...]
    tail: bool
    rows: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was looked at of what there is. Exact where it is all."""

    rows: int
    of: int

    @property
    def exact(self) -> bool:
        return self.rows >= self.of

    @property
    def factor(self) -> float:
        return self.of / self.rows if self.rows else 1.0

    def scaled(self, count: int) -> int:
        """An estimate of how many there are in all; the count itself where it is exact."""
        return count if self.exact else round(count * self.of / max(1, self.rows))

    def as_json(self) -> dict[str, Any]:
        return {"exact": self.exact, "rows_read": self.rows, "rows_in_range": self.of}


class Searcher:
    """One per query process: what its searches share."""

    def __init__(self, engine: SqlEngine, stream: StreamBackend, settings: Settings) -> None:
        self.engine = engine
        self.stream = stream
        self.settings = settings
        self.footers = Footers()

    def open(self) -> Search:
        """The caller closes it, whatever comes."""
        return Search(self, self.engine.connect())


class Search:
    """One request's connection and moment. `stop` may be called from any thread, all else from one at a time."""

    def __init__(self, searcher: Searcher, connection: duckdb.DuckDBPyConnection) -> None:
        self.fields = searcher.settings.fields
        self.limits: QuerySettings = searcher.settings.query
        self.stream = searcher.stream
        self._searcher = searcher
        self._connection = connection
        self._moment: LogsMoment | None = None
        self._evolved = EvolvedFiles(connection, self.fields)
        self._tails: list[TailRelation] = []
        self.ends: Mapping[str, int] = {}
        self._stopped = self._timed_out = False

    # -- the moment -----------------------------------------------------------------------------------------------------

    def take(self, at: str | None) -> None:
        """Take the moment. `at`: a position; only lines before it count. Raises Invalid."""
        shards = self.stream.shards()
        wanted = parse_position(at, shards) if at else None
        moment = take_moment(self.stream, self._searcher.engine.lake)
        now = {part.shard_id: part.end for part in moment.tail}
        if wanted is not None:
            for shard, end in wanted.items():
                if end > now.get(shard, 0):
                    raise Invalid(f"the position is ahead of shard `{shard}`", hint="use one that an answer gave")
        self.ends = now if wanted is None else wanted
        self._moment = moment

    @property
    def position(self) -> str:
        return position_token(self.stream.shards(), self.ends)

    @property
    def moment(self) -> LogsMoment:
        assert self._moment is not None, "take() comes first"
        return self._moment

    def _tail_ranges(self) -> list[TailRange]:
        ranges = (TailRange(t.shard_id, t.first, min(t.end, self.ends.get(t.shard_id, 0))) for t in self.moment.tail)
        return [each for each in ranges if each.end > each.first]

    # -- what is searched -----------------------------------------------------------------------------------------------

    def wanted(self, query: str, sql: str | None, times: Times) -> Wanted:
        """Raises SearchError or ViewError, both with a place."""
        conditions: list[Expression] = []
        needed = None
        if query:
            tree = parse_search(query)
            bound = bind_search(tree, self.fields, query)
            conditions += [bound] if bound is not None else []
            needed = needed_words(tree, self.fields)
        if sql and sql.strip():
            conditions.append(bind_record_filter(sql, self.fields))
        printed = [f"({print_expression(condition)})" for condition in conditions]
        printed += times_sql(times)
        return Wanted(" AND ".join(printed) or "TRUE", times, needed)

    def part(self, wanted: Wanted) -> Part:
        """All that may have to be read for it."""
        files = self.moment.lake.files
        pieces = pieces_of(self._searcher.footers, files, wanted.times, self.ends, wanted.needed, self.fields)
        tail = self._tail_ranges()
        lines = sum(each.end - each.first for each in tail)
        return Part(tuple(pieces), bool(tail), sum(piece.rows for piece in pieces) + lines)

    def rows_in_range(self, wanted: Wanted) -> Part:
        return self.part(Wanted(wanted.condition, wanted.times))

    def sampled(self, part: Part, rows_max: int) -> tuple[Part, Sample]:
        """Evenly chosen row groups with about `rows_max` rows, over all of the time; all of them if that is enough, or it is 0."""
        if not rows_max or part.rows <= rows_max:
            return part, Sample(part.rows, part.rows)
        lines = part.rows - sum(piece.rows for piece in part.pieces)
        ordered = sorted(part.pieces, key=lambda piece: (piece.min_us, piece.file.shard_id, piece.first))
        tail = lines <= rows_max // 4 or not ordered
        kept_max = max(1, round(len(ordered) * (rows_max - (lines if tail else 0)) / max(1, part.rows - lines)))
        step = max(1.0, len(ordered) / kept_max)
        kept = tuple(ordered[int(step * n + step / 2)] for n in range(int(len(ordered) / step))) if ordered else ()
        rows = sum(piece.rows for piece in kept) + (lines if tail else 0)
        return Part(kept, part.tail and tail, rows), Sample(rows, part.rows)

    # -- relations ------------------------------------------------------------------------------------------------------

    def relation(self, part: Part, columns: str = "*") -> str:
        """SQL of the records of a part, each as `r` may read it; without the condition."""
        selects = list(self._lake_selects(part.pieces))
        if part.tail:
            name = f"_search_tail_{len(self._tails)}"
            tail = TailRelation(self._cache, self._tail_ranges())
            self._tails.append(tail)
            self._connection.register(name, tail)
            selects.append(f"SELECT {self._names()} FROM {name}")
        if not selects:
            empty = f"_search_empty_{len(self._tails)}"
            self._connection.register(empty, self._cache.schema.empty_table())
            selects.append(f"SELECT {self._names()} FROM {empty}")
        union = " UNION ALL ".join(selects)
        return f"(SELECT {columns} FROM ({union}) AS r)" if columns != "*" else f"({union})"

    @property
    def _cache(self) -> BlockCache:
        return self._searcher.engine.cache

    def _names(self) -> str:
        return ", ".join(quoted(name) for name in self._cache.schema.names)

    def _lake_selects(self, pieces: Sequence[Piece]) -> Iterator[str]:
        """Whole files together; of others, only their groups, which the engine finds by their offsets."""
        by_file: dict[str, list[Piece]] = {}
        for piece in pieces:
            by_file.setdefault(str(piece.file.path), []).append(piece)
        whole = []
        for mine in by_file.values():
            file, end = mine[0].file, self.ends.get(mine[0].file.shard_id, 0)
            runs = _runs(mine, end)
            if len(mine) == len(self._searcher.footers.pieces(file)) and file.offset_last < end:
                whole.append(file)
                continue
            for first, last in runs:
                for select in self._evolved.selects([file]):
                    yield f"SELECT * FROM ({select}) WHERE _offset BETWEEN {first} AND {last}"
        if whole:
            yield from self._evolved.selects(whole)

    # -- asking ---------------------------------------------------------------------------------------------------------

    def table(self, sql: str) -> pa.Table:
        """The answer of a statement of ours. Raises Timeout, TooLarge, Interrupted, Corrupt."""
        with self._translated():
            return self._connection.sql(sql).to_arrow_table()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._connection.execute(sql, list(parameters)).fetchall()

    def reader(self, sql: str, batch_rows: int) -> pa.RecordBatchReader:
        with self._translated():
            return self._connection.sql(sql).to_arrow_reader(batch_rows)

    @contextmanager
    def translating(self) -> Iterator[None]:
        with self._translated():
            yield

    def stop(self, *, timed_out: bool = False) -> None:
        self._timed_out |= timed_out
        self._stopped = True
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._stopped:
            raise self._failure(duckdb.InterruptException("INTERRUPT Error: Interrupted!"))
        try:
            yield
        except TailraceError:
            raise
        except ENGINE_ERRORS as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> TailraceError:
        for tail in self._tails:
            if isinstance(tail.failure, TailraceError):
                return tail.failure
        hidden = (f"{self._searcher.engine.lake.data_dir}/", f"{self._searcher.settings.data_dir}/")
        return translate(error, self.limits, timed_out=self._timed_out, hidden=hidden)


def _runs(pieces: Sequence[Piece], end: int) -> list[tuple[int, int]]:
    """Offsets of neighbouring groups, joined."""
    found: list[tuple[int, int]] = []
    for piece in sorted(pieces, key=lambda piece: piece.first):
        last = min(piece.last, end - 1)
        if found and piece.first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((piece.first, last))
    return found


def times_sql(times: Times) -> list[str]:
    """In the one form that leaves out what a scan need not read."""
    found = []
    if times.first_us > EARLIEST_US:
        found.append(f"(r.timestamp >= {instant_sql(times.first_us)})")
    if times.end_us < LATEST_US:
        found.append(f"(r.timestamp < {instant_sql(times.end_us)})")
    return found


def instant_sql(at_us: int) -> str:
    return f"TIMESTAMPTZ '{iso(at_us)}'"
