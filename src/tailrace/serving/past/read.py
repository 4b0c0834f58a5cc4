"""A view as it stood at a position: planned from manifest, lake and stream as they are now, computed, merged and finalized as ever.

What counts at a position never changes, only where it is kept: so whatever batch does meanwhile, the same numbers come out. The
manifest is read first, the lake after it and the stream last, so that what moves from one to the next is found in one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.batch.base import Lake, LakeSnapshot
from tailrace.batch.recompute import RecomputeEngine
from tailrace.config.settings import QuerySettings
from tailrace.errors import Expired, Invalid, NotFound, TailraceError, Timeout, TooLarge, Trimmed, Unavailable
from tailrace.model.fields import Fields
from tailrace.model.position import position_json, position_token
from tailrace.model.sequence import sequence_number
from tailrace.model.shard import Shard
from tailrace.model.window import iso
from tailrace.serving.merge import Merger, ViewAnswer, ViewQuery, check_step, rows_of
from tailrace.serving.past.plan import ShardPart, Wanted, plan_shard
from tailrace.serving.sql.blocks import BlockCache
from tailrace.serving.sql.failures import Interrupted
from tailrace.serving.sql.logs import logs_schema
from tailrace.states.manifest import Manifest, ManifestStore, ViewStates
from tailrace.states.tables import StateTables, concat_states
from tailrace.stream.base import StreamBackend
from tailrace.views import CompiledView, compiled_or_none
from tailrace.views.dialects.duckdb import schemas

ROWS_MAX = 50_000_000
"""Records and lines that are looked at one by one for one answer."""
_TAIL_ROWS = 200_000
"""Lines of the stream are computed in portions of about so many."""
THREADS = 2


@dataclass(frozen=True, slots=True)
class Source:
    """Of what an answer was made: records that counted by the segments they are in, and those computed again, from lake and stream."""

    segments: int = 0
    records_in_segments: int = 0
    recomputed_lake: int = 0
    recomputed_stream: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "states": {"segments": self.segments, "records": self.records_in_segments},
            "recomputed": {"lake_records": self.recomputed_lake, "stream_records": self.recomputed_stream},
        }


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """`ends`: as `model.position` has them, of `shards`."""

    answer: ViewAnswer
    shards: tuple[Shard, ...]
    ends: Mapping[str, int]
    manifest: Manifest
    states: ViewStates
    source: Source
    drift_rows: int

    def as_json(self) -> dict[str, Any]:
        """As a view's answer of now; `complete_through` is not known of a position."""
        view, kept_us = self.answer.view, self.answer.kept_from_us
        return {
            "view": view.name,
            "version": view.version,
            "columns": list(self.answer.columns),
            "rows": rows_of(self.answer.table),
            "others": self.answer.others,
            "truncated": self.answer.truncated,
            "kept_from": iso(kept_us) if kept_us is not None else None,
            "position": position_json(self.shards, self.ends),
            "position_token": position_token(self.shards, self.ends),
            "frontier": {s.id: self.manifest.frontier.get(s.id, 0) for s in self.shards},
            "complete_through": None,
            "drift_rows": self.drift_rows,
            "absent_records": sum(self.states.absent.values()),
            "source": self.source.as_json(),
        }


@dataclass(frozen=True, slots=True)
class PastViews:
    """One per process; any thread may open reads."""

    stream: StreamBackend
    lake: Lake
    store: ManifestStore
    states_dir: Path
    fields: Fields
    limits: QuerySettings = field(default_factory=QuerySettings)

    def open(self) -> PastRead:
        """A place to compute one answer. The caller closes it, whatever comes."""
        return PastRead(self)

    def answer(self, name: str, query: ViewQuery, ends: Mapping[str, int], version: str | None = None) -> PastAnswer:
        """As `PastRead.answer`, in the calling thread."""
        read = self.open()
        try:
            return read.answer(name, query, ends, version)
        finally:
            read.close()


