"""One group commit: give offsets to what is queued, leave duplicates out, write it, all in one transaction on the open file.

Called by a shard's writer thread, which holds the shard's append lock. What costs CPU (encoding) has been done before; only a
block that turns out to have duplicate lines is encoded again here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.model.fields import BLOCK_RAW_SCHEMA
from tailrace.model.record_hash import RecordHash
from tailrace.stream.backends.embedded.dedupe import ClosedStamps, find_open, remember
from tailrace.stream.backends.embedded.identities import Identity, Place
from tailrace.stream.backends.embedded.identities import find as find_identities
from tailrace.stream.backends.embedded.identities import remember as remember_identities
from tailrace.stream.backends.embedded.rows import FileState, select_state, update_state
from tailrace.stream.backends.embedded.schema import PAGE_BYTES, row_checksum
from tailrace.stream.base import Appended, LedgerCounts, ProducerStamp, ShardBatch
from tailrace.stream.codec import concat, dead_count, encode, encode_raw, plain
from tailrace.stream.hashing import HashedRows, hashed

COMMIT_PAGES = 4
"""Pages that even the smallest commit writes: state, the block's leaf, a dedupe leaf, and what does not fill a page."""


@dataclass(slots=True)
class Pending:
    """A queued batch: `lines` are numpy uint32; `size` is what the queue counts for it. A large one is `encoded` and `hashed`.

    `identities`: of its lines, empty where the batch has none.
    """

    batch: ShardBatch
    lines: Any
    dead: int
    size: int
    future: Future[Appended]
    encoded: tuple[memoryview, memoryview] | None = None
    hashed: HashedRows | None = None
    identities: Sequence[Identity | None] = ()

    @property
    def count(self) -> int:
        return int(self.batch.columns.num_rows)


@dataclass(slots=True)
class Draft:
    """Batches that will share one block, in order, with the block's bytes once encoded, and the hashes of its rows."""

    pendings: list[Pending]
    halves: tuple[memoryview, memoryview] | None = None
    hashed: HashedRows | None = None

    def complete(self, schema: pa.Schema) -> None:
        """Work out what is missing."""
        if self.halves is None or self.hashed is None:
            columns, raw = joined([(p.batch.columns, p.batch.raw) for p in self.pendings], schema)
            self.halves, self.hashed = (encode(columns), encode_raw(raw)), hashed(columns)


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of each pending, in order; about how many bytes the WAL has grown by; the shard's next offset and open epoch."""

    results: list[tuple[Pending, Appended]]
    bytes: int
    place: tuple[int, int]


class FileClosed(Exception):
    """The open file has been closed by another process: take the next and begin again. Never leaves the writer."""


@dataclass(slots=True)
class _Progress:
    """The transaction so far."""

    next_offset: int
    epoch: int
    counts: LedgerCounts
    hash: RecordHash
    known: dict[ProducerStamp, Any]
    here: dict[ProducerStamp, Any]
    places: dict[Identity, Place] = field(default_factory=dict)
    fresh_places: dict[Identity, Place] = field(default_factory=dict)
    touched: set[ProducerStamp] = field(default_factory=set)
    results: list[tuple[Pending, Appended]] = field(default_factory=list)
    bytes: int = 0