class PastRead:
    """Engines of its own, so that nothing else waits for them. `stop` may be called from any thread, all else from one at a time."""

    def __init__(self, past: PastViews) -> None:
        self._past = past
        memory = past.limits.memory_bytes_max
        self._engine = RecomputeEngine(past.fields, THREADS, memory)
        self._merger = Merger(past.states_dir, THREADS, memory)
        # Nothing is kept: a past tail is rarely read twice.
        self._blocks = BlockCache(past.stream, logs_schema(past.fields), bytes_max=0)
        self._stopped = self._timed_out = False

    def answer(self, name: str, query: ViewQuery, ends: Mapping[str, int], version: str | None = None) -> PastAnswer:
        """The view's rows of exactly the lines before `ends`, by shard; a shard that is not there counts with nothing.

        `version`: one that is still carried on; None: that which answers now. Raises Invalid (not reached yet; a query that the view
        cannot answer), NotFound, Expired (what it needs, or the version, is no longer kept), TooLarge, Timeout, Corrupt, Unavailable.
        """
        try:
            try:
                return self._answer(name, query, ends, version)
            except (
                Trimmed
            ):  # batch has taken over meanwhile what was still to be read of the stream: the lake has it now
                return self._answer(name, query, ends, version)
        except Trimmed as error:
            raise Unavailable(error.message, hint="ask again in a second") from error
        except Unavailable as error:
            if isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise self._too_large() from error
            raise
        except duckdb.InterruptException as error:
            raise self._ended() from error
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise self._too_large() from error

    def stop(self, *, timed_out: bool = False) -> None:
        """Make whatever runs now end soon with Timeout or Interrupted."""
        self._timed_out |= timed_out
        self._stopped = True
        self._engine.interrupt()
        self._merger.interrupt()

    def close(self) -> None:
        self._engine.close()
        self._merger.close()

    def _answer(self, name: str, query: ViewQuery, ends: Mapping[str, int], version: str | None) -> PastAnswer:
        past = self._past
        shards = past.stream.shards()
        _check_reached(past.stream, shards, ends)
        manifest = past.store.current()
        states = _states(manifest, name, version)
        view = self._compiled(states)
        check_step(view, query)
        lake = past.lake.current()
        parts = self._plan(Wanted(view, query), shards, ends, lake, states)
        lake_states, from_lake = self._from_lake(view, parts)
        tail_states, from_stream = self._from_stream(view, parts)
        used = [segment for part in parts for segment in part.segments]
        self._go_on()
        merged = concat_states([*lake_states, *tail_states], schemas(view))
        answer = self._merger.finalize(view, used, merged, query)
        source = Source(len(used), sum(s.records for s in used), from_lake, from_stream)
        drift = past.store.drift_rows().get(view.version, 0)
        return PastAnswer(answer, shards, dict(ends), manifest, states, source, drift)

    def _compiled(self, states: ViewStates) -> CompiledView:
        view = compiled_or_none(states.sql, self._past.fields)
        if view is None or view.version != states.version:
            raise Unavailable(
                f"view `{states.name}` is being built under the fields of now", hint="see: tailrace views list"
            )
        return view

    def _plan(
        self,
        wanted: Wanted,
        shards: Sequence[Shard],
        ends: Mapping[str, int],
        lake: LakeSnapshot,
        states: ViewStates,
    ) -> list[ShardPart]:
        parts = [plan_shard(wanted, s.id, ends.get(s.id, 0), lake, states, self._engine.epoch_from) for s in shards]
        rows = sum(part.rows for part in parts)
        if rows > ROWS_MAX:
            raise TooLarge(
                f"`{rows:,}` records would have to be looked at again, more than {ROWS_MAX:,}",
                hint="narrow it with from and to, or ask at a younger position",
            )
        return parts

    def _from_lake(self, view: CompiledView, parts: Sequence[ShardPart]) -> tuple[list[StateTables], int]:
        """States of the records that the parts need of the lake, and how many those are."""
        found: list[StateTables] = []
        records = 0
        for part in parts:
            for first, last in part.epochs if part.files else ():
                self._go_on()
                tables, count = self._engine.states(view, part.files, part.shard, first, last, part.bounds)
                found.append(tables)
                records += count
        return found, records

    def _from_stream(self, view: CompiledView, parts: Sequence[ShardPart]) -> tuple[list[StateTables], int]:
        found: list[StateTables] = []
        records = 0
        for part in parts:
            for rows in self._portions(part.shard, *part.tail):
                self._go_on()
                tables, count = self._engine.states_of(view, rows, part.bounds)
                found.append(tables)
                records += count
        return found, records

    def _portions(self, shard: str, first: int, end: int) -> Iterator[pa.Table]:
        """Good records of whole blocks from `first` on; the last may reach beyond `end`."""
        held: list[pa.Table] = []
        rows = 0
        for records in self._blocks.records(shard, first, end):
            self._go_on()
            held.append(records)
            rows += records.num_rows
            if rows >= _TAIL_ROWS:
                yield pa.concat_tables(held)
                held, rows = [], 0
        if rows:
            yield pa.concat_tables(held)

    def _go_on(self) -> None:
        """Raises once somebody has asked to stop: an interrupt reaches only what the engines are running."""
        if self._stopped:
            raise self._ended()

    def _ended(self) -> TailraceError:
        if not self._timed_out:
            return Interrupted("the answer was cancelled")
        return Timeout(
            f"computing the view again took longer than `{self._past.limits.timeout_s:g}` s",
            hint="narrow it with from and to, or ask at a younger position",
        )

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"computing the view again needs more than `{self._past.limits.memory_bytes_max >> 20}` MiB of memory",
            hint="narrow it with from and to, or take a longer step",
        )


def _check_reached(stream: StreamBackend, shards: Sequence[Shard], ends: Mapping[str, int]) -> None:
    for shard in shards:
        asked, end = ends.get(shard.id, 0), stream.end(shard.id).next_offset
        if asked > end:
            stands = f"stands at `{sequence_number(shard, end - 1)}`" if end else "has no line yet"
            raise Invalid(
                f"the position is not reached yet: shard `{shard.id}` {stands}",
                hint="use a position that an answer of this node has given",
            )


def _states(manifest: Manifest, name: str, version: str | None) -> ViewStates:
    served = manifest.views.get(name)
    if version is not None:
        for states in (served, manifest.previous.get(name)):
            if states is not None and states.version == version:
                return states
        raise Expired(
            f"version `{version}` of view `{name}` is gone",
            hint="a version is carried on for a day after another took its place",
        )
    if served is None:
        known = ", ".join(sorted(manifest.views)) or "none yet"
        raise NotFound(f"there is no view `{name}`", hint=f"views served now: {known}")
    return served