def commit(
    connection: sqlite3.Connection,
    drafts: Sequence[Draft],
    closed: ClosedStamps,
    now_us: int,
    schema: pa.Schema,
) -> Committed:
    """Append `drafts`; on return they are on disk. Raises FileClosed, or sqlite3.Error with nothing appended.

    `closed`: where to look for duplicates beside the open file. `schema`: the columns of batches that share a block.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        state = select_state(connection)
        if state.closed:
            raise FileClosed
        progress = _begin(connection, state, drafts, closed)
        for draft in drafts:
            _append(connection, progress, draft, now_us, schema)
        remember(connection, {s: progress.here[s] for s in progress.touched})
        remember_identities(connection, progress.fresh_places)
        grown = progress.next_offset > state.next_offset
        after = replace(
            state,
            next_offset=progress.next_offset,
            counts=progress.counts,
            hash=progress.hash,
            open_arrived_max_us=max(state.open_arrived_max_us, now_us if grown else 0),
        )
        update_state(connection, after)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return Committed(
        progress.results, progress.bytes + COMMIT_PAGES * PAGE_BYTES, (after.next_offset, after.open_epoch)
    )


def _begin(
    connection: sqlite3.Connection,
    state: FileState,
    drafts: Sequence[Draft],
    closed: ClosedStamps,
) -> _Progress:
    stamps = list({p.batch.producer: None for d in drafts for p in d.pendings if p.batch.producer is not None})
    here = dict(find_open(connection, stamps))
    known = dict(here)
    if stamps:
        for stamp, lines in closed.find(stamps):
            known[stamp] = _union(known.get(stamp), lines)
    asked = list({each: None for d in drafts for p in d.pendings for each in p.identities if each is not None})
    places = find_identities(connection, closed, asked, drafts[0].pendings[0].batch.shard_id) if asked else {}
    return _Progress(state.next_offset, state.open_epoch, state.counts, state.hash, known, here, places)


def _append(connection: sqlite3.Connection, progress: _Progress, draft: Draft, now_us: int, schema: pa.Schema) -> None:
    """Write one block (a complete draft), without the lines that are duplicates, and note each batch's result."""
    first = progress.next_offset
    fresh = [_admit(progress, pending) for pending in draft.pendings]
    count = progress.next_offset - first
    if not count:
        return
    halves, rows, mask = draft.halves, draft.hashed, None
    if halves is None or rows is None:
        raise ValueError("the draft is not complete")
    if any(mask is not None for mask in fresh):
        columns, raw = joined([_kept(p, m) for p, m in zip(draft.pendings, fresh, strict=True)], schema)
        halves = encode(columns), encode_raw(raw)
        mask = np.concatenate(
            [np.ones(p.count, bool) if m is None else m for p, m in zip(draft.pendings, fresh, strict=True)]
        )
    progress.hash += rows.at(first, mask)
    size = sum(p.size for p in draft.pendings)
    connection.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (first, count, progress.epoch, now_us, size, row_checksum(first, count, progress.epoch, now_us, size), *halves),
    )
    progress.bytes += len(halves[0]) + len(halves[1])


def _admit(progress: _Progress, pending: Pending) -> Any:
    """Give offsets to the lines of `pending` that are new. Returns None if all are, else the mask (numpy bool) of those."""
    batch, first = pending.batch, progress.next_offset
    mask, lines, dead = None, pending.lines, pending.dead
    duplicates: frozenset[int] = frozenset()
    stamp = batch.producer
    if stamp is not None and len(lines):
        if stamp in progress.known:
            repeated = np.isin(lines, progress.known[stamp])
            if repeated.any():
                mask = ~repeated
                duplicates = frozenset(lines[repeated].tolist())
                lines = lines[mask]
                dead = dead_count(batch.columns.filter(pa.array(mask)))
        if len(lines):
            progress.known[stamp] = _union(progress.known.get(stamp), lines)
            progress.here[stamp] = _union(progress.here.get(stamp), lines)
            progress.touched.add(stamp)
    repeats: dict[int, Place] = {}
    if pending.identities:
        mask, repeats = _first_of_each(progress, pending)
    if repeats:
        duplicates, lines = frozenset(repeats), lines[mask]
        dead = dead_count(batch.columns.filter(pa.array(mask)))
    progress.next_offset += len(lines)
    counts = LedgerCounts(len(lines) - dead, dead, pending.count - len(lines))
    progress.counts += counts
    progress.results.append(
        (
            pending,
            Appended(
                batch.shard_id,
                progress.epoch,
                first,
                progress.next_offset - 1,
                counts.stored,
                counts.dead_lettered,
                counts.deduplicated,
                duplicates,
                repeats,
            ),
        )
    )
    return mask


def _first_of_each(progress: _Progress, pending: Pending) -> tuple[Any, dict[int, Place]]:
    """The mask (numpy bool; None: all) of the lines whose identity is new, and for the others by number where the first stands."""
    mask = np.ones(pending.count, bool)
    repeats: dict[int, Place] = {}
    at = progress.next_offset
    for row, identity in enumerate(pending.identities):
        if identity is not None and identity in progress.places:
            mask[row] = False
            repeats[int(pending.lines[row])] = progress.places[identity]
            continue
        if identity is not None:
            progress.places[identity] = progress.fresh_places[identity] = (pending.batch.shard_id, at)
        at += 1
    return (mask if repeats else None), repeats


def joined(parts: Sequence[tuple[pa.Table, pa.Table]], schema: pa.Schema) -> tuple[pa.Table, pa.Table]:
    """The columns and the raw lines of a block made of `parts` (columns, raw), in order."""
    if len(parts) == 1:
        return parts[0]
    return concat([c for c, _ in parts], schema), pa.concat_tables([plain(r, BLOCK_RAW_SCHEMA) for _, r in parts])


def _kept(pending: Pending, mask: Any) -> tuple[pa.Table, pa.Table]:
    columns, raw = pending.batch.columns, pending.batch.raw
    return (columns, raw) if mask is None else (columns.filter(pa.array(mask)), raw.filter(pa.array(mask)))


def _union(known: Any, lines: Any) -> Any:
    return lines if known is None else np.union1d(known, lines)
